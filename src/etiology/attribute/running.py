"""What one attribution holds while it runs: its settings, its corpus, and the model with what it has read.

What is costly is made when it is first asked for, so that a run that goes on where another ended loads nothing in vain.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from etiology.attribute import counted, fuse, imported, instances, price
from etiology.attribute.counted import Counted, Places
from etiology.attribute.instances import Instance
from etiology.backends.models import fingerprint, folder_of, sha256_of
from etiology.backends.shards import SHARD, Corpus
from etiology.core.errors import CorpusError
from etiology.core.values import Document

if TYPE_CHECKING:
    from etiology.attribute.engine import Query
    from etiology.attribute.influencing import Influencing
    from etiology.attribute.reading import Asked, Axes
    from etiology.backends.split import SplitModel
    from etiology.backends.tokens import Tokens

FACTOR_TOKENS: Final = 4_000
FACTOR_TOKENS_PER_FEATURE: Final = 2.5
"""As in the engine, which names torch and so is not read here."""
Floats = NDArray[np.float32]
Show = Callable[[str, float], None]
"""Told a step and its share done, 0 to 1."""


@dataclass(frozen=True)
class Settings:
    """What is done. ``top``: documents whose intervals are wanted; ``depth``: documents for influence (None: 200, or
    4 times ``top``); ``read``: documents that the model reads (None: all); ``layers``: the last so many, from one to
    another (counted from 0), or as many as ``memory`` (GiB) holds; ``checked``: documents sampled of those that a step
    sets aside; ``blocks``: draws are of so many blocks of instances. ``behaviour``: with "any", neither the library of
    coercive messages nor the judge is used. ``index``: the folder of the corpus's index of ``dims`` directions;
    ``scores``: those of another tool (etiology.attribute.imported).
    """

    top: int = 50
    depth: int | None = None
    read: int | None = None
    layers: price.Layers = "all"
    behaviour: Literal["coercion", "any"] = "coercion"
    checked: int = 50
    blocks: int = 8
    max_tokens: int = 256
    memory: float = price.MEMORY
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    index: Path | None = None
    dims: int = 32
    scores: Path | None = None
    seed: int = 0
    text_column: str | None = None
    shard: int = SHARD

    @property
    def taught(self) -> int:
        """Documents that influence is found for."""
        return max(200, 4 * self.top) if self.depth is None else self.depth

    def factor_tokens(self, widest: int) -> int:
        """Tokens of the corpus's sample: for the factors, and for the mean and spread of hidden states."""
        return max(FACTOR_TOKENS, round(FACTOR_TOKENS_PER_FEATURE * widest))


class Run:
    """One attribution in progress: what is asked, of which corpus, where to; the model is loaded when first needed."""

    def __init__(self, source: str, asked: Sequence[Instance], corpus: Corpus, settings: Settings, show: Show) -> None:
        self.source, self.instances, self.corpus = source, list(asked), corpus
        self.settings, self.show = settings, show
        self.shape = price.shape_of(source)
        most = min(settings.blocks, len(self.instances))
        self.scope = price.scope(self.shape, settings.layers, most, settings.memory)
        self.blocks = instances.blocks(len(self.instances), self.scope.blocks, settings.seed)

    @property
    def weight(self) -> float:
        """Of influence in the fused score: the share of the layers that it covers."""
        return self.scope.layers / self.shape.blocks

    def named(self) -> dict[str, Any]:
        """What names this attribution: with anything of it changed, the parts that stand can't be used."""
        apart = {"memory", "shard", "index", "dims", "scores"}
        own = {name: value for name, value in asdict(self.settings).items() if name not in apart}
        own |= {"index": self.settings.dims if self.settings.index else None, "scores": self._scores_digest()}
        covered = {
            "layers": [self.scope.first, self.scope.first + self.scope.layers - 1],
            "blocks": self.scope.blocks,
            "passage": fuse.PASSAGE,
        }
        weights = {"influence": self.weight, "judged": 1.0, "library": fuse.LIBRARY_WEIGHT}
        asked = {"queries": instances.digest(self.instances), "corpus": self.corpus.fingerprint()}
        return {**own, **covered, **asked, "weights": weights, "model": fingerprint(self.source)}

    @cached_property
    def model(self) -> "SplitModel":
        from etiology.backends.split import SplitModel

        wanted = {"auto": None, "float32": False, "bfloat16": True}[self.settings.precision]
        return SplitModel(folder_of(self.source), self.scope.backward(self.shape), wanted, merged=False)

    @cached_property
    def asked(self) -> "Asked":
        """The instances as the model reads them."""
        from etiology.attribute.reading import ask

        return ask(self.model, self.instances)

    counted: Counted
    """The corpus counted by words; there once the first step is done."""

    beforehand: dict[str, NDArray[np.float64]]
    """Scores of all documents by place that are there before the model reads: ``index`` and ``imported``, if asked for;
    NaN where a document has none."""

    def _scores_digest(self) -> str | None:
        """SHA-256 of what another tool's scores are in, to tell them from others."""
        given = self.settings.scores
        if given is None:
            return None
        file = given / imported.VALUES if given.is_dir() else given
        if not file.is_file():
            raise CorpusError(f"{file}: no such file; give bergson's folder, or a table of id and score")
        return sha256_of(file)

    @cached_property
    def sample(self) -> Places:
        """Random places with about as many tokens as the factors need, by their random numbers."""
        return self.counted.drawn_up_to(1.2 * price.CHARACTERS * self.settings.factor_tokens(self.shape.widest))

    @cached_property
    def sequences(self) -> "list[tuple[Tokens, ...]]":
        """The first sequence of each document of the corpus's sample."""
        from etiology.attribute.reading import tokens_of

        texts = dict(self.documents(self.sample))
        found = [tokens_of(self.model, texts[int(i)], self.settings.max_tokens)[:1] for i in self.sample]
        return [each for each in found if each]

    @cached_property
    def axes(self) -> "Axes":
        """Directions, from the instances and the corpus's sample."""
        from etiology.attribute import reading

        states = reading.middle_of(self.model, self.sequences)
        return reading.axes(self.model, self.asked, states, self.settings.behaviour == "coercion", self.settings.seed)

    @property
    def block_axes(self) -> Floats:
        """The direction [blocks, d] that each block of instances gives."""
        return np.stack([self.axes.instances[block].mean(axis=0) for block in self.blocks])

    def query(self, chosen: Sequence[int] | None = None) -> "Query":
        """What the engine is asked: all instances, or the ``chosen``."""
        from etiology.attribute.engine import Query

        places = range(len(self.instances)) if chosen is None else chosen
        packs, states = self.asked.packs, self.asked.at_cut
        return Query([packs[i] for i in places], [states[i] for i in places], instances.CONTRAST, "mean")

    @cached_property
    def influencing(self) -> "Influencing":
        """The engine with its factors and its preconditioned queries."""
        from etiology.attribute.influencing import Influencing

        return Influencing(self)

    def documents(self, places: Places) -> Iterator[tuple[int, Document]]:
        """(place, document) of those at ``places``, in the order of the corpus."""
        for _, own, found in self.by_shard(places, lambda _: False):
            yield from zip(own.tolist(), found, strict=True)

    def by_shard(self, places: Places, skip: Callable[[int], bool]) -> Iterator[tuple[int, Places, list[Document]]]:
        """(shard, places, documents) of those at ``places``, a shard at a time, but for shards to ``skip``."""
        own = {int(n): np.sort(places[self.counted.shard[places] == n]) for n in np.unique(self.counted.shard[places])}
        left = {n for n in own if not skip(n)}
        for shard in self.corpus.shards(left.__contains__) if left else ():
            rows = self.counted.row[own[shard.number]]
            found = [entry.document for entry in counted.entries(shard, rows)]
            if len(found) != len(rows):
                raise CorpusError(f"{shard.file}: has changed since it was counted; give another --out and start anew")
            yield shard.number, own[shard.number], found
            left.discard(shard.number)
            if not left:
                return
