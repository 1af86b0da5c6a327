"""An index of a corpus: what each document would teach a model, kept small, for any number of queries.

1. Directions (etiology.attribute.subspace) of both sides of each layer, from a sample of the corpus; kept, so that
   every query uses the same.
2. A row of each sequence of at most ``max_tokens`` tokens, in float16: 2 dims^2 bytes a layer.
3. ``scores``: of all documents for one query; a document counts as its highest sequence.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from etiology.attribute import engine, price, subspace
from etiology.attribute.parts import Cost, Parts
from etiology.attribute.reading import cached, in_groups, tokens_of
from etiology.attribute.subspace import Subspace
from etiology.backends.models import fingerprint

if TYPE_CHECKING:
    from etiology.attribute.running import Run
    from etiology.backends.tokens import Tokens

Floats = NDArray[np.float64]
STEP: Final = "index"
SUBSPACE: Final = "subspace.safetensors"
AT_ONCE: Final = 4_096
"""Tokens whose inputs and gradients are held at a time."""
ROWS: Final = 256
"""Rows of an index that are in memory at a time."""


class Index:
    """The index of a run's corpus at ``root``: made where it is missing, shard by shard, then asked."""

    def __init__(self, root: Path, run: "Run") -> None:
        self.root, self.run = root, run
        settings = run.settings
        self.named = {
            "of": "an index of a corpus",
            "model": fingerprint(run.source),
            "corpus": run.corpus.fingerprint(),
            "layers": [run.scope.first, run.scope.first + run.scope.layers - 1],
            "dims": settings.dims,
            "max_tokens": settings.max_tokens,
            "seed": settings.seed,
        }
        self.cost = Cost()
        """What making and asking took now."""

    def scores(self) -> Floats:
        """The score of every document, by place. Those without a token have the lowest there is."""
        out = np.full(len(self.run.counted), -np.inf)
        with Parts(self.root, self.named) as parts:
            directions = self._made(parts)
            start = time.monotonic()
            gradient = engine.query_gradient(
                self.run.model, engine.frozen(self.run.model.tail), self.run.query(), self.run.scope.layers
            )
            asked = directions.query(gradient)
            for number in parts.numbers(STEP):
                read = parts.read(STEP, number)
                places = self.run.counted.places(number, read["row"])
                np.maximum.at(out, places, _products(vectors(parts, number), asked))
            self.cost += Cost(time.monotonic() - start, self.run.asked.tokens, self.run.asked.tokens)
        out[np.isneginf(out)] = np.min(out[np.isfinite(out)], initial=0.0)
        return out

    def _made(self, parts: Parts) -> Subspace:
        """The directions, with every shard there."""
        directions = self._directions(parts)
        every = np.arange(len(self.run.counted))
        for number, own, documents in self.run.by_shard(every, lambda n: parts.has(STEP, n)):
            start = time.monotonic()
            found = [tokens_of(self.run.model, document, self.run.settings.max_tokens) for document in documents]
            columns = {"row": np.repeat(self.run.counted.row[own], [len(each) for each in found])}
            parts.replace(_vectors(parts, number), lambda to, found=found: self._write(to, found, directions))  # type: ignore[misc]
            tokens = sum(len(s.ids) for each in found for s in each)
            flops = price.indexing(self.run.shape, self.run.scope, tokens, self.run.settings.dims)
            cost = Cost(time.monotonic() - start, tokens, tokens, flops)
            parts.write(STEP, number, columns, cost)
            self.cost += cost
            self.run.show(STEP, float(own[-1]) / len(self.run.counted))
        self.run.show(STEP, 1)
        return directions

    def _directions(self, parts: Parts) -> Subspace:
        from safetensors.torch import load_file, save_file

        path = parts.root / SUBSPACE
        if not path.exists():
            start = time.monotonic()
            run = self.run
            sample = cached(run.model, [str(i) for i in range(len(run.sequences))], run.sequences)
            made = subspace.subspace(
                run.model, run.model.tail, sample, run.settings.dims, run.settings.seed, run.scope.layers
            )  # fmt: skip
            state = {f"left.{n}": m.cpu().contiguous() for n, m in made.left.items()}
            state |= {f"right.{n}": m.cpu().clone().contiguous() for n, m in made.right.items()}
            parts.replace(path, lambda to: save_file(state, to))
            tokens = sum(len(s.ids) for each in run.sequences for s in each)
            flops = price.preparing(run.shape, run.scope, tokens, 0)
            self.cost += Cost(time.monotonic() - start, tokens, tokens, flops)
        state = {name: matrix.to(self.run.model.device) for name, matrix in load_file(path).items()}
        sides = {side: {n.removeprefix(f"{side}."): m for n, m in state.items() if n.startswith(f"{side}.")}
                 for side in ("left", "right")}  # fmt: skip
        order = list(engine.linear_layers(self.run.model, self.run.model.tail, self.run.scope.layers))
        return Subspace(*({name: sides[side][name] for name in order} for side in ("left", "right")))

    def _write(self, to: Path, found: "Sequence[Sequence[Tokens]]", directions: Subspace) -> None:
        """A shard's rows, written as they are found: all of them might not fit in memory."""
        starts = np.cumsum([0, *(len(each) for each in found)])
        made = np.lib.format.open_memmap(to, mode="w+", dtype=np.float16, shape=(int(starts[-1]), directions.width))
        kept = [i for i, each in enumerate(found) if each]
        for group in in_groups([found[i] for i in kept], AT_ONCE):
            places = [kept[i] for i in group]
            documents = cached(self.run.model, [str(i) for i in places], [found[i] for i in places])
            new = subspace.rows(self.run.model, self.run.model.tail, documents, directions)
            made[np.concatenate([np.arange(starts[i], starts[i + 1]) for i in places])] = new
        made.flush()


def _vectors(parts: Parts, number: int) -> Path:
    return parts.path(STEP, number).with_suffix(".npy")


def vectors(parts: Parts, number: int) -> NDArray[np.float16]:
    """A shard's rows, mapped and not read."""
    found: NDArray[np.float16] = np.load(_vectors(parts, number), mmap_mode="r")
    return found


def _products(matrix: NDArray[np.float16], asked: NDArray[np.float32]) -> Floats:
    """-matrix @ asked, a few rows at a time."""

    def each() -> Iterator[Any]:
        for start in range(0, len(matrix), ROWS):
            yield -(matrix[start : start + ROWS].astype(np.float32) @ asked)

    return np.concatenate([np.zeros(0), *each()]).astype(np.float64)
