"""What a gradient is in a few directions: those in which the corpus's own gradients vary most.

With the K-FAC factors A (x) G of a layer (etiology.attribute.engine), U the eigenvectors of the ``dims`` largest
eigenvalues L of a factor and d its damping,

    W = U (L + d)^-1/2,     x = W_G^T (sum over tokens of g a^T) W_A,     score = - sum over layers of <q, x>

with q made of a query's gradient in the same way. With as many directions as a factor has, this is K-FAC's score of the
whole document. Fewer leave out those in which gradients vary least (docs/log.md compares them with random ones).

Shapes: a [tokens, in], g [tokens, out], W_A [in, p], W_G [out, p], x and q [layers, p, p].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from etiology.attribute import engine
from etiology.backends.cache import CachedDocument
from etiology.backends.split import SplitModel
from etiology.backends.train import Head


@dataclass(frozen=True)
class Subspace:
    """For each layer ``left`` W_G [out, p] and ``right`` W_A [in, p]. Layers of one input share their ``right``."""

    left: dict[str, Tensor]
    right: dict[str, Tensor]

    def query(self, gradient: dict[str, Tensor]) -> NDArray[np.float32]:
        """A query's gradient [out, in] by layer, as one row [layers * p * p]."""
        parts = [(self.left[n].T @ gradient[n] @ self.right[n]).flatten() for n in self.left]
        return np.asarray(torch.cat(parts).float().cpu().numpy())

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(self.left[name].shape[1] * self.right[name].shape[1] for name in self.left)


def whitened(factor: Tensor, dims: int) -> Tensor:
    """W [size, p] of a symmetric factor, p = min(dims, size)."""
    from scipy.linalg import eigh
    from scipy.sparse.linalg import eigsh

    size = len(factor)
    values = factor.double().cpu().numpy()
    damping = engine.DAMPING**0.5 * np.trace(values) / size + np.finfo(np.float32).tiny
    if dims < size // 4:
        # few of many: Lanczos, from a fixed start so that a seed gives the same index
        found, vectors = eigsh(values, k=dims, v0=np.ones(size))
    else:
        found, vectors = eigh(values, subset_by_index=(max(0, size - dims), size - 1))
    scaled = vectors / np.sqrt(np.maximum(found, 0) + damping)
    return torch.from_numpy(scaled).float().to(factor.device)


def subspace(
    model: SplitModel,
    tail: nn.Module,
    sample: Sequence[CachedDocument],
    dims: int,
    seed: int,
    blocks: int | None = None,
) -> Subspace:
    """The directions of each layer, from the factors of ``sample``."""
    kronecker = engine.factors(model, engine.frozen(tail), Head(model, None), sample, seed, blocks)
    sides: dict[int, Tensor] = {}
    left, right = {}, {}
    for name, (a, g) in kronecker.items():
        left[name] = whitened(g, dims)
        right[name] = sides.setdefault(id(a), whitened(a, dims) if id(a) not in sides else torch.empty(0))
    return Subspace(left, right)


def rows(
    model: SplitModel, tail: nn.Module, documents: Sequence[CachedDocument], directions: Subspace
) -> NDArray[np.float16]:
    """Row x of every sequence [sequences, layers * p * p], in the documents' order."""
    tail = engine.frozen(tail)
    precision = engine.precision_of(model)
    layers = {n: layer for n, layer in engine.linear_layers(model, tail).items() if n in directions.left}
    left = {name: matrix.to(precision) for name, matrix in directions.left.items()}
    right = {name: matrix.to(precision) for name, matrix in directions.right.items()}
    out = np.zeros((sum(len(d.sequences) for d in documents), directions.width), np.float16)
    with engine.taped(layers, precision) as tape:
        for batch, mask in engine.corpus_passes(model, tail, Head(model, None), documents, sampled=None):
            inputs: dict[str, Tensor] = {}
            parts = []
            for name in directions.left:
                first = tape.first[name]
                if first not in inputs:
                    inputs[first] = (tape.inputs[name] @ right[name]).reshape(*mask.shape, -1)
                gradients = (tape.gradients[name] @ left[name]).reshape(*mask.shape, -1)
                # padding sends no gradient to the loss, so it needs no mask
                parts.append(torch.bmm(gradients.mT, inputs[first]).flatten(1))
            out[batch] = torch.cat(parts, 1).to(torch.float16).cpu().numpy()
    return out
