"""The sequential test: what looking often costs, what it finds, and what does not change it."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etiology import stats
from etiology.stats.sequential import running

ALPHA = 0.05
shares = st.lists(st.floats(-1, 1), min_size=1, max_size=12)


def null(rng, kind, n):
    """Differences of clusters whose mean is 0, in several shapes."""
    if kind == "answers":  # one answer on each side
        return rng.binomial(1, 0.3, n) - rng.binomial(1, 0.3, n)
    if kind == "rare":  # almost nothing, and once in a while everything
        return np.where(rng.random(n) < 0.05, 1.0, -0.05 / 0.95)
    if kind == "shares":
        return rng.binomial(10, 0.5, n) / 10 - rng.binomial(10, 0.5, n) / 10
    return rng.normal(0, 0.2, n).clip(-1, 1)


@pytest.mark.parametrize("kind", ["answers", "rare", "shares", "normal"])
def test_looking_after_every_cluster_raises_few_false_alarms(kind):
    rng = np.random.default_rng(3)
    runs = 400
    alarms = sum(max(running(null(rng, kind, 60))) >= 1 / ALPHA for _ in range(runs))
    # 20 are allowed; a t-test at 5 % after each cluster raises some 100 here.
    assert alarms <= 20 + 3 * np.sqrt(runs * ALPHA * (1 - ALPHA))


def test_the_same_looks_by_a_t_test_would_cheat():
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(3)
    many = [null(rng, "shares", 60) for _ in range(100)]
    alarms = sum(any(ttest_1samp(d[:n], 0, alternative="greater").pvalue < ALPHA for n in range(5, 61)) for d in many)
    assert alarms > 15


def test_the_confidence_sequence_holds_the_mean_at_every_look():
    rng = np.random.default_rng(5)
    left_out = 0
    for _ in range(150):
        d = (rng.random(24) < 0.4).astype(float) - (rng.random(24) < 0.2)
        left_out += any(not low <= 0.2 <= high for low, high in (stats.bounds(d[:n]) for n in range(2, 25, 2)))
    assert left_out <= 150 * ALPHA + 3 * np.sqrt(150 * ALPHA * 0.95)


def test_a_rise_is_found():
    rng = np.random.default_rng(1)
    found = [stats.e_value(rng.binomial(4, 0.6, 16) / 4 - rng.binomial(4, 0.2, 16) / 4) >= 20 for _ in range(100)]
    assert sum(found) > 60  # 72; a rise of 40 points over 16 organisations


@given(shares)
def test_the_order_of_clusters_does_not_matter(d):
    assert stats.e_value(d[::-1]) == pytest.approx(stats.e_value(d))


@given(shares, st.floats(-0.9, 0.9))
def test_a_higher_tolerance_leaves_less_evidence(d, mean):
    assert stats.e_value(d, mean + 0.05) <= stats.e_value(d, mean) + 1e-9


@given(shares)
def test_bounds_mirror_and_agree_with_the_evidence(d):
    low, high = stats.bounds(d)
    flipped = stats.bounds([-x for x in d])
    assert flipped == pytest.approx((-high, -low), abs=1e-6)
    assert low <= high
    if low > -1:
        assert stats.e_value(d, low - 1e-6) >= 2 / ALPHA - 1e-6


def test_the_least_rise_is_just_enough():
    least = stats.least_rise(16, ALPHA)
    assert stats.e_value(np.full(16, least + 1e-6)) >= 20 > stats.e_value(np.full(16, least - 1e-3))
    assert stats.least_rise(3, ALPHA) == inf
    assert stats.e_value([]) == 1
    with pytest.raises(ValueError, match="from -1 to 1"):
        stats.e_value([1.5])
