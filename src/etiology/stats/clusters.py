"""What items of one cluster (scenarios of one template, answers to one scenario) know of each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.intp]


def shares(values: ArrayLike, clusters: Sequence[str], what: str) -> tuple[Floats, Counts]:
    """``values`` as shares from 0 to 1 and the number of each one's cluster, both [items]."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.size == 0 or len(x) != len(clusters):
        raise ValueError(f"{what} {x.shape} and their clusters ({len(clusters)},) must be of the same items")
    if not ((x >= 0) & (x <= 1)).all():  # NaN fails too
        raise ValueError(f"{what} must lie between 0 and 1: a truth value, or the share of an item's answers")
    return x, np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]


def means(x: Floats, parts: Counts, weights: Floats, clusters: Counts) -> tuple[Floats, Floats]:
    """The weighted mean of each part of ``x`` [items] and the covariance of these means between draws of clusters.

    ``parts`` numbers the part of each item from 0. The covariance is the cluster-robust sandwich of Liang and Zeger
    (1986, *Biometrika* 73:13) with the factor k / (k - 1) for k clusters, from statsmodels.
    """
    from statsmodels.regression.linear_model import WLS

    columns = (parts[:, None] == np.arange(parts.max() + 1)).astype(np.float64)
    fit = WLS(x, columns, weights=weights).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    return np.asarray(fit.params), np.asarray(fit.cov_params())


def design_effect(x: Floats, clusters: Counts) -> float:
    """How many times the variance of the mean of ``x`` [items] exceeds that of independent items (Kish 1965).

    At least 1, since less is nearly always noise. Where ``x`` doesn't vary, it holds no sign of how far items agree:
    they are then taken to agree wholly within each cluster. Two clusters are needed.
    """
    independent = float(x.var(ddof=1)) / len(x)
    if independent < 1e-15:
        sizes = np.bincount(clusters)
        return float((sizes**2).sum() / sizes.sum())
    variance = means(x, np.zeros_like(clusters), np.ones_like(x), clusters)[1][0, 0]
    return max(float(variance) / independent, 1.0)
