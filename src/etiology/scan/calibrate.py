"""``etiology calibrate``: precision and recall of each threshold, from labels, and the threshold a policy asks for.

The documents that no stage scored count with a score of -1: no threshold reaches them, so what they hide lowers recall.

*Choice*: with a floor on recall, thresholds are tried from the lowest up, and the last one before the lower limit of
recall first falls below the floor is taken: a fixed order of tests needs no correction for how many there were
(Angelopoulos et al. 2021, arXiv:2110.01052). With a floor on precision, from the highest down.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from etiology.core.errors import ScanError
from etiology.scan.plan import written
from etiology.scan.sample import POSITIVE, Item, Label, identity
from etiology.stats.strata import Quality, qualities

THRESHOLDS: Final = 40
"""Tried at most, at quantiles of the labelled documents' scores."""


@dataclass(frozen=True)
class Calibration:
    """The qualities at all thresholds tried, from the lowest up, and the one chosen, if any keeps to the policy."""

    floor: float
    of: Literal["recall", "precision"]
    positive: tuple[str, ...]
    labelled: int
    positives: int
    tried: tuple[Quality, ...]
    chosen: Quality | None
    identity: str


def calibrate(
    folder: Path,
    items: Sequence[Item],
    have: dict[str, Label],
    floor: float,
    of: Literal["recall", "precision"] = "recall",
    positive: Sequence[str] = POSITIVE,
) -> Calibration:
    """The calibration from a sample and its labels. Errors: ScanError where labels are missing."""
    labelled = [item for item in items if item.key in have]
    truth = [have[item.key].label in positive for item in labelled]
    scores = np.asarray([item.score for item in labelled])
    reached = scores[scores >= 0]
    steps = np.unique(np.quantile(reached, np.linspace(0, 1, THRESHOLDS), method="lower")) if len(reached) else reached
    if not any(truth):
        raise ScanError(f"{folder}: none of {len(labelled)} labelled documents is {' or '.join(positive)}; label more")
    sizes = {item.stratum: item.stratum_size for item in items}
    try:
        tried = qualities(scores, truth, [i.stratum for i in labelled], sizes, [float(t) for t in steps])
    except ValueError as problem:
        raise ScanError(f"{folder}: {problem}") from problem
    return Calibration(
        floor, of, tuple(positive), len(labelled), sum(truth), tuple(tried), _chosen(tried, floor, of), identity(folder)
    )


def _chosen(tried: Sequence[Quality], floor: float, of: str) -> Quality | None:
    chosen = None
    for quality in tried if of == "recall" else reversed(tried):
        if (quality.recall_low if of == "recall" else quality.precision_low) < floor:
            break
        chosen = quality
    return chosen


def save(folder: Path, found: Calibration) -> None:
    """Keep it where `etiology apply` looks for it."""
    with written(folder / "calibration.json") as making:
        making.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")


def threshold(folder: Path) -> float | None:
    """The calibrated threshold of a scan; None where none was found. Errors: ScanError where it is of another scan."""
    path = folder / "calibration.json"
    if not path.exists():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    if data["identity"] != identity(folder):
        raise ScanError(f"{path}: made from another scan or sample; run etiology calibrate again")
    return None if data["chosen"] is None else float(data["chosen"]["threshold"])


def words(found: Calibration) -> str:
    """The calibration in lines."""
    head = (
        f"{found.labelled} labelled, {found.positives} {' or '.join(found.positive)}; 95 % intervals, weighted to the "
        "whole corpus"
    )
    rows = (
        [found.tried[i] for i in np.unique(np.linspace(0, len(found.tried) - 1, 12).astype(int))] if found.tried else []
    )
    lines = [head, "threshold  precision              recall                 flagged", *map(_row, rows)]
    if found.chosen is None:
        lines.append(f"no threshold has a lower limit of {found.of} of {found.floor:.2f}: {_remedy(found)}")
    else:
        lines.append(f"chosen, lower limit of {found.of} at least {found.floor:.2f}:\n{_row(found.chosen)}")
    return "\n".join(lines)


def _row(q: Quality) -> str:
    return (
        f"{q.threshold:9.4f}  {q.precision:.2f} [{q.precision_low:.2f}, {q.precision_high:.2f}]      "
        f"{q.recall:.2f} [{q.recall_low:.2f}, {q.recall_high:.2f}]      {q.flagged:.0f}"
    )


def _remedy(found: Calibration) -> str:
    best = found.tried[0] if found.tried else None
    if found.of == "recall" and best is not None and best.recall < found.floor:
        return "too much is missed before the last stage; add cues, or scan with --everywhere"
    return "few labels leave a wide interval; label more documents (etiology review --each N)"
