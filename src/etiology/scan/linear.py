"""Hashed n-grams: a linear score of every window of words, computed on Arrow's buffer.

1. a word is a run of ASCII letters, digits, ' and bytes from 128 on, in lower case; its hash is 64-bit FNV-1a;
2. the features of a word are its own hash and that of it with the word before it, each a place in a table of weights
   (feature hashing: Weinberger et al. 2009);
3. the logit of a window is ``bias + mean of its words' weights``; a text's score is its best window's probability, so
   that one paragraph in a book counts as it would by itself;
4. `fit` is logistic regression by AdaGrad (Duchi et al. 2011) on windows, with the same features.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etiology.core.errors import ScanError
from etiology.scan.arrays import strings
from etiology.scan.matching import INSTALL
from etiology.scan.texts import Texts, texts_of

BITS: Final = 18
SHIPPED: Final = "shipped"
SHIPPED_FILE: Final = Path(__file__).with_name("prefilter.npz")
"""Written by `etiology detector prefilter`; docs/detector.md says on which texts."""
WINDOW: Final = 120
"""Words: about what the encoder reads."""

LETTER: Final = np.zeros(256, dtype=np.uint8)
"""What each byte is inside a word: itself in lower case, or 0 between words."""
LETTER[[*range(48, 58), *range(97, 123), 39, *range(128, 256)]] = [
    *range(48, 58),
    *range(97, 123),
    39,
    *range(128, 256),
]
LETTER[65:91] = range(97, 123)


@dataclass(frozen=True)
class Linear:
    """``weights`` [2^bits] float32 and ``bias``, in logits; ``window`` in words; ``least``: a score to go on from."""

    weights: NDArray[np.float32]
    bias: float
    window: int = WINDOW
    least: float = 0.0

    @property
    def digest(self) -> str:
        made = hashlib.sha256(self.weights.tobytes())
        made.update(repr((self.bias, self.window, self.least)).encode())
        return made.hexdigest()[:16]

    def __call__(self, texts: Texts, chosen: NDArray[np.intp]) -> "Windows":
        """The best window of each chosen text."""
        score = np.zeros(len(chosen), np.float64)
        start, end = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.int64)
        _best_windows(
            texts.data, texts.offsets, chosen, LETTER, self.weights, self.bias, self.window, score, start, end
        )
        return Windows((1 / (1 + np.exp(-score))).astype(np.float32), start, end)

    def save(self, path: Path) -> None:
        """Write it as .npz; weights as float16."""
        made = BytesIO()
        weights = self.weights.astype(np.float16)
        np.savez_compressed(made, weights=weights, bias=self.bias, window=self.window, least=self.least)
        path.write_bytes(made.getvalue())


@dataclass(frozen=True)
class Windows:
    """[texts] the probability of each one's best window, and the bytes of its text where that begins and ends."""

    score: NDArray[np.float32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


def named(name: str) -> Linear:
    """The model that ships, by 'shipped', or that of a file."""
    return load(SHIPPED_FILE if name == SHIPPED else Path(name))


def load(path: Path) -> Linear:
    """A model that `Linear.save` wrote."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            weights = kept["weights"].astype(np.float32)
            model = Linear(weights, float(kept["bias"]), int(kept["window"]), float(kept["least"]))
    except (OSError, ValueError, KeyError) as problem:
        raise ScanError(f"{path}: not a linear model ({problem}); give a file that linear.save wrote") from problem
    if weights.ndim != 1 or len(weights) & (len(weights) - 1) or not 0 < model.window < 100_000:
        raise ScanError(f"{path}: not a linear model: its table must have a power of two of weights")
    return model


def fit(texts: Sequence[str], labels: Sequence[bool], epochs: int = 20, rate: float = 0.5, l2: float = 1e-6) -> Linear:
    """Train on whole texts (cut to their first WINDOW words); each label weighs the same in sum. Deterministic."""
    if len(set(labels)) < 2:
        raise ScanError("a linear model needs examples of both labels; add some")
    packed = texts_of(strings(texts, pa.large_string()))
    truth = np.asarray(labels, dtype=np.float64)
    weight = np.where(truth == 1, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    weights = np.zeros(1 << BITS, dtype=np.float64)
    order = np.stack([np.random.default_rng(i).permutation(len(texts)) for i in range(epochs)])
    bias = _train(packed.data, packed.offsets, LETTER, truth, weight, order, weights, WINDOW, rate, l2)
    return Linear(weights.astype(np.float16).astype(np.float32), float(bias))


def scores(model: Linear, texts: Sequence[str]) -> NDArray[np.float32]:
    """[texts] the probability of each one's best window."""
    packed = texts_of(strings(texts, pa.large_string()))
    return model(packed, np.arange(len(packed))).score


def _best_windows(*arguments: Any) -> None:
    _kernels()[0](*arguments)


def _train(*arguments: Any) -> float:
    return float(_kernels()[1](*arguments))


@cache
def _kernels() -> tuple[Any, Any]:
    """The compiled loops, imported when first used: numba alone takes half a second."""
    try:
        from etiology.scan import kernels
    except ImportError as problem:
        raise ScanError(f"linear scoring needs numba; {INSTALL}") from problem
    return kernels.best_windows, kernels.train
