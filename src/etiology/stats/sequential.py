"""A test that may be looked at after every new cluster: false alarms stay below their level however often one looks.

Bets are placed on the differences of clusters, against the claim that their mean is at most m. Wealth is multiplied by
1 + λ (d − m) for each cluster; if the claim holds, wealth is not expected to grow, and the chance that it ever reaches
1 / α is at most α (Ville 1939). Bets of all sizes are held at once and their wealth is averaged: the grid of
Waudby-Smith and Ramdas (2024, *Journal of the Royal Statistical Society B* 86:1, 'Estimating means of bounded random
variables by betting'). Their average does not depend on the order of the clusters.

1. d and m lie in [-1, 1]; as shares x = (1 + d) / 2 and μ = (1 + m) / 2 the factor is 1 - g + g x / μ, 0 < g < 1;
2. ``e_value`` is the average wealth over g: evidence that the mean is above m. 1 / e is an anytime-valid p;
3. ``bounds`` holds every m against which wealth hasn't reached 2 / α, from either side: a confidence sequence.

A cluster bets once. Its later answers say again what it has said already, and would be counted as news.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

GRID: Final = (np.arange(20) + 0.5) / 20
"""Bets held at once, as shares of the largest that can't lose everything. With 10 or 40 results hardly differ."""
STEPS: Final = 50
"""Halvings by which a limit is found: exact to rounding."""


def e_value(differences: ArrayLike, mean: float = 0.0) -> float:
    """Evidence that the mean of ``differences`` [clusters], each in [-1, 1], is above ``mean``. None seen gives 1."""
    return _wealth((1 + _checked(differences)) / 2, (1 + mean) / 2)


def bounds(differences: ArrayLike, alpha: float = 0.05) -> tuple[float, float]:
    """The confidence sequence for the mean of ``differences`` [clusters] at 1 - ``alpha``: (low, high) in [-1, 1].

    The chance that it ever leaves out the true mean, over all the looks at it, is at most ``alpha``.
    """
    x = (1 + _checked(differences)) / 2
    low = _threshold(lambda mean: _wealth(x, mean) >= 2 / alpha)
    high = 1 - _threshold(lambda mean: _wealth(1 - x, mean) >= 2 / alpha)
    return 2 * low - 1, 2 * high - 1


def least_rise(clusters: int, level: float, mean: float = 0.0) -> float:
    """The smallest rise, the same in every cluster, that ``clusters`` of them show at ``level``; infinity for none."""
    if e_value(np.ones(clusters), mean) < 1 / level:
        return inf
    found = 2 * _threshold(lambda x: _wealth(np.full(clusters, x), (1 + mean) / 2) < 1 / level) - 1
    return max(found, mean)


def _checked(differences: ArrayLike) -> NDArray[np.float64]:
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or not ((d >= -1) & (d <= 1)).all():
        raise ValueError(f"differences {d.shape} must be one number a cluster, each from -1 to 1")
    return d


def _wealth(x: NDArray[np.float64], mean: float) -> float:
    """The average wealth of the bets on ``x`` [clusters] in [0, 1] against a mean of at most ``mean``."""
    if mean <= 0:
        return inf if (x > 0).any() else 1.0
    factors = 1 + GRID[:, None] * (x[None, :] / mean - 1)
    return float(np.exp(np.log(factors).sum(axis=1)).mean())


def _threshold(below: Callable[[float], bool]) -> float:
    """The place between 0 and 1 up to which ``below`` holds; it holds on a lower part or nowhere."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low


def running(differences: Sequence[float], mean: float = 0.0) -> list[float]:
    """The e-value after each cluster in turn, as somebody who looks every time would see it."""
    return [e_value(differences[: n + 1], mean) for n in range(len(differences))]
