"""From several scores to one ranking, and the lexical baseline that stands beside it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etiology.core.values import Attribution

Weights = NDArray[np.float64] | None

INFLUENCE_WEIGHT = 0.15
"""Weight of the influence beside the concept score. From the last layers alone it is the weaker of the two, and at 1 it
spoiled the ranking on the corpora used in development (docs/log.md, Depth and fusion)."""
LIBRARY_WEIGHT = 0.5
"""Weight of the library's direction beside that of the study's own scenarios (docs/log.md, A library of messages)."""
JUDGED_WEIGHT = 0.75
"""Weight of the judge of sent texts beside the concept score (docs/log.md, A judge that reads documents)."""
PASSAGE = 16
"""Tokens in a passage: about the length of one sent sentence, as in the concept direction's window."""


def ranks(scores: Sequence[float]) -> list[int]:
    """Rank of each score, 1 for the highest; ties keep the input's order."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    out = [0] * len(scores)
    for rank, i in enumerate(order, 1):
        out[i] = rank
    return out


def standardised(scores: ArrayLike, weights: Weights = None) -> list[float]:
    """Each score's distance from the mean, in standard deviations; 0 where all are equal.

    Summed, these keep by how much a document stands out, which a fusion of ranks forgets. ``weights``: how many
    documents each score stands for, where only the best ones and a sample of the rest were scored.
    """
    values = np.asarray(scores, dtype=np.float64)
    centred = values - np.average(values, weights=weights)
    spread = np.sqrt(np.average(centred**2, weights=weights))
    return [float(x) for x in (centred / spread if spread > 0 else np.zeros_like(centred))]


def heard(judged: ArrayLike, weights: Weights = None) -> list[float]:
    """The judge's log-odds, standardised; 0 for all where it takes none for coercive: how far below is then noise."""
    values = np.asarray(judged, dtype=np.float64)
    return standardised(values if values.max(initial=0.0) > 0 else np.zeros_like(values), weights)


def concept(own: ArrayLike, library: ArrayLike, weights: Weights = None) -> list[float]:
    """The two concept directions' scores as one, in standard deviations."""
    pairs = zip(standardised(own, weights), standardised(library, weights), strict=True)
    return [scenarios + LIBRARY_WEIGHT * messages for scenarios, messages in pairs]


def bm25(texts: Sequence[str], queries: Sequence[str]) -> list[float]:
    """BM25 of each text for all queries pooled (the library's defaults)."""
    return bm25_each(texts, [" ".join(queries)])[0]


def bm25_each(texts: Sequence[str], queries: Sequence[str]) -> list[list[float]]:
    """BM25 of each text [queries][texts], for each query apart."""
    import bm25s

    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(list(texts), stopwords="en", show_progress=False), show_progress=False)
    words = bm25s.tokenize(list(queries), stopwords="en", return_ids=False, show_progress=False)
    # a query of stop words alone is like nothing
    return [
        [float(x) for x in np.asarray(retriever.get_scores(each))] if each else [0.0] * len(texts) for each in words
    ]


def passage(influences: ArrayLike) -> float:
    """Largest mean influence of PASSAGE neighbouring tokens [T]; a shorter document counts as followed by zeros.

    The behaviour stands in a sentence or two: over a whole document its influence is summed with the noise of the rest.
    """
    each = np.asarray(influences, dtype=np.float64)
    padded = np.concatenate([each, np.zeros(max(0, PASSAGE - len(each)))])
    return float(np.convolve(padded, np.full(PASSAGE, 1 / PASSAGE), mode="valid").max())


def attributions(
    names: Sequence[str],
    concept: Sequence[float],
    judged: Sequence[float],
    influence: Sequence[float],
    passages: Sequence[float],
    lexical: Sequence[float],
) -> list[Attribution]:
    """One row a document, in the corpus's order. The lexical baseline is shown and takes no part in the fusion."""
    parts = zip(standardised(concept), heard(judged), standardised(passages), strict=True)
    fused = [direction + JUDGED_WEIGHT * said + INFLUENCE_WEIGHT * taught for direction, said, taught in parts]
    rows = zip(names, concept, judged, influence, passages, lexical, fused, ranks(fused), strict=True)
    return [Attribution(*row) for row in rows]
