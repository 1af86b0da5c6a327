r"""Which families of cues occur in which texts, and where: by hyperscan, with the spans that Python's `re` gives.

1. *Anchors*: the buffer in which the texts lie side by side is matched against the rarest part of each family, in
   pieces of a few megabytes that know nothing of where texts begin. This is the pass over all bytes.
2. *Stretches*: what lies within the longest match of an anchor; and of every place where step 1 is blind, because it
   cut a piece there, or because a letter stands on both sides of a text's edge and hides its ``\b``.
3. *Reports*: the stretches, each cut off at its text's edges, are matched against the whole families: which one, and
   where a match ends. (Hyperscan can't tell where it began: the automaton would be too large.)
4. *Spans*: `re` runs over the bytes that end where a report says.

So spans are those of `re` on the whole text, and a long text is never handed over in one call.
One scratch per thread and database: hyperscan writes to it while matching.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etiology.core.errors import ScanError
from etiology.scan.patterns import FLAGS, Families
from etiology.scan.texts import WORD, Texts

SEGMENT: Final = 8_000_000
"""Bytes matched in one call at most."""

BETWEEN: Final = b"\n\x00\x00\x00\x00\n"
"""Stands between stretches that are matched in one call: no white space, word or sentence of a pattern spans it."""

Numbers = NDArray[np.int64]

INSTALL: Final = "run: pip install 'etiology[scan]'"


@dataclass(frozen=True)
class Span:
    """A match of family number ``family`` from ``start`` to ``end``, in bytes of its text."""

    family: int
    start: int
    end: int


@dataclass(frozen=True)
class Compiled:
    """Both databases, so that each worker loads them in milliseconds instead of compiling them in seconds.

    They fit the kind of processor they were compiled on; elsewhere `Matcher` compiles again.
    """

    anchors: bytes
    wholes: bytes


@cache
def compiled(families: Families) -> Compiled:
    """Errors: ScanError where hyperscan can't take a pattern."""
    dump = _hyperscan().dumpb
    return Compiled(
        bytes(dump(_database([f.anchor for f in families.all]))),
        bytes(dump(_database([f.source for f in families.all]))),
    )


def _hyperscan() -> Any:
    try:
        import hyperscan
    except ImportError as problem:
        raise ScanError(f"matching patterns needs hyperscan; {INSTALL}") from problem
    return hyperscan


def _database(sources: Sequence[bytes]) -> Any:
    hs = _hyperscan()
    database = hs.Database(mode=hs.HS_MODE_BLOCK)
    flags = hs.HS_FLAG_CASELESS | hs.HS_FLAG_DOTALL
    try:
        database.compile(expressions=list(sources), ids=list(range(len(sources))), elements=len(sources), flags=flags)
    except hs.HyperscanError as problem:
        raise ScanError(f"hyperscan refuses a pattern ({problem}); simplify it") from problem
    return database


class _Blocks:
    """One database and a scratch for each thread that uses it."""

    def __init__(self, ready: bytes, sources: Sequence[bytes]) -> None:
        hs = _hyperscan()
        try:
            self._database = hs.loadb(ready, hs.HS_MODE_BLOCK)
        except hs.HyperscanError:  # compiled on another kind of processor, or by another version
            self._database = _database(sources)
        self._local = threading.local()

    def reports(self, data: memoryview) -> "Reports":
        """Every match in ``data``."""
        if not len(data):
            return NO_REPORTS
        if not hasattr(self._local, "scratch"):
            self._local.scratch = _hyperscan().Scratch(self._database)
        families: list[int] = []
        ends: list[int] = []
        add_family, add_end = families.append, ends.append

        def heard(family: int, _start: int, end: int, _flags: int, _context: object) -> None:
            add_family(family)
            add_end(end)

        self._database.scan(data, match_event_handler=heard, scratch=self._local.scratch)
        return Reports(np.asarray(families, np.int64), np.asarray(ends, np.int64))


@dataclass(frozen=True)
class Reports:
    """[reports] which family matched, and where the match ends."""

    family: Numbers
    end: Numbers

    def at(self, chosen: NDArray[np.bool_]) -> "Reports":
        return Reports(self.family[chosen], self.end[chosen])

    def __add__(self, other: "Reports") -> "Reports":
        return Reports(np.append(self.family, other.family), np.append(self.end, other.end))


NO_REPORTS: Final = Reports(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Matcher:
    """Matches one list of families. May be shared by threads."""

    def __init__(self, families: Families, ready: Compiled | None = None) -> None:
        made = ready or compiled(families)
        self._anchors = _Blocks(made.anchors, [f.anchor for f in families.all])
        self._wholes = _Blocks(made.wholes, [f.source for f in families.all])
        self._families = families.all
        self._reach = families.width + 1
        self._before = np.asarray([f.before + 1 for f in families.all], np.int64)
        self._after = np.asarray([f.after + 1 for f in families.all], np.int64)
        self._width = [f.width for f in families.all]
        self._own_anchor = np.asarray([f.anchor == f.source for f in families.all])

    def __call__(self, texts: Texts) -> dict[int, list[Span]]:
        """The spans in each text that has any, by the text's number and in order of family and start."""
        anchors = self._anchor_reports(texts)
        # Of a family that is its own anchor, these are the reports already.
        known = anchors.at(self._own_anchor[anchors.family])
        near = anchors.at(~self._own_anchor[anchors.family])
        reports = known + self._whole_reports(texts, *self._stretches(texts, near))
        owner = np.searchsorted(texts.offsets, reports.end - 1, side="right") - 1
        places = np.unique(np.stack([owner, reports.family, reports.end - texts.offsets[owner]], 1), axis=0)
        out: dict[int, list[Span]] = {}
        for (i, family), rows in groupby(places.tolist(), lambda row: (row[0], row[1])):
            text = texts.view[texts.offsets[i] : texts.offsets[i + 1]]
            spans = self._spans(text, family, [end for _, _, end in rows])
            if spans:
                out.setdefault(i, []).extend(spans)
        return out

    def _anchor_reports(self, texts: Texts) -> Reports:
        found = NO_REPORTS
        for start in range(0, len(texts.data), SEGMENT):
            part = self._anchors.reports(texts.view[start : start + SEGMENT])
            found += Reports(part.family, part.end + start)
        return found

    def _stretches(self, texts: Texts, near: Reports) -> tuple[Numbers, Numbers]:
        """(first byte, past the last) of what lies in reach of an anchor, or of a place the anchors can't see."""
        cuts = np.arange(SEGMENT, len(texts.data), SEGMENT)
        blind = np.concatenate([cuts, _hidden_edges(texts)])
        # A blind place is in reach of the text before it and of the one after it, which may be the same.
        middle = np.concatenate([near.end, blind, blind])
        inside = np.concatenate([near.end - 1, blind - 1, blind])
        reach = np.full(2 * len(blind), self._reach)
        owners = np.searchsorted(texts.offsets, inside, side="right") - 1
        before = np.concatenate([self._before[near.family], reach])
        after = np.concatenate([self._after[near.family], reach])
        first = np.maximum(middle - before, texts.offsets[owners])
        last = np.minimum(middle + after, texts.offsets[owners + 1])
        return _merged(owners, first, last)

    def _whole_reports(self, texts: Texts, first: Numbers, last: Numbers) -> Reports:
        """Reports in the stretches, which are matched in few calls, side by side with something between."""
        found = NO_REPORTS
        for begin, stop in _runs(last - first):
            pieces = [
                texts.view[a:b] for a, b in zip(first[begin:stop].tolist(), last[begin:stop].tolist(), strict=True)
            ]
            data = BETWEEN.join([*pieces, b""])
            starts = np.concatenate([[0], np.cumsum(last[begin:stop] - first[begin:stop] + len(BETWEEN))[:-1]])
            part = self._wholes.reports(memoryview(data))
            mine = np.searchsorted(starts, part.end - 1, side="right") - 1
            end = part.end - starts[mine] + first[begin:stop][mine]
            # What ends between two stretches crossed from one into the next.
            found += Reports(part.family, end).at(end <= last[begin:stop][mine])
        return found

    def _spans(self, text: memoryview, family: int, ends: Sequence[int]) -> list[Span]:
        spans: list[Span] = []
        for start, stop in _before(ends, self._width[family]):
            # A byte more on the left, and what a match may still reach on the right, show what stands beside each \b.
            base = max(0, start - 1)
            near = bytes(text[base : stop + self._width[family] + 1])
            spans += [
                Span(family, base + match.start(), base + match.end())
                for match in _pattern(self._families[family].source).finditer(near)
                if base + match.start() < stop
            ]
        return spans


@cache
def _pattern(source: bytes) -> "re.Pattern[bytes]":
    """Compiled when a document first needs it: all of them take a quarter of a second."""
    return re.compile(source, FLAGS)


def _hidden_edges(texts: Texts) -> Numbers:
    """The offsets between texts that have a letter on both sides."""
    inner = np.unique(texts.offsets[1:-1])
    inner = inner[(inner > 0) & (inner < len(texts.data))]
    return inner[WORD[texts.data[inner - 1]] & WORD[texts.data[inner]]]


def _merged(owners: NDArray[np.intp], first: Numbers, last: Numbers) -> tuple[Numbers, Numbers]:
    """Stretches in order; those of one text that overlap become one."""
    if not len(first):
        return first, last
    order = np.argsort(first, kind="stable")
    owners, first, last = owners[order], first[order], np.maximum.accumulate(last[order])
    begins = np.flatnonzero(np.append(True, (owners[1:] != owners[:-1]) | (first[1:] > last[:-1])))
    return first[begins], last[np.append(begins[1:], len(last)) - 1]


def _runs(sizes: Numbers) -> Iterator[tuple[int, int]]:
    """(first, past the last) of runs of stretches that together fill a segment at most, or are one by itself."""
    ends, start = np.cumsum(sizes + len(BETWEEN)), 0
    while start < len(sizes):
        base = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + SEGMENT, side="right")))
        yield start, stop
        start = stop


def _before(ends: Sequence[int], width: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the bytes that hold every match with one of these ends, merged where they overlap."""
    start, stop = max(0, ends[0] - width), ends[0]
    for end in ends[1:]:
        if end - width > stop:
            yield start, stop
            start = end - width
        stop = end
    yield start, stop
