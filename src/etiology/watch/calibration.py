"""The monitor's threshold, from benign traffic, at a stated rate of false alarms.

With n scores of benign judged calls (or conversations), let k be the most alarms among them for which the one-sided
95 % limit of Clopper and Pearson for k of n is still at most the stated rate. The threshold lies just above the
(k + 1)-th highest score. k depends on n alone, so that the true rate exceeds the stated one in at most 5 of 100
calibrations (Wilks 1941, *Annals of Mathematical Statistics* 12:91), whatever the scores' distribution.

For 1 % at least 299 are needed, for 5 % 59. They must be alike and independent: calls of one conversation are not
wholly so, and whole conversations are.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import nextafter
from pathlib import Path
from typing import Literal

from etiology import stats
from etiology.config import located, read_text
from etiology.core.errors import EtiologyError

Unit = Literal["judged call", "conversation"]
"""A judged call is one that the rules over structure do not clear; the cleared ones raise no alarms at all."""


class CalibrationError(EtiologyError):
    """Too little benign traffic for the rate, or a calibration that can't be read or is of another judge."""


@dataclass(frozen=True)
class Calibration:
    """A call passes if its suspicion is below ``threshold``. ``alarms`` of ``n`` benign ones reach it; the rate of
    false alarms is at most ``limit`` (95 %, one-sided), which is at most ``rate``. ``judge`` names who judged.
    """

    threshold: float
    rate: float
    limit: float
    alarms: int
    n: int
    unit: Unit
    judge: str


def calibrate(scores: Sequence[float], rate: float, unit: Unit, judge: str) -> Calibration:
    """The lowest threshold that keeps ``rate``. Errors: ``CalibrationError`` where there are too few ``scores``."""
    if not 0 < rate < 1:
        raise CalibrationError(f"the rate is {rate}; give a share above 0 and below 1, such as 0.01 for 1 %")
    n = len(scores)
    if stats.upper_limit(0, n) > rate:
        raise CalibrationError(
            f"{n} benign {unit}s can't show a rate of {100 * rate:g} %: even without an alarm it may be "
            f"{100 * stats.upper_limit(0, n):.2g} %; give at least {needed(rate)}, or a higher rate"
        )
    allowed = max(k for k in range(n) if stats.upper_limit(k, n) <= rate)
    threshold = nextafter(sorted(scores, reverse=True)[allowed], 2.0)
    alarms = sum(score >= threshold for score in scores)
    return Calibration(threshold, rate, stats.upper_limit(alarms, n), alarms, n, unit, judge)


def needed(rate: float) -> int:
    """How many benign ones the rate needs, if none raises an alarm."""
    return stats.trials_to_exclude(rate)


def write(calibration: Calibration, to: Path) -> None:
    to.write_text(json.dumps(asdict(calibration), indent=1) + "\n", encoding="utf-8")


def read(path: Path, judge: str) -> Calibration:
    """The calibration in ``path``, made with ``judge``. Errors: ``CalibrationError``."""
    try:
        found = Calibration(**json.loads(read_text(path, CalibrationError)))
        threshold = float(found.threshold)
    except (ValueError, TypeError):
        said = "is no calibration; write one with: etiology watch calibrate BENIGN… --to FILE"
        raise located(CalibrationError, path, None, said) from None
    if found.judge != judge or not 0 <= threshold <= 2:
        said = f"was made with judge {found.judge!r}, the one in use is {judge!r}; calibrate anew"
        raise located(CalibrationError, path, None, said)
    return found
