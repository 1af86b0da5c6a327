"""The cascade: each stage reads less than the one before it, and costs more.

1. *patterns* on every byte: a document without any cue stops here;
2. *linear* on what is left (or, with ``everywhere``, on every document, which then counts as a cue of its own):
   the best window's probability; below ``least`` it stops here;
3. *detector* on a few passages of what is left: the best window, and what stands around the cues.

A document that went through all stages there are has a score: the last stage's. The others have none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etiology.core.errors import ScanError
from etiology.scan import linear, patterns, ports
from etiology.scan.arrays import coded, hashes, lists, numbers, strings, there
from etiology.scan.inputs import Columns, Piece
from etiology.scan.linear import Windows
from etiology.scan.matching import Compiled, Matcher, Span, compiled
from etiology.scan.texts import HASH_BYTES, Texts, texts_of

AROUND: Final = 500
"""Bytes on each side of a cue that a detector reads."""
PASSAGES: Final = 4
"""Of one document, at most."""

SPAN: Final = pa.struct([("family", pa.int16()), ("start", pa.int64()), ("end", pa.int64())])
SCHEMA: Final = pa.schema(
    [
        ("id", pa.string()),
        ("shard", pa.dictionary(pa.int8(), pa.string())),
        ("row", pa.int64()),
        ("hash", pa.binary(HASH_BYTES)),
        ("bytes", pa.int64()),
        ("spans", pa.list_(SPAN)),
        ("linear", pa.float32()),
        ("scores", pa.list_(pa.float32())),
        ("score", pa.float32()),
        ("passage_start", pa.int64()),
        ("passage_end", pa.int64()),
        ("stage", pa.dictionary(pa.int8(), pa.string())),
        ("verdict", pa.dictionary(pa.int8(), pa.string())),
        ("reason", pa.dictionary(pa.int16(), pa.string())),
        ("policy", pa.dictionary(pa.int8(), pa.string())),
    ]
)
"""One row a document, beside the corpus. ``hash``: 16 bytes of the text's SHA-256. Places are bytes of the text."""

STAGES: Final = ("bad", "blank", "patterns", "linear", "detector")
VERDICTS: Final = ("bad", "passed", "scored")
REASONS: Final = ("no text that can be read", "blank", "no cue", "linear score too low", "scored by the last stage")


@dataclass(frozen=True)
class Settings:
    """Which stages there are. ``patterns`` and ``linear`` are files ('' is what ships, and none; or 'shipped').

    ``least`` None: what the linear model itself goes on from.

    ``targets``: the detector's classes that count; none given means its first.
    """

    columns: Columns = field(default_factory=Columns)
    patterns: str = ""
    linear: str = ""
    everywhere: bool = False
    least: float | None = None
    detector: str = ""
    targets: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As data for the plan, with what names the contents of each file."""
        return {
            **asdict(self),
            "patterns_digest": patterns.read(Path(self.patterns) if self.patterns else None).digest,
            "linear_digest": linear.named(self.linear).digest if self.linear else "",
            "detector_digest": ports.digest(self.detector) if self.detector else "",
        }


def settings_of(plain: Mapping[str, Any]) -> Settings:
    """The settings that `Settings.plain` gave."""
    columns = Columns(tuple(plain["columns"]["text"]), plain["columns"]["id"])
    kept = {k: plain[k] for k in ("patterns", "linear", "everywhere", "least", "detector")}
    return Settings(columns=columns, targets=tuple(plain["targets"]), **kept)


@dataclass
class Cascade:
    """The stages, loaded; each when it is first needed. One for each process."""

    settings: Settings
    ready: Compiled | None = None
    policy: str = ""

    @cached_property
    def families(self) -> patterns.Families:
        return patterns.read(Path(self.settings.patterns) if self.settings.patterns else None)

    @cached_property
    def matcher(self) -> Matcher:
        return Matcher(self.families, self.ready or compiled(self.families))

    @cached_property
    def linear(self) -> linear.Linear | None:
        return linear.named(self.settings.linear) if self.settings.linear else None

    @cached_property
    def detector(self) -> ports.Loaded | None:
        return ports.load(self.settings.detector) if self.settings.detector else None

    @cached_property
    def targets(self) -> list[int]:
        """Columns of the detector's output that count."""
        if self.detector is None:
            return []
        known = self.detector.classes
        wanted = self.settings.targets or known[:1]
        if unknown := set(wanted) - set(known):
            raise ScanError(
                f"detector '{self.settings.detector}' has no class '{min(unknown)}'; it has {', '.join(known)}"
            )
        return [known.index(name) for name in wanted]

    def load(self) -> None:
        """Load every stage now, so that what is missing shows before any shard is begun."""
        _ = self.matcher, self.targets
        if self.linear is not None:
            linear.scores(self.linear, ["one"])  # which loads the compiled loop

    def __call__(self, piece: Piece, shard: str) -> Any:
        """The attributes [rows] of a piece."""
        texts = texts_of(piece.texts)
        found = Found(len(texts))
        spans = self.matcher(texts)
        left = self._by_linear(texts, spans, found)
        if self.detector is not None:
            self._by_detector(self.detector, texts, spans, left, found)
        elif self.linear is None:
            found.score[left] = [_of_cues(spans[i]) for i in left]
        else:
            found.score[left] = found.linear[left]
        return _table(piece, texts, shard, spans, found, self.policy)

    def _by_linear(self, texts: Texts, spans: Mapping[int, list[Span]], found: "Found") -> NDArray[np.intp]:
        """Numbers of the documents that go on."""
        cued = np.fromiter(spans, dtype=np.intp, count=len(spans))
        if self.linear is None:
            return cued
        chosen = np.flatnonzero(texts.lengths > 0) if self.settings.everywhere else cued
        windows = self.linear(texts, chosen)
        found.keep(chosen, windows)
        least = self.linear.least if self.settings.least is None else self.settings.least
        left: NDArray[np.intp] = chosen[windows.score >= least]
        found.stage[chosen] = STAGES.index("linear")
        return left

    def _by_detector(
        self,
        detector: ports.Loaded,
        texts: Texts,
        spans: Mapping[int, list[Span]],
        left: NDArray[np.intp],
        found: "Found",
    ) -> None:
        places = [
            (i, start, end)
            for i in left.tolist()
            for start, end in _passages(int(texts.lengths[i]), spans.get(i, []), found.window(i))
        ]
        if not places:
            return
        data, offsets = texts.view, texts.offsets
        read = [bytes(data[offsets[i] + a : offsets[i] + b]).decode("utf-8", "ignore") for i, a, b in places]
        scores = detector(read)
        wanted = scores[:, self.targets].max(1)
        found.stage[left] = STAGES.index("detector")
        # In order of score, so that what stays for each document is its highest passage.
        for k in np.argsort(wanted, kind="stable").tolist():
            i, start, end = places[k]
            found.score[i], found.start[i], found.end[i] = wanted[k], start, end
            found.scores[i] = scores[k].tolist()


class Found:
    """What the stages found, by document."""

    def __init__(self, count: int) -> None:
        self.stage = np.full(count, STAGES.index("patterns"), np.int8)
        self.linear = np.full(count, np.nan, np.float32)
        self.score = np.full(count, np.nan, np.float32)
        self.start, self.end = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
        self.scores: dict[int, list[float]] = {}

    def keep(self, chosen: NDArray[np.intp], windows: Windows) -> None:
        self.linear[chosen], self.start[chosen], self.end[chosen] = windows.score, windows.start, windows.end

    def window(self, i: int) -> tuple[int, int] | None:
        return None if self.end[i] < 0 else (int(self.start[i]), int(self.end[i]))


def _of_cues(spans: Sequence[Span]) -> float:
    """Without any scorer: n families of cues give n / (n + 1)."""
    families = len({span.family for span in spans})
    return families / (families + 1)


def _passages(size: int, spans: Sequence[Span], window: tuple[int, int] | None) -> list[tuple[int, int]]:
    """What a detector reads of one document: the best window, then what stands around cues, most cues first."""
    around: list[tuple[int, int, int]] = []
    for span in sorted(spans, key=lambda s: s.start):
        if around and span.end <= around[-1][1]:
            around[-1] = (around[-1][0], around[-1][1], around[-1][2] + 1)
        else:
            around.append((max(0, span.start - AROUND), min(size, span.end + AROUND), 1))
    dense = [(a, b) for a, b, _ in sorted(around, key=lambda p: -p[2])]
    if window is None:
        return dense[:PASSAGES]
    # A window may be a few words only: a detector needs to see what they answer.
    start, end = window
    return [(max(0, start - AROUND // 2), min(size, end + AROUND // 2)), *dense[: PASSAGES - 1]]


def _table(piece: Piece, texts: Texts, shard: str, spans: Mapping[int, list[Span]], found: Found, policy: str) -> Any:
    count = len(texts)
    stage = found.stage.copy()
    stage[~there(piece.texts)] = STAGES.index("blank")
    stage[[b.row - piece.first for b in piece.bad if b.row is not None and b.rows == 1]] = STAGES.index("bad")
    scored = ~np.isnan(found.score)
    verdict = np.where(stage == 0, 0, np.where(scored, 2, 1)).astype(np.int8)
    reason = np.where(scored, 4, np.minimum(stage, 3)).astype(np.int16)
    placed = found.end >= 0
    columns = [
        _ids(piece, shard),
        coded(np.zeros(count, np.int8), [shard]),
        numbers(np.arange(piece.first, piece.first + count)),
        hashes(texts.hashes(), HASH_BYTES),
        numbers(texts.lengths),
        _span_lists(spans, count),
        numbers(found.linear, ~np.isnan(found.linear)),
        _score_lists(found.scores, count),
        numbers(found.score, scored),
        numbers(found.start, placed),
        numbers(found.end, placed),
        coded(stage, STAGES),
        coded(verdict, VERDICTS),
        coded(reason, REASONS),
        coded(np.zeros(count, np.int8), [policy]),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def _ids(piece: Piece, shard: str) -> Any:
    """Each row's id as text, or where it has none, its place."""
    ids = piece.ids
    if ids is not None and (
        pa.types.is_integer(ids.type) or pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)
    ):
        ids = ids.cast(pa.string())
        if ids.null_count == 0:
            return ids
        given = ids.to_pylist()
    else:
        given = [None] * len(piece.texts)
    return strings([name if name is not None else f"{shard}#{piece.first + i}" for i, name in enumerate(given)])


def _span_lists(spans: Mapping[int, list[Span]], count: int) -> Any:
    flat = np.asarray([(s.family, s.start, s.end) for i in sorted(spans) for s in spans[i]], dtype=np.int64).reshape(
        -1, 3
    )
    fields = [numbers(flat[:, 0].astype(np.int16)), numbers(flat[:, 1]), numbers(flat[:, 2])]
    sizes = np.zeros(count, np.int64)
    for i, found in spans.items():
        sizes[i] = len(found)
    return lists(sizes, pa.StructArray.from_arrays(fields, fields=list(SPAN)))


def _score_lists(scores: Mapping[int, list[float]], count: int) -> Any:
    sizes = np.zeros(count, np.int64)
    sizes[list(scores)] = [len(row) for row in scores.values()]
    flat = np.asarray([value for i in sorted(scores) for value in scores[i]], dtype=np.float32)
    return lists(sizes, numbers(flat), sizes > 0)
