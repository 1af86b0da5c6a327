"""Influence for documents that come in shards: factors and queries once, then any documents at any time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from etiology.attribute import engine
from etiology.attribute.reading import cached, in_groups
from etiology.attribute.search import pieces_of

if TYPE_CHECKING:
    from etiology.attribute.running import Run
    from etiology.backends.tokens import Tokens

Floats = NDArray[np.float32]

AT_ONCE = 4_096
"""Tokens in a group: hidden states and what enters the layers are held for these."""


@dataclass(frozen=True)
class Taught:
    """A document's token scores [queries, T], its sequences joined, and its text in pieces with the first query's."""

    tokens: Floats
    pieces: tuple[tuple[str, float], ...]


class Influencing:
    """Exact K-FAC for one run. ``blocks`` are prepared apart, ``pooled`` is all of them."""

    def __init__(self, run: "Run") -> None:
        self.model = run.model
        self.sizes = [len(block) for block in run.blocks]
        queries = [run.query(block) for block in run.blocks]
        sample = cached(self.model, [str(i) for i in range(len(run.sequences))], run.sequences)
        self.factor_tokens = sum(len(s.ids) for each in run.sequences for s in each)
        self.blocks = engine.prepare(
            self.model,
            self.model.tail,
            sample,
            queries,
            vocabulary=None,
            seed=run.settings.seed,
            blocks=run.scope.layers,
        )
        self.pooled = engine.pooled(self.blocks, self.sizes)

    def scores(
        self,
        sequences: "Sequence[Sequence[Tokens]]",
        *,
        by_block: bool = False,
        tick: Callable[[float], None] = lambda _: None,
    ) -> list[Taught]:
        """Each document's token scores: for all instances together, or for each block of them."""
        out: list[Taught | None] = [None] * len(sequences)
        done = 0
        for group in in_groups(sequences, AT_ONCE):
            documents = cached(self.model, [str(i) for i in group], [sequences[i] for i in group])
            found = engine.token_scores(
                self.model,
                self.model.tail,
                documents,
                self.blocks if by_block else [self.pooled],
                vocabulary=None,
                precision=engine.precision_of(self.model),
            )
            for place, scores in zip(group, found, strict=True):
                joined = np.concatenate([one.numpy() for one in scores], axis=1)
                pieces = pieces_of(self.model, sequences[place], [one[0] for one in scores])
                out[place] = Taught(joined, tuple(pieces))
            done += len(group)
            tick(done / len(sequences))
        return [one for one in out if one is not None]
