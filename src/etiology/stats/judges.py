"""The rate of true labels where most verdicts come from a judge that errs.

1. `prediction_powered`: some of the items *of this study* have true labels. Unbiased whatever the judge does.
2. `rogan_gladen`: the judge's sensitivity and specificity were measured *elsewhere*. Right only if they hold here too:
   a judge that was tried on easier answers gives a wrong rate with a narrow interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from etiology.core.values import Rate
from etiology.stats.clusters import Floats, design_effect, means, shares
from etiology.stats.rates import ClusteredRate


@dataclass(frozen=True)
class Corrected:
    """An estimated rate of true labels with its interval at 95 %; ``uncorrected`` is what the judge alone gives.

    ``judged`` items have a verdict only, ``labelled`` ones tell how far the judge is right. ``weight`` is how far
    its verdicts are used: λ of `prediction_powered`, 1 for `rogan_gladen`.
    """

    value: float
    low: float
    high: float
    uncorrected: float
    judged: int
    labelled: int
    weight: float


def prediction_powered(
    labels: ArrayLike,
    verdicts: ArrayLike,
    unlabelled: ArrayLike,
    clusters: Sequence[str] | None = None,
    unlabelled_clusters: Sequence[str] | None = None,
    weight: float | None = None,
) -> Corrected:
    """mean(λ f) over the unlabelled items + mean(y - λ f) over the labelled ones: PPI++.

    ``labels`` y [n] are truth values; ``verdicts`` f [n] of the same items and ``unlabelled`` f [N] of others are the
    judge's, true or false or its probability. The labelled must be a random part of all. λ (``weight``) is by default
    the one of least variance, Cov(y, f) / ((1 + n / N) Var f), kept within 0 and 1: a judge that says nothing gets 0,
    which leaves the labels alone, so that a judge never costs more than noise. 1 is plain prediction-powered inference
    (Angelopoulos et al. 2023, *Science* 382:669); λ is of Angelopoulos, Duchi and Zrnic (2023, arXiv:2311.01453).

    *Interval*: Student's t (labelled clusters - 1 degrees of freedom) times the standard error of the sum, robust to
    clusters, which labelled and unlabelled items may share. Without clusters each item is its own. Two made-up labels
    are added to it, one miss (y = 1, f = 0) and one false alarm (y = 0, f = 1), each weighing as many items as carry
    the information of one: 'the judge was right on all 60' must not mean that it never errs. Simulated with 60 to 150
    labels, this covers 94 to 98 %, and up to 100 % where hits and errors are rarest (2 of 100 labels); the papers'
    normal interval covers 94 % where both are common, and 83 to 92 % where they are few.
    """
    from scipy.special import stdtrit

    n, big_n = np.size(labels), np.size(unlabelled)
    if (clusters is None) != (unlabelled_clusters is None):
        raise ValueError("give the clusters of both the labelled and the unlabelled items, or of neither")
    names = [str(i) for i in range(n)] if clusters is None else list(clusters)
    others = [f"u{i}" for i in range(big_n)] if unlabelled_clusters is None else list(unlabelled_clusters)
    y, index = shares(labels, names, "labels")
    f, _ = shares(verdicts, names, "verdicts")
    rest, _ = shares(unlabelled, others, "unlabelled verdicts")
    if not np.isin(y, [0.0, 1.0]).all():
        raise ValueError("labels must be truth values")
    k = int(index.max()) + 1
    if k < 2:
        raise ValueError("true labels from at least two clusters are needed: one says nothing of the next")
    used = _best_weight(y, f, rest) if weight is None else weight
    if not 0 <= used <= 1:
        raise ValueError(f"weight {weight} must lie between 0 and 1")
    error = y - used * f
    added = design_effect(error, index)
    everyone = np.unique(np.asarray(names + others, dtype=str), return_inverse=True)[1]
    (judge, correction), covariance = means(
        np.concatenate([used * rest, error, [1.0, -used]]),
        np.repeat([0, 1], [big_n, n + 2]),
        np.append(np.ones(big_n + n), [added, added]),
        np.concatenate([everyone[n:], everyone[:n], everyone.max() + np.array([1, 2])]),
    )
    half = float(stdtrit(k - 1, 0.975)) * sqrt(float(covariance.sum()))
    return Corrected(
        value=_within(float(used * rest.mean() + error.mean())),
        low=_within(float(judge + correction) - half),
        high=_within(float(judge + correction) + half),
        uncorrected=float(rest.mean()),
        judged=big_n,
        labelled=n,
        weight=used,
    )


def _best_weight(y: Floats, f: Floats, rest: Floats) -> float:
    spread = float(np.concatenate([f, rest]).var(ddof=1))
    return _within(float(np.cov(y, f)[0, 1]) / spread / (1 + len(f) / len(rest))) if spread else 0.0


def rogan_gladen(flagged: Rate | ClusteredRate, sensitivity: Rate, specificity: Rate) -> Corrected:
    """(flagged + specificity - 1) / (sensitivity + specificity - 1), after Rogan and Gladen (1978).

    ``flagged`` is how often the judge says yes here; ``sensitivity`` (of the truly coercive) and ``specificity`` (of
    the truly harmless) were counted elsewhere, on other items: `stats.rate(caught, coercive)`.

    *Interval*: all rates π from 0 to 1 for which flagged - (1 - specificity) - π (sensitivity + specificity - 1) is
    within 1.96 of its standard errors of 0. The variances of all three counts are in it, as in Fieller (1954) for a
    ratio, taken after Agresti and Coull's additions (z²/2 hits and misses to ``flagged``, 1 and 1 to the others), as
    Lang and Reiczigel (2014, *Preventive Veterinary Medicine* 113:13) do. Where ``flagged`` is below the judge's false
    alarms (or above its sensitivity), it is taken to be as high (or low) as these: further out the interval would
    shrink to nothing, though all that was learned is that the judge errs otherwise here than elsewhere. Where the
    counts can't tell the judge from one that says yes at random, the interval is 0 to 1.

    Simulated with 30 to 100 labels of each kind it covers 95 to 97 %, and 97 to 99 % where 0 is within its limits;
    Wilson's interval of ``flagged`` alone, so corrected, covers 33 to 89 %.
    """
    from scipy.special import ndtri

    size = flagged.n_effective if isinstance(flagged, ClusteredRate) else float(flagged.n)
    if min(size, sensitivity.n, specificity.n) <= 0:
        raise ValueError("flagged, sensitivity and specificity need at least one trial each, in two clusters if any")
    informed = sensitivity.value + specificity.value - 1
    if informed <= 0:
        raise ValueError(
            f"sensitivity {sensitivity.value:.2f} and specificity {specificity.value:.2f} add up to 1 or less: the "
            "judge flags harmless answers as often as coercive ones, so its verdicts hold no rate"
        )
    z = float(ndtri(0.975))
    q, q_variance = _shrunk(flagged.value, size, z**2 / 2)
    true_positive, sensitivity_variance = _shrunk(sensitivity.value, sensitivity.n, 1.0)
    true_negative, specificity_variance = _shrunk(specificity.value, specificity.n, 1.0)
    q = min(max(q, 1 - true_negative), true_positive)
    slope, level = true_positive + true_negative - 1, q + true_negative - 1
    # (level - π slope)² <= z² (q_variance + π² sensitivity_variance + (1 - π)² specificity_variance), as a polynomial.
    square = slope**2 - z**2 * (sensitivity_variance + specificity_variance)
    linear = z**2 * specificity_variance - level * slope
    constant = level**2 - z**2 * (q_variance + specificity_variance)
    root = sqrt(max(linear**2 - square * constant, 0.0))
    low, high = ((-linear - root) / square, (-linear + root) / square) if square > 0 else (0.0, 1.0)
    return Corrected(
        value=_within((flagged.value + specificity.value - 1) / informed),
        low=_within(low),
        high=_within(high),
        uncorrected=flagged.value,
        judged=flagged.n,
        labelled=sensitivity.n + specificity.n,
        weight=1.0,
    )


def _shrunk(value: float, n: float, added: float) -> tuple[float, float]:
    """A rate and the variance of its estimate after ``added`` hits and as many misses."""
    mean = (value * n + added) / (n + 2 * added)
    return mean, mean * (1 - mean) / (n + 2 * added)


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))
