r"""Which families of cues occur in which texts, and where: by hyperscan, with the spans that Python's `re` gives.

1. *Anchors*: the buffer in which the texts lie side by side is matched against the rarest part of each family, in
   pieces of a few megabytes that know nothing of where texts begin. This is the pass over all bytes.
2. *Stretches*: what lies within the longest match of an anchor; and of every place where step 1 is blind, because it
   cut a piece there, or because a letter stands on both sides of a text's edge and hides its ``\b``.
3. *Reports*: of a family without a rarer part, step 1 has them; else each stretch, cut off at its text's edges, is matched against the whole families: which one, and where a
   match ends. (Hyperscan can't tell where these begin: the automaton would be too large.)
4. *Spans*: `re` runs over the bytes that end where a report says.

So spans are those of `re` on the whole text, and a long text is never handed over in one call.
One scratch per thread and database: hyperscan writes to it while matching.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etiology.core.errors import ScanError
from etiology.scan.patterns import FLAGS, Families
from etiology.scan.texts import WORD, Texts

SEGMENT: Final = 8_000_000
"""Bytes matched in one call at most."""

Ends = dict[tuple[int, int], list[int]]
"""Where matches end, in bytes of the text, by text and family."""

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

    def reports(self, data: memoryview) -> list[tuple[int, int]]:
        """(family, where it ends) of every match in ``data``."""
        found: list[tuple[int, int]] = []
        if len(data):
            if not hasattr(self._local, "scratch"):
                self._local.scratch = _hyperscan().Scratch(self._database)
            add = found.append
            self._database.scan(
                data,
                match_event_handler=lambda family, _start, end, _flags, _context: add((family, end)),
                scratch=self._local.scratch,
            )
        return found


class Matcher:
    """Matches one list of families. May be shared by threads."""

    def __init__(self, families: Families, ready: Compiled | None = None) -> None:
        made = ready or compiled(families)
        self._anchors = _Blocks(made.anchors, [f.anchor for f in families.all])
        self._wholes = _Blocks(made.wholes, [f.source for f in families.all])
        self._patterns = [re.compile(f.source, FLAGS) for f in families.all]
        self._families = families.all
        self._reach = families.width + 1

    def __call__(self, texts: Texts) -> dict[int, list[Span]]:
        """The spans in each text that has any, by the text's number and in order of family and start."""
        out: dict[int, list[Span]] = {}
        anchors = self._anchor_reports(texts)
        ends = self._whole_anchors(texts, anchors)
        for i, start, stop in self._stretches(texts, anchors):
            for family, end in self._wholes.reports(texts.view[start:stop]):
                ends.setdefault((i, family), []).append(start + end - int(texts.offsets[i]))
        for (i, family), places in sorted(ends.items()):
            text = texts.view[texts.offsets[i] : texts.offsets[i + 1]]
            spans = self._spans(text, family, sorted(set(places)))
            if spans:
                out.setdefault(i, []).extend(spans)
        return out

    def _anchor_reports(self, texts: Texts) -> list[tuple[int, int]]:
        return [
            (family, start + end)
            for start in range(0, len(texts.data), SEGMENT)
            for family, end in self._anchors.reports(texts.view[start : start + SEGMENT])
        ]

    def _whole_anchors(self, texts: Texts, anchors: list[tuple[int, int]]) -> Ends:
        """Of families that are their own anchor, the reports are known already."""
        out: Ends = {}
        known = [(f, end) for f, end in anchors if self._families[f].anchor == self._families[f].source]
        places = np.asarray([end for _, end in known], dtype=np.int64)
        owners = np.searchsorted(texts.offsets, places - 1, side="right") - 1
        for (family, end), i, base in zip(known, owners.tolist(), texts.offsets[owners].tolist(), strict=True):
            out.setdefault((i, family), []).append(end - base)
        return out

    def _stretches(self, texts: Texts, anchors: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """(text, first byte, past the last) of what lies in reach of an anchor or of a place the anchors can't see."""
        near = [(f, end) for f, end in anchors if self._families[f].anchor != self._families[f].source]
        blind = [*range(SEGMENT, len(texts.data), SEGMENT), *_hidden_edges(texts)]
        # A blind place is in reach of the text before it and of the one after it, which may be the same.
        middle = np.asarray([end for _, end in near] + blind + blind, dtype=np.int64)
        inside = np.asarray([end - 1 for _, end in near] + [place - 1 for place in blind] + blind, dtype=np.int64)
        reach = [self._reach] * (2 * len(blind))
        before = np.asarray([self._families[f].before + 1 for f, _ in near] + reach, dtype=np.int64)
        after = np.asarray([self._families[f].after + 1 for f, _ in near] + reach, dtype=np.int64)
        owners = np.searchsorted(texts.offsets, inside, side="right") - 1
        first = np.maximum(middle - before, texts.offsets[owners])
        last = np.minimum(middle + after, texts.offsets[owners + 1])
        return _merged(owners, first, last)

    def _spans(self, text: memoryview, family: int, ends: Sequence[int]) -> list[Span]:
        spans = []
        for start, stop in _before(ends, self._families[family].width):
            # A byte more on the left, and what a match may still reach on the right, show what stands beside each \b.
            base = max(0, start - 1)
            near = bytes(text[base : stop + self._families[family].width + 1])
            spans += [
                Span(family, base + match.start(), base + match.end())
                for match in self._patterns[family].finditer(near)
                if base + match.start() < stop
            ]
        return spans


def _hidden_edges(texts: Texts) -> list[int]:
    """The offsets between texts that have a letter on both sides."""
    inner = np.unique(texts.offsets[1:-1])
    inner = inner[(inner > 0) & (inner < len(texts.data))]
    return inner[WORD[texts.data[inner - 1]] & WORD[texts.data[inner]]].tolist() if len(inner) else []


def _merged(owners: NDArray[np.intp], first: NDArray[np.int64], last: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Overlapping stretches of one text become one."""
    order = np.argsort(first, kind="stable")
    out: list[tuple[int, int, int]] = []
    for i, start, stop in zip(owners[order].tolist(), first[order].tolist(), last[order].tolist(), strict=True):
        if out and out[-1][0] == i and start <= out[-1][2]:
            out[-1] = (i, out[-1][1], max(stop, out[-1][2]))
        else:
            out.append((i, start, stop))
    return out


def _before(ends: Sequence[int], width: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the bytes that hold every match with one of these ends, merged where they overlap."""
    start, stop = max(0, ends[0] - width), ends[0]
    for end in ends[1:]:
        if end - width > stop:
            yield start, stop
            start = end - width
        stop = end
    yield start, stop
