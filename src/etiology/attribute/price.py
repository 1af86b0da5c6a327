"""What an attribution takes: memory decides how many layers it covers, and each step has a price in operations.

    a token through a block, forward or backward   2 x its weights        (no gradient of a weight is formed)
    g Q a of a token in a block                    2 x its weights
    a block's factors, floats                      sum over its linear maps of in^2 (once for an input) and out^2

The floor that the price is compared with is forward and backward of the same layers over the whole corpus.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from etiology.core.errors import ModelError

MEMORY: Final = 8.0
"""GiB that factors and preconditioned queries may take, unless said otherwise."""
JUDGE_WEIGHTS: Final = 10_600_000
"""Weights of the judge's blocks: each token of a passage goes through them once."""
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


def shape_of(folder: Path) -> Shape:
    """The shape that a model's config.json tells. Errors: ModelError where it tells none."""
    try:
        found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings = found.get("text_config", found)
        width, heads = int(settings["hidden_size"]), int(settings.get("num_attention_heads") or 1)
        each = int(settings.get("head_dim") or width // heads)
        keys = each * int(settings.get("num_key_value_heads") or heads)
        inner = int(settings.get("intermediate_size") or 4 * width)
        return Shape(int(settings["num_hidden_layers"]), width, inner, keys, int(settings["vocab_size"]))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(f"{folder}: its config.json does not tell the model's shape ({problem!r})") from None


@dataclass(frozen=True)
class Scope:
    """What influence covers: the last ``layers`` blocks; ``blocks`` of instances are kept apart for intervals."""

    layers: int
    blocks: int


def scope(shape: Shape, layers: int | Literal["all"], blocks: int, gigabytes: float) -> Scope:
    """All layers, or as many of the last ones as memory holds with at least two blocks of instances; then as many
    blocks as it still holds. A number of layers that is asked for is kept.

    Errors: ModelError for more layers than there are.
    """
    room = gigabytes * 2**30 / 4
    fitting = max(1, min(shape.blocks, int(room / (shape.factors + min(2, blocks) * shape.block))))
    covered = fitting if layers == "all" else layers
    if not 1 <= covered <= shape.blocks:
        raise ModelError(f"--layers {layers}: the model has {shape.blocks}; give 1 to {shape.blocks}, or 'all'")
    kept = int((room - covered * shape.factors) / (covered * shape.block))
    return Scope(covered, max(1, min(blocks, kept)))


def reading(shape: Shape, read: int, tokens: int, judged: int) -> float:
    """Operations to read ``tokens`` up to block ``read``, and to judge ``judged`` characters."""
    return 2.0 * shape.block * read * tokens + 2.0 * JUDGE_WEIGHTS * judged / CHARACTERS


def influence(shape: Shape, layers: int, tokens: int, queries: int = 1) -> float:
    """Operations of forward, backward and g Q a over ``tokens``. Attention's own products are left out."""
    return 2.0 * tokens * (shape.blocks * shape.block + (1 + queries) * layers * shape.block + 2 * shape.head)


def preparing(shape: Shape, layers: int, tokens: int, asked: int, queries: int) -> float:
    """Operations for the factors of ``tokens``, the gradients of ``asked`` tokens, and to invert and multiply."""
    products = 2.0 * tokens * layers * shape.factors + 2.0 * asked * layers * shape.block
    solving = 2.0 * layers * (shape.factors * shape.widest + 2 * queries * shape.block * shape.widest)
    return influence(shape, layers, tokens + asked, 0) + products + solving


def floor(shape: Shape, layers: int, tokens: float) -> float:
    """Operations of forward and backward of the same layers over ``tokens``."""
    return influence(shape, layers, round(tokens), 0)
