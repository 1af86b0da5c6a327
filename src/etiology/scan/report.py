"""What a scan or an apply did, from its manifests alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etiology.core.visible import on_one_line
from etiology.scan.inputs import Bad
from etiology.scan.plan import Manifest, load, manifests, why_not


@dataclass(frozen=True)
class Report:
    """``missing``: shards that are not done, and why. ``bad``: (shard, rows and their place). ``counts`` are sums."""

    shards: int
    missing: tuple[str, ...]
    bad: tuple[tuple[str, Bad], ...]
    rows: int
    bytes: int
    seconds: float
    counts: dict[str, Any]

    @property
    def well(self) -> bool:
        return not self.missing and not self.bad


def report(folder: Path) -> Report:
    """The report of a folder."""
    found = manifests(folder)
    names = [shard.name for shard in load(folder).shards]
    done = [m for m in found if m is not None]
    return Report(
        shards=len(found),
        missing=tuple(
            f"{n}: {why_not(folder, i)}" for i, (n, m) in enumerate(zip(names, found, strict=True)) if m is None
        ),
        bad=tuple((m.shard, bad) for m in done for bad in m.bad),
        rows=sum(m.rows for m in done),
        bytes=sum(m.bytes for m in done),
        seconds=sum(m.seconds for m in done),
        counts=_sums(done),
    )


def _sums(done: Sequence[Manifest]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for manifest in done:
        total.update({k: v for k, v in (manifest.counts or {}).items() if isinstance(v, int | float)})
    return dict(total)


def words(found: Report) -> str:
    """The report in lines; each bad row with its bytes' place and hash."""
    speed = f", {found.bytes / 1e6 / found.seconds:.0f} MB/s a core" if found.seconds else ""
    counts = ", ".join(f"{on_one_line(k)} {v}" for k, v in sorted(found.counts.items()))
    done = found.shards - len(found.missing)
    lines = [f"{done} of {found.shards} shards, {found.rows} rows, {found.bytes / 1e6:.1f} MB of text{speed}"]
    lines += [counts] if counts else []
    for shard, bad in found.bad:
        row = (
            "the rest of the shard"
            if bad.row is None
            else f"row {bad.row}"
            if bad.rows == 1
            else f"rows {bad.row} to {bad.row + bad.rows - 1}"
        )
        lines.append(
            f"bad: {on_one_line(shard)}: {row}, byte {bad.offset}, {bad.bytes} bytes, SHA-256 {bad.sha256[:16]}: "
            f"{on_one_line(bad.reason)}"
        )
    lines += [f"not done: {on_one_line(name)}" for name in found.missing]
    return "\n".join(lines)
