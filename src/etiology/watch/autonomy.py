"""One model from advising to acting alone: whether the behaviour follows how much is left to it.

1. The answers of each level, the calm controls left out, with an interval over draws of whole clusters;
2. the slope of each cluster's share over its levels (0 advise to 3 alone), then the mean of these slopes with its
   interval and an exact p by sign-flips of clusters (`stats.effect`): the test that a claim may rest on;
3. the Cochran–Armitage test for trend (Armitage 1955, *Biometrics* 11:375; statsmodels), for the record: it takes
   answers of one organisation for independent.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from etiology import stats
from etiology.core.values import Effect
from etiology.core.visible import on_one_line
from etiology.stats import ClusteredRate
from etiology.watch.ledger import LEVELS, Answers, Entry, Ledger, LedgerError

UNIT: Final = "share of answers a level"


@dataclass(frozen=True)
class Level:
    """The answers at one level of autonomy."""

    autonomy: str
    hits: int
    n: int
    scenarios: int
    rate: ClusteredRate


@dataclass(frozen=True)
class Sweep:
    """One version and behaviour. ``slope`` is positive where more autonomy goes with more of the behaviour; None where
    no cluster was seen at two levels. ``armitage`` is Cochran and Armitage's two-sided p, None for a single level.
    """

    version: str
    behaviour: str
    capability: str
    levels: tuple[Level, ...]
    slope: Effect | None
    armitage: float | None


def sweeps(entries: Sequence[Entry]) -> list[Sweep]:
    """A sweep for each version and behaviour among ``entries``. Errors: ``LedgerError`` where none states a level."""
    ledger = Ledger(tuple(entries))
    of: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if any(answers.autonomy for answers in entry.answers):
            of[entry.version, entry.behaviour].append(entry)
    if not of:
        raise LedgerError(
            "none of these logs states a level of autonomy; give logs of etiology/office or etiology/chat_coercion, "
            "such as `inspect eval etiology/office -T autonomy=draft`"
        )
    return [_sweep(ledger, version, behaviour, found) for (version, behaviour), found in of.items()]


def _sweep(ledger: Ledger, version: str, behaviour: str, entries: Sequence[Entry]) -> Sweep:
    answers = [a for entry in entries for a in entry.answers if a.autonomy and not a.control]
    levels = [level(name, own) for name in LEVELS if (own := [a for a in answers if a.autonomy == name])]
    tools = any(entry.tools for entry in entries)
    return Sweep(
        version=version,
        behaviour=behaviour,
        capability=ledger.capability(version, tools=tools),
        levels=tuple(levels),
        slope=_slope(answers),
        armitage=_armitage(levels),
    )


def level(autonomy: str, answers: Sequence[Answers]) -> Level:
    """The rate at one level over ``answers``, of which there is at least one."""
    hits, n = sum(a.hits for a in answers), sum(a.n for a in answers)
    rate = stats.clustered_rate([a.share for a in answers], [a.cluster for a in answers], n)
    return Level(autonomy, hits, n, len({a.scenario for a in answers}), rate)


def _slope(answers: Iterable[Answers]) -> Effect | None:
    shares: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for a in answers:
        shares[a.cluster][LEVELS.index(a.autonomy)].append(a.share)
    found = {
        cluster: _steepness(list(at), [sum(own) / len(own) for own in at.values()])
        for cluster, at in shares.items()
        if len(at) > 1
    }
    return stats.effect(list(found.values()), list(found), UNIT) if found else None


def _steepness(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of the least-squares line."""
    centred = np.asarray(x, dtype=float) - np.mean(x)
    return float(centred @ (np.asarray(y) - np.mean(y)) / (centred @ centred))


def _armitage(levels: Sequence[Level]) -> float | None:
    """Two-sided p; 1 where nothing varies."""
    from statsmodels.stats.contingency_tables import Table

    if len(levels) < 2:
        return None
    table = np.array([[one.hits, one.n - one.hits] for one in levels], dtype=float)
    if not table.sum(axis=0).all():
        return 1.0
    places = np.array([LEVELS.index(one.autonomy) for one in levels], dtype=float)
    test = Table(table, shift_zeros=False).test_ordinal_association(row_scores=places, col_scores=np.array([1.0, 0.0]))
    return float(test.pvalue)


def words(found: Sequence[Sweep]) -> str:
    """The tables in plain lines."""
    return "\n\n".join(_told(one) for one in found)


def _told(one: Sweep) -> str:
    lines = [f"{on_one_line(one.version)}: {on_one_line(one.behaviour)} (capability: {one.capability})"]
    lines += [
        f"  {at.autonomy:8} {100 * at.rate.value:5.1f} % [{100 * at.rate.low:.1f}, {100 * at.rate.high:.1f}]  "
        f"{at.hits} of {at.n} answers, {at.scenarios} scenarios in {at.rate.clusters} clusters"
        for at in one.levels
    ]
    if one.slope is not None:
        s = one.slope
        lines.append(
            f"  trend: {100 * s.value:+.1f} points a level [{100 * s.low:+.1f}, {100 * s.high:+.1f}], p = {s.p:.2g} "
            f"(sign-flips of {s.clusters} clusters)"
        )
    else:
        lines.append("  trend: no cluster was seen at two levels; give logs of the same scenarios at several levels")
    if one.armitage is not None:
        lines.append(f"  Cochran–Armitage p = {one.armitage:.2g}, as if answers were independent")
    return "\n".join(lines)
