"""A stratified sample of a scanned corpus, and its labels.

Strata: documents without any cue (the prefilter's misses); those that a later stage stopped; and those that were
scored, in fifths of their score. Each stratum gives the same number, drawn at random, so that the rare ones are seen
and the misses are measured. The sample is drawn once, kept in DIR/review/sample.jsonl, and only ever added to; labels
are added to DIR/review/labels.jsonl one by one, the last one of a document counts.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etiology.core.errors import ScanError
from etiology.scan import step
from etiology.scan.arrays import codes, floats
from etiology.scan.cascade import STAGES, settings_of
from etiology.scan.inputs import read
from etiology.scan.plan import digest, load, manifests, written
from etiology.store import sha256_of_file

LABELS: Final = {
    "e": "enacted",
    "d": "depicted",
    "t": "discussed",
    "s": "ai-self-preserving",
    "a": "ai-admirable",
    "l": "look-alike",
    "n": "none",
}
"""The classes of the taxonomy by key: what the text does, apart from what it is about."""
POSITIVE: Final = ("enacted", "ai-self-preserving")
PARTS: Final = 5
SHOWN: Final = 20_000
"""Bytes of a document that the sample keeps for reading."""


@dataclass(frozen=True)
class Item:
    """A drawn document. ``stratum_size`` documents are in its stratum; ``score`` is -1 where it got none."""

    key: str
    id: str
    shard: str
    row: int
    stratum: str
    stratum_size: int
    score: float
    text: str
    start: int
    end: int


_Drawn = tuple[float, int, int, float]
"""A random number, shard, row and score."""


def sample(folder: Path, each: int, seed: int) -> list[Item]:
    """The sample of a scan: as it was drawn, or drawn now where there is none or ``each`` asks for more of a stratum.

    With more drawn, what was drawn before stays in it, and its labels count on. Errors: ScanError where the scan is not
    done, or the sample was drawn with another seed.
    """
    path = folder / "review" / "sample.jsonl"
    before = kept(folder)
    if before and not _more(before, each):
        return before
    rows = list(_drawn(folder, each, seed))
    if {item.key for item in before} - {item.key for item in rows}:
        raise ScanError(f"{path}: drawn with another seed; give that one to draw more")
    order = np.random.default_rng(seed + 1).permutation(len(rows))
    items = [rows[i] for i in order]  # so that a reviewer can't tell the stratum from the order
    with written(path) as making:
        making.write_text("".join(json.dumps(asdict(i), ensure_ascii=False) + "\n" for i in items), encoding="utf-8")
    return items


def kept(folder: Path) -> list[Item]:
    """The sample as it was drawn, or nothing."""
    path = folder / "review" / "sample.jsonl"
    if not path.exists():
        return []
    return [Item(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _more(items: Sequence[Item], each: int) -> bool:
    """Whether ``each`` of every stratum, or all there are, would be more than these."""
    drawn = Counter(item.stratum for item in items)
    sizes = {item.stratum: item.stratum_size for item in items}
    return any(n < min(each, sizes[name]) for name, n in drawn.items())


def _drawn(folder: Path, each: int, seed: int) -> Iterator[Item]:
    scanned = manifests(folder)
    if any(m is None for m in scanned):
        raise ScanError(f"{folder}: not all of it is scanned; run etiology scan again, then review")
    held, sizes = _strata(folder, len(scanned), each, seed)
    chosen: dict[int, dict[int, tuple[str, float]]] = {}
    for name, places in sorted(held.items()):
        for _, shard, row, score in places:
            chosen.setdefault(shard, {})[row] = (name, score)
    for number in sorted(chosen):
        yield from _items(folder, number, chosen[number], sizes)


def _strata(folder: Path, shards: int, each: int, seed: int) -> tuple[dict[str, list[_Drawn]], dict[str, int]]:
    """``each`` random places of every stratum, and the strata's sizes.

    Every document gets a random number; the smallest stay. So no more is held than is drawn, however large the corpus.
    """
    held: dict[str, list[_Drawn]] = {}
    sizes: dict[str, int] = {}
    edges = _edges(folder, shards)
    rng = np.random.default_rng(seed)
    for number in range(shards):
        table = step.attributes(folder, number)
        score = floats(table["score"], np.nan)
        names = _names(score, np.asarray(STAGES)[codes(table["stage"], STAGES)], edges)
        lot = rng.random(len(names))
        for name in np.unique(names[names != ""]).tolist():
            mine = np.flatnonzero(names == name)
            sizes[name] = sizes.get(name, 0) + len(mine)
            least = mine[np.argsort(lot[mine])[:each]]
            new = [(float(lot[i]), number, int(i), float(np.nan_to_num(score[i], nan=-1.0))) for i in least.tolist()]
            held[name] = sorted([*held.get(name, []), *new])[:each]
    return held, sizes


def _edges(folder: Path, shards: int) -> NDArray[np.float64]:
    scores = [floats(step.attributes(folder, i)["score"], np.nan) for i in range(shards)]
    every = np.concatenate([s[~np.isnan(s)] for s in scores])
    return np.unique(np.quantile(every, np.linspace(0, 1, PARTS + 1)[1:-1])) if len(every) else np.zeros(0)


def _names(score: NDArray[np.float64], stage: NDArray[np.str_], edges: NDArray[np.float64]) -> NDArray[np.str_]:
    """[rows] the stratum of each, '' for rows without a text."""
    part = np.char.add("scored ", (np.searchsorted(edges, score, side="right") + 1).astype(str))
    stopped = np.where(stage == "patterns", "no cue", "stopped by the linear score")
    names = np.where(np.isnan(score), stopped, part)
    return np.where(np.isin(stage, ["bad", "blank"]), "", names)


def _items(folder: Path, number: int, wanted: dict[int, tuple[str, float]], sizes: dict[str, int]) -> Iterator[Item]:
    plan = load(folder)
    shard, columns = plan.shards[number], settings_of(plan.settings).columns
    table = step.attributes(folder, number)
    last = max(wanted)
    for piece in read(plan.open(), shard, columns):
        for i in sorted(r - piece.first for r in wanted if piece.first <= r < piece.first + len(piece.texts)):
            row = piece.first + i
            name, score = wanted[row]
            yield _item(table.slice(row, 1).to_pylist()[0], piece.texts[i].as_py(), name, score, sizes[name])
        if piece.first + len(piece.texts) > last:
            return


def _item(row: dict[str, Any], text: str, stratum: str, score: float, size: int) -> Item:
    """What a reviewer reads: all of a short document, of a long one what lies around its best passage or first cue."""
    start = (
        row["passage_start"] if row["passage_start"] is not None else min((s["start"] for s in row["spans"]), default=0)
    )
    data = text.encode()
    base = max(0, min(start - SHOWN // 2, len(data) - SHOWN))
    shown = data[base : base + SHOWN].decode("utf-8", "ignore")
    end = row["passage_end"] if row["passage_end"] is not None else start
    key = f"{row['shard']}#{row['row']}"
    return Item(key, row["id"], row["shard"], row["row"], stratum, size, score, shown, start - base, end - base)


# -- labels ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Label:
    """A verdict on one document of a sample, and whose it is."""

    key: str
    label: str
    by: str


def labels(path: Path) -> dict[str, Label]:
    """The labels of a file by key, the last one of each. A line cut off by a crash is passed over."""
    found: dict[str, Label] = {}
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            row = json.loads(line)
            label = Label(row["key"], row["label"], row.get("by", ""))
        except (ValueError, KeyError, TypeError):
            continue
        if label.label in LABELS.values():
            found[label.key] = label
        else:
            found.pop(label.key, None)
    return found


def add_label(path: Path, label: Label) -> None:
    """Append a label, on disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        # What a crash left of a line must not swallow the next one.
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write((json.dumps(asdict(label), ensure_ascii=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def identity(folder: Path) -> str:
    """Names the scan and the sample that labels belong to."""
    return f"{digest(load(folder))}+{sha256_of_file(folder / 'review' / 'sample.jsonl')[:16]}"


def remaining(items: Sequence[Item], have: dict[str, Label]) -> list[Item]:
    """Items not labelled yet, in order."""
    return [item for item in items if item.key not in have]
