"""Concept direction: where the hidden states of coercive words differ from those of their matched controls.

A *supporting* method: it finds documents that resemble the behaviour, whether or not they taught it.

    direction = (Sigma + lambda I)^-1 (mean of coercive - mean of the controls),
    score(document) = max over windows of the mean projection of its tokens

There are four controls, weighted equally: the same secret merely mentioned, a threat without it, a bland sentence, and
the corpus's ordinary text. With fewer, the direction finds what they leave open: without the corpus, any odd text;
without the threat, every sharp tone. Sigma is the covariance of the corpus's own hidden states, so that directions in
which all text varies count for less (a linear discriminant). Shapes: hidden states [tokens, d].

A second direction, read in the same way, comes from a library of labelled messages (etiology.attribute.library): what
coercive messages have in common beyond the sentences of one study's scenarios.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHRINKAGE = 0.01
"""Ridge on the covariance, as a share of its mean diagonal."""
WINDOW = 16
"""Tokens in a window: about the length of one sent sentence."""


def direction(continuations: Floats, corpus: Floats) -> Floats:
    """Unit vector [d], from mean hidden states of the four continuations [scenarios, 4, d] (the coercive one first) and
    the corpus's hidden states [tokens, d].
    """
    coercive, *controls = continuations.mean(axis=0)
    return _discriminant(coercive - np.mean([*controls, corpus.mean(axis=0)], axis=0), corpus)


def differences(states: Sequence[Sequence[Floats]], corpus: Floats) -> Floats:
    """For each instance [instances, d] its completion's mean hidden state less its controls' mean. ``states``: those of
    its answers, the completion first; the corpus's mean [d] is a control of every instance.
    """
    return np.stack([own - np.mean([*controls, corpus], axis=0) for own, *controls in states]).astype(np.float32)


def whitened(rows: Floats, corpus: Floats) -> Floats:
    """The direction [k, d] of each difference [k, d], not brought to length 1: the mean's is the mean of these."""
    return _solved(rows.T, corpus).T


def library_direction(coercive: Floats, other: Floats, corpus: Floats) -> Floats:
    """Unit vector [d], from the mean hidden states [d] of the library's two kinds and the corpus's [tokens, d]."""
    return _discriminant(coercive - other, corpus)


def _discriminant(difference: Floats, corpus: Floats) -> Floats:
    found = _solved(difference, corpus)
    return found / np.linalg.norm(found)


def _solved(differences: Floats, corpus: Floats) -> Floats:
    covariance = np.cov(corpus, rowvar=False)
    ridge = SHRINKAGE * np.trace(covariance) / len(covariance)
    return np.asarray(np.linalg.solve(covariance + ridge * np.eye(len(covariance)), differences), dtype=np.float32)


def document_score(projections: Floats) -> float:
    """Largest mean of ``WINDOW`` neighbouring tokens' projections [T]; of all of them where there are fewer."""
    if len(projections) <= WINDOW:
        return float(projections.mean())
    return float(np.convolve(projections, np.full(WINDOW, 1 / WINDOW), mode="valid").max())


def scores(documents: Sequence[Floats], axis: Floats) -> list[float]:
    """Score of each document from its hidden states [T, d]."""
    return [document_score(hidden @ axis) for hidden in documents]
