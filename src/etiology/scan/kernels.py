"""The compiled loops of `linear`. Machine code is kept beside this file (or in numba's own folder) between runs."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

BASIS = np.uint64(14695981039346656037)
PRIME = np.uint64(1099511628211)
PAIR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that the product with it loses nothing: sets a pair's hash apart from its words'."""
UP = np.uint64(32)


@njit(cache=True, nogil=True, inline="always")
def _place(key: Any, size: int) -> int:
    """FNV's high bits are its better ones: folded onto the low ones."""
    return int((key ^ (key >> UP)) & np.uint64(size - 1))


@njit(cache=True, nogil=True)
def best_windows(
    data: Bytes,
    offsets: Places,
    chosen: NDArray[np.intp],
    letter: Bytes,
    weights: NDArray[np.float32],
    bias: float,
    window: int,
    score: NDArray[np.float64],
    start: Places,
    end: Places,
) -> None:
    """Fill ``score`` [chosen] with the logit of each text's best window, ``start`` and ``end`` with its bytes."""
    ring, begins = np.zeros(window, np.float64), np.zeros(window, np.int64)
    size = len(weights)
    for n in range(len(chosen)):
        first, last = offsets[chosen[n]], offsets[chosen[n] + 1]
        best, total, words, previous = -np.inf, 0.0, 0, np.uint64(0)
        at = first
        while at < last:
            byte = letter[data[at]]
            if byte == 0:
                at += 1
                continue
            begin, key = at, BASIS
            while byte != 0:
                key = (key ^ np.uint64(byte)) * PRIME
                at += 1
                if at == last:
                    break
                byte = letter[data[at]]
            value = float(weights[_place(key, size)])
            if words:
                value += weights[_place((previous * PAIR) ^ key, size)]
            previous = key
            slot = words % window
            if words >= window:
                total -= ring[slot]
            ring[slot], begins[slot] = value, begin
            total += value
            words += 1
            # A window that is still growing counts only where the text ends before it is full.
            if words >= window and total / window > best:
                best, end[n] = total / window, at - first
                start[n] = begins[words % window] - first
        if words < window:
            best = total / words if words else 0.0
            start[n], end[n] = 0, last - first
        score[n] = bias + best


@njit(cache=True, nogil=True)
def _features(data: Bytes, bounds: tuple[int, int], letter: Bytes, window: int, size: int, out: Places) -> int:
    """Fill ``out`` with the places of the first ``window`` words' features; how many words there were."""
    at, last = bounds
    words, previous = 0, np.uint64(0)
    while at < last and words < window:
        byte = letter[data[at]]
        if byte == 0:
            at += 1
            continue
        key = BASIS
        while byte != 0:
            key = (key ^ np.uint64(byte)) * PRIME
            at += 1
            if at == last:
                break
            byte = letter[data[at]]
        out[2 * words] = _place(key, size)
        out[2 * words + 1] = _place((previous * PAIR) ^ key, size) if words else -1
        previous = key
        words += 1
    return words


@njit(cache=True, nogil=True)
def train(
    data: Bytes,
    offsets: Places,
    letter: Bytes,
    truth: NDArray[np.float64],
    importance: NDArray[np.float64],
    order: NDArray[np.intp],
    weights: NDArray[np.float64],
    window: int,
    rate: float,
    l2: float,
) -> float:
    """Change ``weights`` by AdaGrad over ``order`` [epochs, texts]; the bias."""
    bias, seen_bias = 0.0, 1e-8
    seen = np.full(len(weights), 1e-8)
    out = np.zeros(2 * window, np.int64)
    for epoch in range(order.shape[0]):
        for n in order[epoch]:
            words = _features(data, (offsets[n], offsets[n + 1]), letter, window, len(weights), out)
            total = 0.0
            for k in range(2 * words):
                if out[k] >= 0:
                    total += weights[out[k]]
            logit = bias + total / max(words, 1)
            slope = importance[n] * (1 / (1 + np.exp(-logit)) - truth[n])
            seen_bias += slope * slope
            bias -= 0.1 * rate * slope / np.sqrt(seen_bias)
            for k in range(2 * words):
                if out[k] >= 0:
                    pull = slope / words + l2 * weights[out[k]]
                    seen[out[k]] += pull * pull
                    weights[out[k]] -= rate * pull / np.sqrt(seen[out[k]])
    return bias
