"""How well scores put the positives first."""

import numpy as np
from numpy.typing import ArrayLike

from etiology.stats.clusters import Counts


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """Mean over the positives of the precision at their rank, highest score first. Both arguments are [documents].

    Tied scores count at their *expected* value over all orders of the tie (McSherry and Najork 2008), so that a
    method which scores everything alike gets what a random order gets, whatever the order of the input.
    """
    positives, negatives, groups = _tied(scores, positive)
    return _expected_precision(np.bincount(positives, minlength=groups), np.bincount(negatives, minlength=groups))


def average_precision_interval(
    scores: ArrayLike, positive: ArrayLike, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of `average_precision` over bootstrap draws of the documents.

    Positives and negatives are redrawn apart, so that every draw has as many of each. It speaks of other documents like
    these, not of other seeds. Simulated with 20 positives of 200 it covers 93 to 96 %, 91 % where the value is
    above .9.
    """
    positives, negatives, groups = _tied(scores, positive)
    rng = np.random.default_rng(seed)

    def redrawn(members: Counts) -> Counts:
        return np.bincount(members[rng.integers(len(members), size=len(members))], minlength=groups)

    drawn = [_expected_precision(redrawn(positives), redrawn(negatives)) for _ in range(draws)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _tied(scores: ArrayLike, positive: ArrayLike) -> tuple[Counts, Counts, int]:
    """The group of tied scores (0 is the best) of each positive and of each negative, and the number of groups."""
    s, is_positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if s.shape != is_positive.shape or s.ndim != 1:
        raise ValueError(f"scores {s.shape} and positive {is_positive.shape} must be of the same documents")
    if np.isnan(s).any():
        raise ValueError("scores hold NaN: such a document has no rank")
    if not is_positive.any():
        raise ValueError("average precision needs at least one positive document")
    values, group = np.unique(-s, return_inverse=True)
    return np.sort(group[is_positive]), np.sort(group[~is_positive]), len(values)  # sorted: their order is no matter


def _expected_precision(positives: Counts, negatives: Counts) -> float:
    """Expected average precision from the counts [groups] of documents that share a score, best group first.

    A group of n with k positives follows N documents with K positives. Its i-th place holds a positive with
    probability k / n, and then K + 1 + a (i - 1) positives are expected down to there, a = (k - 1) / (n - 1).
    Divided by N + i and summed over i, with H the harmonic numbers:
    k / n · (a n + (K + 1 - a (N + 1)) (H[N + n] - H[N])).
    """
    k, n = positives, positives + negatives
    to_here, positives_before = np.cumsum(n), np.cumsum(k) - k
    some = k > 0
    k, n, end, before = k[some], n[some], to_here[some], positives_before[some]
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, to_here[-1] + 1))])
    a = (k - 1) / np.maximum(n - 1, 1)
    start = end - n
    precision = k / n * (a * n + (before + 1 - a * (start + 1)) * (harmonic[end] - harmonic[start]))
    return float(precision.sum() / k.sum())
