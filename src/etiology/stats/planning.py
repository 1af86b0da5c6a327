"""How many trials or scenarios a question needs, and what a given number of them could show.

All speak of a two-sided level of 5 % and a power of 80 %, and all rates are shares from 0 to 1. They take items as
independent. Scenarios in clusters need ``design_effect`` times as many: 1 + (scenarios a cluster - 1) · (intraclass
correlation), after Kish (1965, *Survey Sampling*); `ClusteredRate` of a pilot gives it as n / n_effective.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, log, log1p, sqrt

import numpy as np
from numpy.typing import ArrayLike

from etiology.stats.clusters import Counts, Floats

LEVEL = 0.05
POWER = 0.80
_MOST = 10_000_000
"""No plan needs more; a search ends here."""
MOST_SEEDS = 200


def trials_to_exclude(rate: float) -> int:
    """The fewest trials that, with 0 hits, exclude a true rate of ``rate`` or more at a one-sided 5 %.

    The inverse of `mde_of_rate`: 59 for 5 %, 299 for 1 %.
    """
    _check(0 < rate < 1, f"rate {rate} must lie between 0 and 1")
    return ceil(log(LEVEL) / log1p(-rate) - 1e-9)


def trials_for_width(expected: float, half_width: float) -> int:
    """The fewest trials that give Wilson's interval at most this half-width at a rate of ``expected``."""
    from statsmodels.stats.proportion import proportion_confint

    _check(0 <= expected <= 1, f"expected {expected} must lie between 0 and 1")
    _check(half_width >= 1e-3, f"half_width {half_width} must be at least .001")

    def wide(n: int) -> bool:
        low, high = proportion_confint(expected * n, n, alpha=LEVEL, method="wilson")
        return float(high - low) / 2 > half_width

    below, enough = 0, 1
    while wide(enough):
        below, enough = enough, 2 * enough
    while enough - below > 1:
        middle = (below + enough) // 2
        below, enough = (middle, enough) if wide(middle) else (below, middle)
    return enough


def mde_of_rise(baseline: float, n: int) -> float:
    """The smallest rise above a known ``baseline`` rate that the exact binomial test finds in ``n`` trials.

    Infinite where even a rate of 1 would not be found. A baseline that was itself measured is no known one: see
    `mde_of_difference`.
    """
    _check(0 <= baseline < 1, f"baseline {baseline} must lie between 0 and 1")
    _check(n >= 1, f"n = {n} must be at least 1")
    return float(_rises(baseline, np.array([n]))[0])


def trials_for_rise(baseline: float, rise: float) -> int:
    """The fewest trials from which on a rise of ``rise`` above a known ``baseline`` is always found.

    The power of an exact test goes up and down with n; here no larger n has less than 80 % again.
    """
    from statsmodels.stats.power import normal_sample_size_one_tail

    _check(0 <= baseline < 1, f"baseline {baseline} must lie between 0 and 1")
    _check(0 < rise <= 1 - baseline, f"rise {rise} must be above 0 and leave the rate at 1 or below")
    risen = baseline + rise
    spread, risen_spread = sqrt(baseline * (1 - baseline)), sqrt(risen * (1 - risen))
    roughly = float(normal_sample_size_one_tail(rise, POWER, LEVEL / 2, spread, risen_spread))
    most = int(2 * roughly + 10 / rise) + 10
    _check(most <= _MOST, f"a rise of {rise} needs millions of trials; plan for a larger one")
    too_few = np.flatnonzero(_rises(baseline, np.arange(1, most + 1)) > rise)
    return int(too_few[-1]) + 2 if len(too_few) else 1


def _rises(baseline: float, n: Counts) -> Floats:
    """`mde_of_rise` for each of ``n``.

    With c the fewest hits that reject, P(c or more hits | rate) is the distribution function of Beta(c, n - c + 1).
    """
    from scipy.special import betaincinv
    from scipy.stats import binom

    # One hit rejects a baseline of 0, for which the quantile below is 0 too.
    critical = binom.ppf(1 - LEVEL / 2, n, baseline) + 1
    possible = critical <= n
    rises = np.full(len(n), inf)
    rises[possible] = betaincinv(critical[possible], n[possible] - critical[possible] + 1, POWER) - baseline
    return rises


def scenarios_for_difference(difference: float, changing: float, design_effect: float = 1.0) -> int:
    """The fewest paired scenarios in which McNemar's test finds a true ``difference`` of two rates, of either sign.

    ``changing`` is the share of scenarios that come out differently in the two, either way: at least |difference|. By
    the normal approximation of Connor (1987, *Biometrics* 43:207). The exact test that `mcnemar` does has a power of
    75 to 79 % there rather than 80 %.
    """
    _check(0 < abs(difference) <= changing <= 1, f"|difference| {difference} ≤ changing {changing} ≤ 1 must hold")
    _check(design_effect >= 1, f"design_effect {design_effect} must be at least 1")
    return ceil(design_effect * _pairs(abs(difference), changing) - 1e-9)


def mde_of_difference(n: int, changing: float, design_effect: float = 1.0) -> float:
    """The smallest true difference of two rates that McNemar's test finds in ``n`` paired scenarios.

    The inverse of `scenarios_for_difference`. Infinite where it would not be found even if all that change changed one
    way.
    """
    from scipy.optimize import brentq

    _check(n >= 1, f"n = {n} must be at least 1")
    _check(0 < changing <= 1, f"changing {changing} must lie between 0 and 1")
    _check(design_effect >= 1, f"design_effect {design_effect} must be at least 1")
    independent = n / design_effect
    if _pairs(changing, changing) > independent:
        return inf
    return float(brentq(lambda one: _pairs(one, changing) - independent, 1e-9, changing))


def _pairs(difference: float, changing: float) -> float:
    from statsmodels.stats.power import normal_sample_size_one_tail

    spread = sqrt(max(changing - difference**2, 0.0))
    return float(normal_sample_size_one_tail(difference, POWER, LEVEL / 2, sqrt(changing), spread))


@dataclass(frozen=True)
class Spread:
    """What a pilot tells of the spread of a difference: over clusters of scenarios, and over retrainings (both standard
    deviations, in the difference's unit).
    """

    clusters: int
    between_clusters: float
    between_seeds: float


def spread(differences: ArrayLike, clusters: Sequence[str]) -> Spread:
    """The spread of a pilot's differences [seeds, scenarios]; two seeds and two clusters at least."""
    x = np.asarray(differences, dtype=np.float64)
    names, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    _check(x.ndim == 2 and len(x) > 1 and len(names) > 1, "a pilot needs two seeds and two clusters at least")
    means = np.bincount(index, x.mean(axis=0)) / np.bincount(index)
    return Spread(len(names), float(means.std(ddof=1)), float(x.mean(axis=1).std(ddof=1)))


def mde_of_effect(pilot: Spread, seeds: int) -> float:
    """The smallest effect that `effect` would find with so many retrainings over as many clusters as the pilot has.

    Infinite for one seed. The two parts of the interval, each a Student's t, are joined as if they were independent.
    """
    from scipy.special import ndtri, stdtrit

    _check(seeds >= 1, f"seeds = {seeds} must be at least 1")
    if seeds == 1:
        return inf
    parts = ((pilot.clusters, pilot.between_clusters), (seeds, pilot.between_seeds))
    half_width = sqrt(sum((float(stdtrit(n - 1, 1 - LEVEL / 2)) * sd / sqrt(n)) ** 2 for n, sd in parts))
    return float(ndtri(1 - LEVEL / 2) + ndtri(POWER)) / float(ndtri(1 - LEVEL / 2)) * half_width


def seeds_for_effect(effect: float, pilot: Spread) -> int | None:
    """The fewest retrainings that find an effect of this size; None where `MOST_SEEDS` do not."""
    _check(effect > 0, f"effect {effect} must be above 0")
    return next((n for n in range(2, MOST_SEEDS + 1) if mde_of_effect(pilot, n) <= effect), None)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
