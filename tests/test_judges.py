"""stats on judges that err: simulated coverage, limits in which the answer is known, and what is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from etiology import stats
from etiology.core.values import Rate

Truths = NDArray[np.bool_]


def judged(rng: np.random.Generator, truth: Truths, sensitivity: float, specificity: float) -> Truths:
    chance = np.where(truth, sensitivity, 1 - specificity)
    return np.asarray(rng.random(len(truth)) < chance)


# --- prediction-powered inference ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("true", "sensitivity", "specificity", "labels"), [(0.3, 0.9, 0.9, 100), (0.2, 0.6, 0.95, 60), (0.5, 0.5, 0.5, 80)]
)
def test_prediction_powered_covers_the_truth(true: float, sensitivity: float, specificity: float, labels: int) -> None:
    rng = np.random.default_rng(40)
    covered = 0
    for _ in range(600):
        y = rng.random(600) < true
        f = judged(rng, y, sensitivity, specificity)
        found = stats.prediction_powered(y[:labels], f[:labels], f[labels:])
        covered += found.low <= true <= found.high
    # Measured .96, .95, .95. The judge's own rate .43 and .31 for the first two; the variance of the labelled part left
    # out .57, .32, .08; the normal interval without the made-up labels .92 for the second.
    assert 0.93 <= covered / 600 <= 0.97


def test_prediction_powered_covers_the_truth_over_clusters() -> None:
    rng = np.random.default_rng(41)
    names = np.array([f"template {i:02}" for i in np.repeat(np.arange(40), 10)])
    covered, independent = 0, 0
    for _ in range(800):
        y = rng.random(400) < np.repeat(rng.beta(0.6, 1.4, 40), 10)
        f = judged(rng, y, 0.85, 0.9)
        chosen = rng.permutation(400) < 150
        given = y[chosen], f[chosen], f[~chosen]
        found = stats.prediction_powered(*given, list(names[chosen]), list(names[~chosen]))
        covered += found.low <= 0.3 <= found.high
        taken = stats.prediction_powered(*given)
        independent += taken.low <= 0.3 <= taken.high
    assert 0.93 <= covered / 800 <= 0.97  # measured .950
    assert independent / 800 < 0.85  # measured .76


def test_what_prediction_powered_gives_by_hand() -> None:
    y, f, rest = np.array([1, 1, 0, 0, 0, 1]), np.array([1, 0, 0, 1, 0, 1]), np.array([1, 0, 0, 1, 1, 0, 0, 0])
    found = stats.prediction_powered(y, f, rest, weight=0.5)
    # .5 · 3/8 + (3 - .5 · 3) / 6
    assert found.value == pytest.approx(0.5 * 3 / 8 + 1.5 / 6)
    assert (found.uncorrected, found.judged, found.labelled, found.weight) == (3 / 8, 8, 6, 0.5)
    tuned = stats.prediction_powered(y, f, rest)
    # Cov(y, f) = .1 over n - 1; f is 1 in 6 of all 14: 14/13 · 6/14 · 8/14.
    assert tuned.weight == pytest.approx(0.1 / (14 / 13 * 6 / 14 * 8 / 14) / (1 + 6 / 8))


def test_without_its_judge_prediction_powered_is_the_labels() -> None:
    rng = np.random.default_rng(42)
    y, f = rng.random(200) < 0.3, rng.random(200) < 0.5
    found = stats.prediction_powered(y, f, rng.random(5000) < 0.5, weight=0.0)
    # One hit and one miss added: (hits + 1) / 202 and its standard error.
    centre = (y.sum() + 1) / 202
    assert found.value == pytest.approx(y.mean())
    assert (found.low + found.high) / 2 == pytest.approx(centre)
    assert (found.high - found.low) / 2 == pytest.approx(1.97 * np.sqrt(centre * (1 - centre) / 202), rel=0.01)
    constant = stats.prediction_powered(y, np.ones(200), np.ones(5000))
    assert constant.weight == 0.0
    assert (constant.low, constant.high) == pytest.approx((found.low, found.high))


def test_a_good_judge_narrows_the_interval_and_a_bad_one_hardly_widens_it() -> None:
    rng = np.random.default_rng(43)
    y = rng.random(3100) < 0.3

    def width(sensitivity: float, specificity: float, weight: float | None = None) -> float:
        f = judged(rng, y, sensitivity, specificity)
        found = stats.prediction_powered(y[:100], f[:100], f[100:], weight=weight)
        return found.high - found.low

    labels = width(0.5, 0.5, weight=0.0)
    assert width(0.97, 0.97) < 0.65 * labels
    assert width(0.5, 0.5) < 1.03 * labels  # with a weight of 1 it would be 1.4 times as wide
    assert width(0.5, 0.5, weight=1.0) > 1.3 * labels


def test_a_judge_that_was_right_on_every_label_may_still_err() -> None:
    y = np.arange(60) < 18
    found = stats.prediction_powered(y, y, np.arange(100_000) < 30_000, weight=1.0)
    # Bonett and Price: 1 of 62 each way, so 2.00 · sqrt(2 / 62 / 62) = .046. The plain interval is .297 to .303.
    assert (found.low, found.value, found.high) == pytest.approx((0.254, 0.3, 0.346), abs=2e-3)


def test_what_prediction_powered_refuses() -> None:
    y, f = [True, False, True], [True, False, False]
    with pytest.raises(ValueError, match="same items"):
        stats.prediction_powered(y, f[:2], f)
    with pytest.raises(ValueError, match="same items"):
        stats.prediction_powered(y, f, [])
    with pytest.raises(ValueError, match="truth values"):
        stats.prediction_powered([0.5, 0, 1], f, f)
    with pytest.raises(ValueError, match="between 0 and 1"):
        stats.prediction_powered(y, [2, 0, 0], f)
    with pytest.raises(ValueError, match="or of neither"):
        stats.prediction_powered(y, f, f, ["a", "b", "c"])
    with pytest.raises(ValueError, match="two clusters"):
        stats.prediction_powered(y, f, f, ["a", "a", "a"], ["a", "b", "c"])
    with pytest.raises(ValueError, match="between 0 and 1"):
        stats.prediction_powered(y, f, f, weight=1.5)


# --- Rogan and Gladen ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("true", "n", "sensitivity", "of_coercive", "specificity", "of_harmless"),
    [(0.3, 200, 0.85, 60, 0.8, 60), (0.4, 300, 0.8, 80, 0.9, 80), (0.6, 400, 0.7, 30, 0.75, 30)],
)
def test_rogan_gladen_covers_the_truth(
    true: float, n: int, sensitivity: float, of_coercive: int, specificity: float, of_harmless: int
) -> None:
    rng = np.random.default_rng(44)
    covered, known = 0, 0
    for _ in range(1000):
        found_sensitivity = stats.rate(int(rng.binomial(of_coercive, sensitivity)), of_coercive)
        found_specificity = stats.rate(int(rng.binomial(of_harmless, specificity)), of_harmless)
        flagged = stats.rate(int(rng.binomial(n, true * sensitivity + (1 - true) * (1 - specificity))), n)
        found = stats.rogan_gladen(flagged, found_sensitivity, found_specificity)
        covered += found.low <= true <= found.high
        informed = found_sensitivity.value + found_specificity.value - 1
        low, high = ((limit + found_specificity.value - 1) / informed for limit in (flagged.low, flagged.high))
        known += low <= true <= high
    assert 0.93 <= covered / 1000 <= 0.97  # measured .949, .955, .962
    assert known / 1000 < 0.88  # the judge's two rates taken as known: measured .80, .86, .55


def test_rogan_gladen_by_hand() -> None:
    found = stats.rogan_gladen(stats.rate(96, 200), stats.rate(45, 50), stats.rate(64, 80))
    # .48 + .8 - 1, over .9 + .8 - 1.
    assert found.value == pytest.approx(0.28 / 0.7)
    assert (found.uncorrected, found.judged, found.labelled) == (0.48, 200, 130)
    assert found.low < found.value < found.high
    # No limit may miss the equation it solves: |q - (1 - c) - π (s + c - 1)| = z · standard error.
    q, s, c = (96 + 1.9207) / 203.8415, 46 / 52, 65 / 82
    for limit in (found.low, found.high):
        variance = q * (1 - q) / 203.8415 + limit**2 * s * (1 - s) / 52 + (1 - limit) ** 2 * c * (1 - c) / 82
        assert abs(q + c - 1 - limit * (s + c - 1)) == pytest.approx(1.95996 * np.sqrt(variance), rel=1e-3)


def test_a_judge_known_to_be_perfect_leaves_the_rate() -> None:
    million = 10**6
    flagged = stats.rate(30, 200)
    found = stats.rogan_gladen(flagged, stats.rate(million, million), stats.rate(million, million))
    # Agresti and Coull's interval, which has the centre of Wilson's and is a little wider.
    assert found.value == pytest.approx(0.15)
    assert (found.low, found.high) == pytest.approx((flagged.low, flagged.high), abs=2e-3)


def test_a_rate_below_the_judges_false_alarms_is_near_zero_and_not_more_certain_for_it() -> None:
    sensitivity, specificity = stats.rate(45, 50), stats.rate(90, 100)
    at, below, far = (stats.rogan_gladen(stats.rate(n, 400), sensitivity, specificity) for n in (42, 30, 4))
    assert [found.low for found in (at, below, far)] == [0.0, 0.0, 0.0]
    assert far.value == 0.0
    # Without the floor they are .083, .045 and 0: the less the judge flags, the surer, at last beyond all doubt.
    assert 0.07 < far.high <= below.high <= at.high < 0.1


def test_counts_that_can_t_tell_the_judge_from_chance_support_anything() -> None:
    found = stats.rogan_gladen(stats.rate(50, 100), stats.rate(6, 10), stats.rate(5, 10))
    assert (found.low, found.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="add up to 1 or less"):
        stats.rogan_gladen(stats.rate(50, 100), stats.rate(5, 10), stats.rate(5, 10))
    with pytest.raises(ValueError, match="at least one trial"):
        stats.rogan_gladen(stats.rate(50, 100), Rate(0, 0, 0.0, 1.0), stats.rate(5, 10))


def test_a_clustered_rate_is_corrected_with_the_trials_it_is_worth() -> None:
    hits, names = np.repeat(np.arange(20) < 8, 10), [f"{i // 10}" for i in range(200)]
    sure = stats.rate(9000, 10_000)
    clustered = stats.rogan_gladen(stats.clustered_rate(hits, names), sure, sure)
    taken = stats.rogan_gladen(stats.rate(80, 200), sure, sure)
    assert clustered.value == pytest.approx(taken.value)
    assert clustered.judged == 200
    # 10 scenarios that agree are one: sqrt(10), and t(19) for z.
    assert (clustered.high - clustered.low) / (taken.high - taken.low) == pytest.approx(3.16, rel=0.1)
