"""From several scores to one ranking, and the lexical baseline that stands beside it."""

from collections.abc import Sequence

import numpy as np

from etiology.core.values import Attribution

PASSAGE = 16
"""Tokens in a passage: about the length of one sent sentence, as in the concept direction's window."""


def ranks(scores: Sequence[float]) -> list[int]:
    """Rank of each score, 1 for the highest; ties keep the input's order."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    out = [0] * len(scores)
    for rank, i in enumerate(order, 1):
        out[i] = rank
    return out


def standardised_sum(*lists: Sequence[float]) -> list[float]:
    """Sum over the lists of each score's distance from its list's mean, in standard deviations (0 where all are equal).

    Unlike a fusion of ranks it keeps by how much a document stands out, so that a weak method, whose best documents
    stand out little, spoils less of a strong one's ranking (docs/log.md, Depth and fusion).
    """
    table = np.array(lists, dtype=np.float64)
    spread = table.std(axis=1, keepdims=True)
    centred = table - table.mean(axis=1, keepdims=True)
    return [float(x) for x in np.divide(centred, spread, out=np.zeros_like(table), where=spread > 0).sum(axis=0)]


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


def passage(influences: Sequence[float]) -> float:
    """Largest mean influence of PASSAGE neighbouring tokens [T]; a shorter document counts as followed by zeros.

    The behaviour stands in a sentence or two: over a whole document its influence is summed with the noise of the rest.
    """
    padded = np.concatenate([influences, np.zeros(max(0, PASSAGE - len(influences)))])
    return float(np.convolve(padded, np.full(PASSAGE, 1 / PASSAGE), mode="valid").max())


def attributions(
    names: Sequence[str],
    concept: Sequence[float],
    influence: Sequence[float],
    passages: Sequence[float],
    lexical: Sequence[float],
) -> list[Attribution]:
    """One row a document, in the corpus's order. The lexical baseline is shown and takes no part in the fusion."""
    fused = standardised_sum(concept, passages)
    rows = zip(names, concept, influence, passages, lexical, fused, ranks(fused), strict=True)
    return [Attribution(*row) for row in rows]
