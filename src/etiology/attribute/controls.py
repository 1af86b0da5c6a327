"""Negative controls of the concept direction: what such a direction finds where there is nothing to find.

- *Permuted labels*: directions from the same instances, of which a random half have completion and control swapped.
  What both answers have against the corpus, such as the topic, is in these directions too. The highest score that any
  document has along any of NULLS such directions is the bar: by chance alone a document passes it in one corpus of
  NULLS + 1.
- *An unrelated concept*: the weather against furniture. Documents that both directions rank high are no finding.
- *Each instance against the others*: does the direction of the others put its completion above its control? By chance
  it does so in half of them.

Scores are in standard deviations of the corpus's sample, so that directions can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etiology import stats
from etiology.attribute import concept

Floats = NDArray[np.float32]

NULLS: Final = 19
FEWEST: Final = 6
"""Instances from which labels are permuted: of fewer there are too few halves."""
WEATHER: Final = (
    "It rained from noon until the lamps were lit.",
    "The fog came up from the river and stayed all morning.",
    "Snow is forecast for the hills above the town.",
    "A dry wind blew from the south for three days.",
    "The frost had gone from the windows by ten.",
    "Thunder was heard over the bay, and then nothing.",
    "Cloud will clear from the west towards evening.",
    "The hottest day of the year was a Tuesday.",
)
FURNITURE: Final = (
    "The table was oak and seated eight.",
    "One drawer of the desk had lost its handle.",
    "The shelves run along the north wall of the room.",
    "A low stool stood between the two armchairs.",
    "The wardrobe came apart into four pieces.",
    "Her bed had a carved board at its foot.",
    "The sofa is covered in green cloth.",
    "The cupboard in the hall holds the plates.",
)
"""The unrelated concept: sentences of two subjects that nobody is pressed by."""


@dataclass(frozen=True)
class Controls:
    """``matched`` instances have a control, and the others' direction puts the completion of ``agree`` of them above
    it (``low``, ``high``: 95 % interval of the share). ``above`` of the ``top`` documents pass the ``bar`` of ``nulls``
    permuted directions, in standard deviations; ``unrelated`` of them are among as many that the unrelated concept
    ranks highest, ``expected`` by chance.
    """

    matched: int
    agree: int
    low: float
    high: float
    nulls: int
    bar: float
    top: int
    above: int
    unrelated: int
    expected: float


def permuted(states: Sequence[Sequence[Floats]], corpus: Floats, seed: int) -> Floats:
    """Directions [NULLS, d] of length 1 from permuted labels; none of fewer than FEWEST instances. ``states``: mean
    hidden states of each instance's answers, the completion first; ``corpus``: hidden states [tokens, d].
    """
    count = len(states)
    if count < FEWEST:
        return np.zeros((0, corpus.shape[1]), np.float32)
    mean = corpus.mean(axis=0)
    as_told = concept.differences(states, mean)
    swapped = concept.differences([[mean, own[0]] if len(own) == 1 else own[::-1] for own in states], mean)
    chance = np.random.default_rng(seed)
    halves = chance.random((NULLS, count)).argsort(axis=1) < count // 2
    rows = np.stack([np.where(half[:, None], swapped, as_told).mean(axis=0) for half in halves])
    return _unit(concept.whitened(rows.astype(np.float32), corpus))


def agreeing(states: Sequence[Sequence[Floats]], parts: Floats) -> tuple[int, int]:
    """(instances with a control, those of them whose completion the others' direction puts above it). ``parts``: each
    instance's part [instances, d] of the direction.
    """
    matched = [i for i, own in enumerate(states) if len(own) > 1]
    if len(parts) < 2:
        return len(matched), 0
    total = parts.sum(axis=0)
    return len(matched), sum(float((states[i][0] - states[i][1]) @ (total - parts[i])) > 0 for i in matched)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def concluded(
    agreement: tuple[int, int],
    scores: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    best: NDArray[np.intp],
) -> Controls | None:
    """The controls, from (own, highest of the permuted, unrelated) scores of all documents that were read and the
    ``best`` documents' places among them. None where no labels were permuted.
    """
    own, null, unrelated = scores
    if np.isnan(null).all():
        return None
    matched, agree = agreement
    share = stats.rate(agree, matched) if matched else None
    bar, highest = float(null.max()), np.argsort(-unrelated, kind="stable")[: len(best)]
    return Controls(
        matched=matched,
        agree=agree,
        low=share.low if share else 0.0,
        high=share.high if share else 1.0,
        nulls=NULLS,
        bar=bar,
        top=len(best),
        above=int((own[best] > bar).sum()),
        unrelated=int(np.isin(best, highest).sum()),
        expected=len(best) ** 2 / len(own),
    )
