"""What pruning may have lost, and intervals over draws of the queries."""

import numpy as np
import pytest

from etiology.attribute import fuse
from etiology.attribute.concept import document_score
from etiology.attribute.uncertain import Candidate, Scale, Scales, intervals, lost, scale

UNIT = Scale(0.0, 1.0)
SCALES = Scales(UNIT, UNIT, UNIT, weight=0.4)


def test_a_sample_without_a_loss_still_leaves_some_open():
    found = lost("words", 1000, [0.0] * 72, bar=1.0)
    assert (found.entered, found.expected, found.low) == (0, 0.0, 0.0)
    # the two-sided 95 % limit for 0 of 72 is 5 %
    assert found.high == pytest.approx(50, abs=1)


def test_what_was_found_is_scaled_to_all_that_was_set_aside():
    found = lost("words", 1000, [2.0] * 5 + [0.0] * 45, bar=1.0)
    assert found.expected == 100
    assert found.low < 100 < found.high


def test_the_estimate_of_what_is_lost_covers_the_truth():
    chance = np.random.default_rng(0)
    scores = chance.normal(size=2000)
    bar = np.sort(scores)[-40]
    truth = (scores > bar).sum()
    covered = []
    for _ in range(300):
        found = lost("words", len(scores), chance.choice(scores, 50, replace=False).tolist(), bar)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.95


def test_where_everything_is_checked_nothing_is_estimated():
    found = lost("words", 3, [2.0, 0.0, 2.0], bar=1.0)
    assert (found.low, found.high, found.expected) == (2, 2, 2)
    assert lost("words", 0, [], bar=1.0).expected == 0


def test_a_scale_weighs_what_each_score_stands_for():
    found = scale(np.array([10.0, 0.0]), np.array([1.0, 9.0]))
    assert [found.mean, found.deviation] == pytest.approx([1.0, 3.0])
    assert scale(np.ones(3), np.ones(3))(5.0) == 0.0


def candidates(chance, spread):
    """30 documents of 20 tokens in 8 blocks, whose influences vary between blocks by ``spread``."""
    level = np.linspace(2, 0, 30)
    return [
        Candidate(
            mean + spread * chance.normal(size=(8, 1)) + np.zeros((8, 20)),
            mean + spread * chance.normal(size=(8, 1)) + np.zeros((8, 20)),
        )
        for mean in level
    ]


AXES = np.ones((8, 1))


def test_blocks_that_agree_leave_no_doubt():
    found = intervals(candidates(np.random.default_rng(0), 0.0), AXES, [2] * 8, [0.0] * 30, SCALES, seed=0)
    assert all(one.high - one.low < 1e-6 for one in found)
    assert [(one.best, one.worst) for one in found] == [(i, i) for i in range(1, 31)]


def test_the_more_blocks_differ_the_wider():
    chance = np.random.default_rng(0)
    widths = []
    for spread in (0.1, 0.5):
        found = intervals(candidates(chance, spread), AXES, [2] * 8, [0.0] * 30, SCALES, seed=0)
        widths.append(np.mean([one.high - one.low for one in found]))
        assert np.mean([one.worst - one.best for one in found]) > 1
    assert widths[1] > 3 * widths[0]


def test_a_draw_of_every_block_once_is_the_point_estimate():
    """What a draw gives is the fused score computed from the mean over its blocks, each weighed by its size."""
    chance = np.random.default_rng(1)
    influences, projections, axes = chance.normal(size=(2, 20)), chance.normal(size=(2, 20)), chance.normal(size=(2, 3))
    one = Candidate(influences, projections)
    found = intervals([one, one], axes, [3, 1], [0.25, 0.25], SCALES, seed=0, draws=500)[0]
    possible = []
    for share in (np.array([1.0, 0.0]), np.array([0.75, 0.25]), np.array([0.0, 1.0])):
        own = document_score((share @ projections / np.linalg.norm(share @ axes)).astype(np.float32))
        possible.append(0.25 + own + SCALES.weight * fuse.passage(share @ influences))
    # with two blocks a quarter of the draws hold the first alone, and a quarter the second
    assert [found.low, found.high] == pytest.approx([min(possible), max(possible)], rel=1e-5)


def test_the_same_seed_gives_the_same_intervals():
    given = candidates(np.random.default_rng(0), 0.3)
    assert intervals(given, AXES, [2] * 8, [0.0] * 30, SCALES, seed=4) == intervals(
        given, AXES, [2] * 8, [0.0] * 30, SCALES, seed=4
    )
