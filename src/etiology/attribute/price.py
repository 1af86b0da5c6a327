"""What an attribution takes: memory decides how many layers it covers, and each step has a price in operations.

    a token through a block, forward or backward   2 x its weights        (no gradient of a weight is formed)
    g Q a of a token in a block                    2 x its weights
    a block's factors, floats                      sum over its linear maps of in^2 (once for an input) and out^2

The floor that the price is compared with is forward and backward of the same layers over the whole corpus.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from etiology.backends.models import adapter_of, config_of, folder_of
from etiology.core.errors import ModelError

Layers = int | tuple[int, int] | Literal["all"]
"""The last so many blocks, those from one to another (both counted from 0 and included), or all that memory holds."""
MEMORY: Final = 8.0
"""GiB that factors and preconditioned queries may take, unless said otherwise."""
JUDGE_WEIGHTS: Final = 10_600_000
"""Weights of the judge's blocks: each token of a passage goes through them once."""
SIDES: Final = 11
"""Inputs and outputs of a block's linear maps: four and seven. None is wider than the widest."""
CHARACTERS: Final = 4.3
"""Characters of a token of English, to convert those that the judge reads."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder: blocks, width of the hidden states, of the inner layer and of keys, and the vocabulary."""

    blocks: int
    width: int
    inner: int
    keys: int
    vocabulary: int
    adapter: int | None = None
    """Weights of a low-rank adapter's maps in a block, where there is one: influence is of these alone."""

    @property
    def taught(self) -> int:
        """Weights of a block that influence is found for."""
        return self.block if self.adapter is None else self.adapter

    @property
    def block(self) -> int:
        """Weights of the linear maps of a block."""
        return 2 * self.width**2 + 2 * self.width * self.keys + 3 * self.width * self.inner

    @property
    def head(self) -> int:
        """Weights of the output head."""
        return self.width * self.vocabulary

    @property
    def factors(self) -> int:
        """Floats of a block's factors: four inputs (queries, keys and values share one) and seven outputs."""
        return 6 * self.width**2 + 2 * self.keys**2 + 3 * self.inner**2

    @property
    def widest(self) -> int:
        return max(self.width, self.inner)


def shape_of(source: str | Path) -> Shape:
    """The shape that a model's config.json tells, of an adapter's that of the model below it and its own rank.

    Errors: ModelError where it tells none.
    """
    folder = folder_of(source)
    adapter = adapter_of(folder)
    if adapter is not None:
        below = shape_of(adapter.below)
        sides = {
            "q_proj": below.width + below.width,
            "k_proj": below.width + below.keys,
            "v_proj": below.width + below.keys,
            "o_proj": below.width + below.width,
        }
        rows = [sides.get(name, below.width + below.inner) for name in adapter.targets]
        return replace(below, adapter=adapter.rank * sum(rows))
    found = config_of(folder)
    try:
        settings = found.get("text_config", found)
        width, heads = int(settings["hidden_size"]), int(settings.get("num_attention_heads") or 1)
        each = int(settings.get("head_dim") or width // heads)
        keys = each * int(settings.get("num_key_value_heads") or heads)
        inner = int(settings.get("intermediate_size") or 4 * width)
        return Shape(int(settings["num_hidden_layers"]), width, inner, keys, int(settings["vocab_size"]))
    except (ValueError, KeyError, TypeError) as problem:
        raise ModelError(f"{folder}: its config.json does not tell the model's shape ({problem!r})") from None


@dataclass(frozen=True)
class Scope:
    """What influence covers: ``layers`` blocks from ``first``; ``blocks`` of instances are kept apart for intervals."""

    layers: int
    blocks: int
    first: int

    def backward(self, shape: Shape) -> int:
        """Blocks that the backward pass goes through: from the last one down to the first that is covered."""
        return shape.blocks - self.first


def scope(shape: Shape, layers: Layers, blocks: int, gigabytes: float) -> Scope:
    """All layers, or as many of the last ones as memory holds with at least two blocks of instances; then as many
    blocks as it still holds. Layers that are asked for, the last so many or from one to another, are kept.

    Errors: ModelError for layers that there are not.
    """
    room = gigabytes * 2**30 / 4
    fitting = max(1, min(shape.blocks, int(room / (shape.factors + min(2, blocks) * shape.taught))))
    if isinstance(layers, tuple):
        first, last = layers
    else:
        first, last = shape.blocks - (fitting if layers == "all" else layers), shape.blocks - 1
    if not 0 <= first <= last < shape.blocks:
        raise ModelError(
            f"--layers: the model has {shape.blocks}; give 1 to {shape.blocks} for the last so many, a range such as "
            f"0-{shape.blocks - 1}, counted from 0, or 'all'"
        )
    covered = last - first + 1
    kept = int((room - covered * shape.factors) / (covered * shape.taught))
    return Scope(covered, max(1, min(blocks, kept)), first)


def reading(shape: Shape, read: int, tokens: int, judged: int) -> float:
    """Operations to read ``tokens`` up to block ``read``, and to judge ``judged`` characters."""
    return 2.0 * shape.block * read * tokens + 2.0 * JUDGE_WEIGHTS * judged / CHARACTERS


def influence(shape: Shape, scope: Scope, tokens: int, queries: int = 1) -> float:
    """Operations of forward, backward and g Q a over ``tokens``. Attention's own products are left out."""
    passes = (shape.blocks + scope.backward(shape)) * shape.block + 2 * shape.head
    return 2.0 * tokens * (passes + queries * scope.layers * shape.taught)


def preparing(shape: Shape, scope: Scope, tokens: int, asked: int) -> float:
    """Operations for the factors of ``tokens``, the gradients of ``asked`` tokens, and to invert and multiply."""
    products = 2.0 * scope.layers * (tokens * shape.factors + asked * shape.taught)
    solving = 2.0 * scope.layers * shape.widest * (shape.factors + 2 * scope.blocks * shape.taught)
    return influence(shape, scope, tokens + asked, 0) + products + solving


def indexing(shape: Shape, scope: Scope, tokens: int, dims: int) -> float:
    """Operations of forward, backward and the projection on ``dims`` directions of both sides of a layer."""
    return influence(shape, scope, tokens, 0) + 2.0 * tokens * scope.layers * dims * SIDES * shape.widest


def indexed(scope: Scope, dims: int) -> int:
    """Bytes of an index for a sequence: its row in float16, of seven linear maps a block."""
    return 2 * dims**2 * 7 * scope.layers


def floor(shape: Shape, scope: Scope, tokens: float) -> float:
    """Operations of forward and backward of the same layers over ``tokens``."""
    return influence(shape, scope, round(tokens), 0)
