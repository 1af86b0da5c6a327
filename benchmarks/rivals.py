"""Other ways to attribute, for benchmarks/attribution.py: each gives one score a document, the highest first.

Gradients are of the same layers as this project's influence, and signs are its own: positive scores mean that removing
the document is expected to lower the behaviour.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from etiology.attribute import engine, fuse
from etiology.backends import encoder
from etiology.backends.cache import CachedDocument
from etiology.backends.split import SplitModel
from etiology.backends.train import Head

Floats = NDArray[np.float64]


def by_chance(documents: int, seed: int) -> Floats:
    return np.random.default_rng(seed).random(documents)


def bm25(texts: Sequence[str], queries: Sequence[str]) -> Floats:
    return np.array(fuse.bm25(texts, queries))


def minilm(texts: Sequence[str], queries: Sequence[str]) -> Floats:
    """Cosine with the mean query, of all-MiniLM-L6-v2's mean-pooled states."""
    base = encoder._base()  # noqa: SLF001 - the encoder before it was fine-tuned

    def embedded(batch: Sequence[str]) -> Any:  # noqa: ANN401 - a tensor
        tokens = base.tokenizer(list(batch), truncation=True, max_length=256, padding=True, return_tensors="pt")
        mask = tokens["attention_mask"][..., None]
        states = base.net(**tokens).last_hidden_state
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)

    with torch.inference_mode():
        rows = torch.cat([embedded(texts[i : i + 16]) for i in range(0, len(texts), 16)])
        asked = embedded(queries).mean(0)
    return (rows @ asked).double().numpy()


class Projected:
    """Norms of whole gradients and gradients in random subspaces of p x p a layer (LoGra, TRAK's way), in one pass."""

    def __init__(self, model: SplitModel, tail: Any, documents: Sequence[CachedDocument], p: int, seed: int) -> None:  # noqa: ANN401
        tail, head = engine.frozen(tail), Head(model, None)
        self.layers = engine.linear_layers(model, tail)
        chance = torch.Generator().manual_seed(seed)
        self.sides = {
            name: (
                torch.randn(layer.out_features, p, generator=chance) / p**0.5,
                torch.randn(layer.in_features, p, generator=chance) / p**0.5,
            )
            for name, layer in self.layers.items()
        }
        owner = [d for d, document in enumerate(documents) for _ in document.sequences]
        self.rows = {name: torch.zeros(len(documents), p * p) for name in self.layers}
        squared = torch.zeros(len(documents), dtype=torch.float64)
        with engine.taped(self.layers) as tape:
            for batch, mask in engine.corpus_passes(model, tail, head, documents, sampled=None):
                for row, place in enumerate(batch):
                    for name in self.layers:
                        self._add(tape, name, row, mask, owner[place], squared)
        self.norms = squared.sqrt().numpy()
        self.bytes_a_document = 4 * p * p * len(self.layers)

    def _add(self, tape: Any, name: str, row: int, mask: Any, place: int, squared: Any) -> None:  # noqa: ANN401
        a = tape.inputs[name].reshape(*mask.shape, -1)[row, mask[row]]
        g = tape.gradients[name].reshape(*mask.shape, -1)[row, mask[row]]
        # the norm of a sum of outer products, without forming it; of documents of several sequences, their norms' sum
        squared[place] += ((g @ g.T) * (a @ a.T)).sum().double()
        left, right = self.sides[name]
        self.rows[name][place] += ((g @ left).T @ (a @ right)).flatten()

    def scores(self, gradient: dict[str, Any], damping: float = 0.1) -> Floats:
        """-q F^-1 x in the subspace, F that of the documents' gradients, layer by layer."""
        out = torch.zeros(len(self.norms))
        for name, rows in self.rows.items():
            left, right = self.sides[name]
            asked = (left.T @ gradient[name] @ right).flatten()
            fisher = rows.T @ rows / len(rows)
            fisher += damping * fisher.trace() / len(fisher) * torch.eye(len(fisher))
            out -= rows @ torch.linalg.solve(fisher, asked)
        return out.double().numpy()
