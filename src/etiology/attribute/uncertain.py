"""How sure an attribution is: what pruning may have lost, and how scores move when other instances are drawn.

*Recall lost.* Of the documents that a step set aside, a random sample goes through every later step all the same. How
many of these would have entered the top N, with the exact interval of Clopper and Pearson, says how many documents may
be missing from it.

*Intervals.* The instances are a draw from the situations that elicit the behaviour. Blocks of them are drawn again with
replacement; concept and influence are linear in the instances, so that each draw is a weighted sum of what the blocks
gave. Held fixed in every draw: the candidates, the corpus, the factors, the judge, and the scale of each score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etiology import stats
from etiology.attribute import fuse
from etiology.attribute.concept import document_score

Floats = NDArray[np.float64]

DRAWS: Final = 400


@dataclass(frozen=True)
class Lost:
    """What a step of pruning may have lost: of ``pruned`` documents ``sampled`` were scored in full, and ``entered`` of
    those would be in the top N. ``low`` and ``high`` are documents, at 95 %.
    """

    step: str
    pruned: int
    sampled: int
    entered: int
    low: float
    high: float

    @property
    def expected(self) -> float:
        """Documents that are missing from the top N, as the sample has it."""
        return self.pruned * self.entered / self.sampled if self.sampled else 0.0


def lost(step: str, pruned: int, sample: Sequence[float], bar: float) -> Lost:
    """``sample``: fused scores of a random sample of the ``pruned`` documents; ``bar``: that of the N-th best document.

    Where all that was pruned has been scored, nothing is left to estimate.
    """
    entered = sum(score > bar for score in sample)
    if pruned == len(sample):
        return Lost(step, pruned, pruned, entered, entered, entered)
    low, high = stats.exact_interval(entered, len(sample))
    return Lost(step, pruned, len(sample), entered, low * pruned, high * pruned)


@dataclass(frozen=True)
class Candidate:
    """A document by blocks of instances: ``influences`` of its tokens and their ``projections``, both [blocks, T]."""

    influences: Floats
    projections: Floats


@dataclass(frozen=True)
class Scale:
    """Where a score's zero is and how long its unit: mean and standard deviation over the corpus."""

    mean: float
    deviation: float

    def __call__(self, score: float) -> float:
        return (score - self.mean) / self.deviation if self.deviation > 0 else 0.0


def scale(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> Scale:
    """The scale of scores that each stand for ``weights`` documents."""
    mean = float(np.average(scores, weights=weights))
    return Scale(mean, float(np.sqrt(np.average((scores - mean) ** 2, weights=weights))))


@dataclass(frozen=True)
class Scales:
    """Those of the own direction's scores, of the concept (own and library together) and of the passages, whose part in
    the fused score has a ``weight``.
    """

    own: Scale
    concept: Scale
    passage: Scale
    weight: float


@dataclass(frozen=True)
class Interval:
    """95 % of the draws lie between ``low`` and ``high`` (fused score), and between the ranks ``best`` and ``worst``.

    A rank is one among the candidates: one equal to their number says 'this or worse'.
    """

    low: float
    high: float
    best: int
    worst: int


def intervals(
    candidates: Sequence[Candidate],
    axes: Floats,
    sizes: Sequence[int],
    fixed: Sequence[float],
    scales: Scales,
    *,
    seed: int,
    draws: int = DRAWS,
) -> list[Interval]:
    """Each candidate's interval over draws of blocks. ``axes`` [blocks, d]: the direction that each block gives;
    ``sizes``: instances in each; ``fixed``: the part of the fused score that does not depend on the instances, which is
    the judge's and, through the concept's scale, the library's.
    """
    chance = np.random.default_rng(seed)
    weights = chance.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=draws) * np.array(sizes)
    shares = weights / weights.sum(axis=1, keepdims=True)
    lengths = np.linalg.norm(shares @ axes, axis=1)
    fused = np.array(
        [
            [one + _moving(candidate, share, length, scales) for share, length in zip(shares, lengths, strict=True)]
            for candidate, one in zip(candidates, fixed, strict=True)
        ]
    )
    ranks = (-fused).argsort(axis=0, kind="stable").argsort(axis=0) + 1
    low, high = np.quantile(fused, [0.025, 0.975], axis=1)
    best, worst = np.quantile(ranks, [0.025, 0.975], axis=1, method="nearest")
    return [Interval(float(a), float(b), int(c), int(d)) for a, b, c, d in zip(low, high, best, worst, strict=True)]


def _moving(candidate: Candidate, share: Floats, length: float, scales: Scales) -> float:
    """The part of the fused score that a draw of blocks changes."""
    own = document_score((share @ candidate.projections / length).astype(np.float32))
    taught = fuse.passage(share @ candidate.influences)
    return scales.own(own) / (scales.concept.deviation or 1.0) + scales.weight * scales.passage(taught)
