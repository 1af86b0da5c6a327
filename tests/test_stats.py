"""stats: against published values, slow references, invariances, and simulated studies whose truth is known."""

import subprocess
import sys
import time
from itertools import pairwise, permutations, product
from math import inf, isclose

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from etiology.core.values import Effect
from etiology.stats import (
    Spread,
    average_precision,
    average_precision_interval,
    effect,
    holm,
    mcnemar,
    mde_of_effect,
    mde_of_rate,
    rate,
    seeds_for_effect,
    spread,
)

Floats = NDArray[np.float64]

CLUSTERS = [f"template {i // 6:02}" for i in range(96)]  # 16 of 6 scenarios


def a_study(rng: np.random.Generator, seed_sd: float, true_value: float = 0.0) -> Floats:
    """[3 seeds, 96 scenarios]: templates differ (.5), whole retrainings differ, each score is noisy (.4)."""
    template = 0.5 * np.repeat(rng.normal(size=16), 6)
    retraining = seed_sd * rng.normal(size=(3, 1))
    return np.asarray(true_value + template + retraining + 0.4 * rng.normal(size=(3, 96)))


def studies(seed_sd: float, count: int = 500, true_value: float = 0.0) -> list[Effect]:
    rng = np.random.default_rng(20)
    return [effect(a_study(rng, seed_sd, true_value), CLUSTERS, "nats", draws=300, seed=i) for i in range(count)]


# --- rates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_values(hits: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17:857, table I, method 3."""
    r = rate(hits, n)
    assert (r.hits, r.n) == (hits, n)
    # Four printed digits. The plain normal interval gives .2522 to .3637 for 81 of 263 and 0 to 0 for 0 of 20.
    assert r.low == pytest.approx(low, abs=5.1e-5)
    assert r.high == pytest.approx(high, abs=5.1e-5)


def test_a_rate_at_the_edges() -> None:
    assert (rate(0, 0).low, rate(0, 0).high, rate(0, 0).value) == (0.0, 1.0, 0.0)
    assert rate(0, 7).low == 0.0  # rounding would give 3e-17
    assert rate(7, 7).high == 1.0
    for hits, n in [(3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match="between 0 and n"):
            rate(hits, n)


def test_no_hits_support_only_so_much() -> None:
    # Two-sided at 95 % would need 72 and 368; 3 / n would call for 60 and 300.
    assert mde_of_rate(59) < 0.05 < mde_of_rate(58)
    assert mde_of_rate(299) < 0.01 < mde_of_rate(298)
    assert mde_of_rate(0) == 1.0
    for n in (1, 10, 400):  # (1 - rate)^n = .05
        assert mde_of_rate(n) == pytest.approx(1 - 0.05 ** (1 / n), rel=1e-9)
    with pytest.raises(ValueError, match="negative"):
        mde_of_rate(-1)


# --- effects: simulated studies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed_sd", [0.1, 0.25, 0.5])
def test_the_interval_covers_the_truth(seed_sd: float) -> None:
    found = studies(seed_sd)
    coverage = np.mean([e.low <= 0 <= e.high for e in found])
    # Measured .97, .96, .96. Without the seed part .92, .81, .59; rows and clusters resampled together .92, .90, .82;
    # scenarios taken as independent .86 for the first.
    assert 0.94 <= coverage <= 0.995


@pytest.mark.parametrize("seed_sd", [0.1, 0.25, 0.5])
def test_p_seldom_sees_what_is_not_there(seed_sd: float) -> None:
    false_positives = np.mean([e.p is not None and e.p <= 0.05 for e in studies(seed_sd)])
    # Measured .02 to .03. Without the seed part .07, .17, .41; scenarios taken as independent .13 for the first.
    assert false_positives <= 0.05


@pytest.mark.parametrize(("seeds", "between_clusters", "between_seeds"), [(2, 1, 0.1), (3, 0.5, 1), (8, 1, 0.3)])
def test_a_pilot_plans_what_an_effect_then_has(seeds: int, between_clusters: float, between_seeds: float) -> None:
    """A wrong root or a forgotten Student's t would be off by a factor of 1.4 to 6."""
    rng = np.random.default_rng(0)
    names, ratios = [f"c{i // 2}" for i in range(48)], []
    for _ in range(40):
        x = rng.normal(size=24).repeat(2) * between_clusters + rng.normal(size=(seeds, 1)) * between_seeds
        ratios.append(mde_of_effect(spread(x, names), seeds) / (effect(x, names, "nats").mde or inf))
    assert np.median(ratios) == pytest.approx(1, abs=0.12)


def test_more_seeds_find_less_down_to_what_the_clusters_allow() -> None:
    pilot = Spread(clusters=40, between_clusters=0.5, between_seeds=0.3)
    found = [mde_of_effect(pilot, n) for n in range(1, 60)]
    assert found[0] == inf
    assert found == sorted(found, reverse=True)
    enough = seeds_for_effect(0.3, pilot)
    assert enough is not None
    assert mde_of_effect(pilot, enough) <= 0.3 < mde_of_effect(pilot, enough - 1)
    assert seeds_for_effect(0.1, pilot) is None  # 40 clusters alone leave an error of .08


def test_an_effect_as_large_as_the_mde_is_usually_found() -> None:
    mde = float(np.median([e.mde for e in studies(0.1) if e.mde is not None]))
    power = np.mean([e.low > 0 for e in studies(0.1, true_value=mde)])
    # Measured .80. With the plain standard error .56; with z.975 alone, without the power, .47.
    assert 0.70 <= power <= 0.90


# --- effects: values and invariances -------------------------------------------------------------------------------


def test_what_an_effect_says_of_itself() -> None:
    x = a_study(np.random.default_rng(0), 0.1, true_value=1.0)
    e = effect(x, CLUSTERS, "nats a token")
    assert (e.n, e.clusters, e.seeds, e.unit) == (96, 16, 3, "nats a token")
    assert e.value == pytest.approx(x.mean(), rel=1e-12)
    assert e.low < e.value < e.high
    assert e.p is not None
    assert 1 / 4001 <= e.p < 0.01
    assert e.mde == pytest.approx((1.95996 + 0.84162) * (e.high - e.low) / (2 * 1.95996), rel=1e-4)
    assert effect(x, CLUSTERS, "nats a token") == e
    assert effect(x, CLUSTERS, "nats a token", seed=1) != e


def test_negating_negates() -> None:
    x = a_study(np.random.default_rng(1), 0.2, true_value=0.3)
    e, m = effect(x, CLUSTERS, "nats"), effect(-x, CLUSTERS, "nats")
    # Exact but for rounding: a seed part drawn with one sign only would be off by 1 to 3 % of the width.
    assert (m.value, m.low, m.high) == pytest.approx((-e.value, -e.high, -e.low), rel=1e-9)
    assert (m.p, m.mde) == pytest.approx((e.p, e.mde), rel=1e-9)


def test_a_change_of_unit_changes_the_unit_only() -> None:
    x = a_study(np.random.default_rng(2), 0.2, true_value=0.3)
    e, m = effect(x, CLUSTERS, "nats"), effect(1000 * x, CLUSTERS, "millinats")
    assert (m.value, m.low, m.high, m.mde) == pytest.approx([1000 * v for v in (e.value, e.low, e.high, e.mde or inf)])
    assert m.p == pytest.approx(e.p)  # an absolute tolerance for ties would move it


@pytest.mark.parametrize("clusters", [CLUSTERS, [f"{i // 10}" for i in range(96)]])
def test_the_order_of_scenarios_and_seeds_is_no_matter(clusters: list[str]) -> None:
    x = a_study(np.random.default_rng(3), 0.2, true_value=0.2)
    order = np.random.default_rng(4).permutation(96)
    e = effect(x, clusters, "nats")
    m = effect(x[[2, 0, 1]][:, order], [clusters[i] for i in order], "nats")
    # Rounding only. Clusters left behind by the permutation would leave .57 of the width.
    assert (m.value, m.low, m.high, m.p, m.mde) == pytest.approx((e.value, e.low, e.high, e.p, e.mde), rel=1e-9)


def test_the_names_of_the_clusters_are_no_matter_beyond_the_draws() -> None:
    x = a_study(np.random.default_rng(3), 0.2, true_value=0.2)
    e = effect(x, CLUSTERS, "nats")
    m = effect(x, [c[::-1] for c in CLUSTERS], "nats")
    # Another order of the same clusters is another draw, which moves a limit by 1 % of the width and p by .004. Names
    # taken as values (a cluster dropped, say) would move the value itself.
    assert (m.low, m.high) == pytest.approx((e.low, e.high), abs=0.05 * (e.high - e.low))
    assert m.p == pytest.approx(e.p, abs=0.02)
    assert m.value == e.value


def test_copies_of_a_scenario_are_no_evidence() -> None:
    x = a_study(np.random.default_rng(5), 0.1, true_value=0.2)
    e, m = effect(x, CLUSTERS, "nats"), effect(np.tile(x, 10), CLUSTERS * 10, "nats")
    # Scenarios taken as independent would shrink the width by sqrt(10).
    assert (m.value, m.low, m.high, m.p) == pytest.approx((e.value, e.low, e.high, e.p), rel=1e-9)


def test_seeds_that_disagree_widen_the_interval_and_raise_p() -> None:
    x = np.tile(a_study(np.random.default_rng(6), 0.0, true_value=0.6).mean(axis=0), (3, 1))
    agree = effect(x, CLUSTERS, "nats")
    disagree = effect(x + np.array([[-0.4], [0.0], [0.4]]), CLUSTERS, "nats")
    assert disagree.value == pytest.approx(agree.value)
    # t(2) at .975 is 4.30, the standard error .231: 2 in all. Without the seed part the widths are the same.
    assert disagree.high - disagree.low > 1.9 > agree.high - agree.low
    assert agree.p is not None
    assert disagree.p is not None
    assert disagree.p > 0.05 > agree.p


def sign_flip_reference(x: Floats, clusters: list[str]) -> float:
    """p by the book: every sign of every cluster."""
    parts = [x[[c == name for c in clusters]].sum() for name in sorted(set(clusters))]
    flipped = [
        abs(sum(s * part for s, part in zip(signs, parts, strict=True)))
        for signs in product([1, -1], repeat=len(parts))
    ]
    return float(np.mean([f >= abs(sum(parts)) or isclose(f, abs(sum(parts))) for f in flipped]))


@pytest.mark.parametrize("shift", [0.0, 0.4, 2.0])
def test_p_is_the_exact_one_for_few_clusters(shift: float) -> None:
    x = shift + np.random.default_rng(7).normal(size=20)
    clusters = list("aaaabbbccdddddeefghh")  # of unequal size
    # Exact. (b + 1) / (m + 1) would give .0117 in place of .0078 where all agree, one side half of it.
    assert effect(x, clusters, "nats").p == pytest.approx(sign_flip_reference(x, clusters), abs=1e-12)
    assert effect(np.ones(20), clusters, "nats").p == 2 / 2**8


def test_p_is_never_below_that_of_the_clusters_alone() -> None:
    x = a_study(np.random.default_rng(8), 0.01, true_value=3.0)[:, :60]
    # Noise breaks the tie of the unflipped sum with itself: adding it alone would give half of 2 / 2^10.
    assert effect(x, CLUSTERS[:60], "nats").p == pytest.approx(2 / 2**10, rel=0.05)


def test_one_seed_or_one_cluster_says_nothing_of_the_next() -> None:
    one_seed = effect(np.ones((1, 96)), CLUSTERS, "nats")
    one_cluster = effect(np.ones((3, 96)), ["only"] * 96, "nats")
    neither = effect(np.ones((1, 1)), ["only"], "nats")
    for e in (one_seed, one_cluster, neither):
        assert (e.value, e.low, e.high, e.p, e.mde) == (1.0, -inf, inf, 1.0, inf)
    assert (one_seed.seeds, one_seed.clusters, one_cluster.seeds, one_cluster.clusters) == (1, 16, 3, 1)


def test_a_given_model_has_no_other_seeds() -> None:
    x = a_study(np.random.default_rng(9), 0.0, true_value=1.0)[0]
    e = effect(x, CLUSTERS, "nats")
    assert e.seeds == 1
    assert e.p is not None
    assert e.p < 0.01
    # t(15) at .975 times the standard error of the 16 cluster means; the bootstrap is a little skewed and noisy.
    half = 2.131 * x.reshape(16, 6).mean(axis=1).std(ddof=1) / 4
    assert (e.high - e.low) / 2 == pytest.approx(half, rel=0.08)  # 96 independent scenarios: 43 % of it


def test_nothing_at_all_is_nothing() -> None:
    e = effect(np.zeros((3, 96)), CLUSTERS, "nats")
    assert (e.value, e.low, e.high, e.p, e.mde) == (0.0, 0.0, 0.0, 1.0, 0.0)


def test_what_effect_refuses() -> None:
    for x, clusters in [(np.ones((3, 4)), ["a"] * 3), (np.ones((2, 3, 4)), ["a"] * 3), (np.ones((0, 0)), [])]:
        with pytest.raises(ValueError, match=r"\[seeds, scenarios\]"):
            effect(x, clusters, "nats")
    with pytest.raises(ValueError, match="NaN"):
        effect(np.array([[1.0, np.nan]]), ["a", "b"], "nats")


def test_effect_is_fast() -> None:
    x, clusters = np.random.default_rng(0).normal(size=(3, 100)), [str(i) for i in range(100)]
    seconds = []
    for _ in range(6):
        start = time.thread_time()
        effect(x, clusters, "nats")
        seconds.append(time.thread_time() - start)
    # This thread's own time: the machine may be busy. Measured .014 with 100 clusters; a loop over the draws takes .09.
    assert min(seconds) < 0.05


# --- families and pairs --------------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    # .005·4, .01·3, .03·2, and .04·1 lifted to the .06 before it. Bonferroni gives .04, .16, .12, .02.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_mcnemar_by_hand() -> None:
    before = np.array([True] * 9 + [False] * 1 + [True] * 5 + [False] * 20)
    after = np.array([False] * 9 + [True] * 1 + [True] * 5 + [False] * 20)
    # Ten changed, nine of them one way: 2 (1 + 10) / 2^10 = .0215. Chi-square gives .0114, corrected .0269.
    assert mcnemar(before, after) == pytest.approx(22 / 1024, rel=1e-9)
    assert mcnemar(after, before) == pytest.approx(22 / 1024, rel=1e-9)
    assert mcnemar(before, before) == 1.0
    with pytest.raises(ValueError, match="same items"):
        mcnemar(before, after[1:])


# --- rankings ------------------------------------------------------------------------------------------------------


def precision_reference(in_order: list[bool]) -> float:
    """Average precision of a list without ties, best first."""
    hits, total = 0, 0.0
    for rank, positive in enumerate(in_order, start=1):
        if positive:
            hits += 1
            total += hits / rank
    return total / hits


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6).filter(lambda d: any(p for _, p in d))
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_average_precision_is_its_mean_over_the_orders_of_ties(documents: list[tuple[int, bool]]) -> None:
    orders = [o for o in permutations(documents) if all(a[0] >= b[0] for a, b in pairwise(o))]
    expected = np.mean([precision_reference([positive for _, positive in o]) for o in orders])
    scores, positive = [s for s, _ in documents], [p for _, p in documents]
    # Exact. Ties in input order, or as one step (scikit-learn), give .5 or 1 where a tied pair has .75.
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-12)


def test_average_precision_without_ties() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=500), rng.random(500) < 0.1
    expected = precision_reference([bool(positive[i]) for i in np.argsort(-scores)])
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-12)  # the other way up: half
    assert average_precision(np.exp(scores), positive) == pytest.approx(expected, abs=1e-12)  # ranks only


def test_the_interval_of_average_precision() -> None:
    rng = np.random.default_rng(1)
    positive = np.arange(200) < 20
    scores = rng.normal(size=200) + 2 * positive
    low, high = average_precision_interval(scores, positive, draws=400, seed=3)
    assert low < average_precision(scores, positive) < high
    # Simulated: the value has a standard deviation of .09 from one such corpus to the next, the mean width is .33.
    assert 0.15 < high - low < 0.5
    order = rng.permutation(200)
    assert average_precision_interval(scores[order], positive[order], draws=400, seed=3) == (low, high)
    assert average_precision_interval(positive.astype(float), positive, draws=50) == (1.0, 1.0)
    assert average_precision_interval([1.0, 2.0], [True, True], draws=50) == (1.0, 1.0)


def test_what_average_precision_refuses() -> None:
    with pytest.raises(ValueError, match="at least one positive"):
        average_precision([1.0], [False])
    with pytest.raises(ValueError, match="same documents"):
        average_precision([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="NaN"):
        average_precision([np.nan], [True])


# --- the module ----------------------------------------------------------------------------------------------------


def test_importing_stats_loads_neither_scipy_nor_statsmodels() -> None:
    code = "import sys, etiology.stats; print({'scipy', 'statsmodels', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
