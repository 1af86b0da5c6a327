r"""The written cues: families of byte patterns, read from a data file.

They choose which documents the later stages look at; they decide nothing.

The file holds one family a line, ``name = pattern``, under ``[group]`` headings; ``%name%`` is replaced by what the
line ``%name% = …`` says. In a pattern a space stands for one to three white-space characters (a space and ``?``: none
to three), ``'`` for a straight or a typographic apostrophe; ``\b`` is put at both ends, and case does not count.
``<<…>>`` marks the rarest part of a pattern, its *anchor*: only near one is the whole pattern tried, so that a common
word costs nothing. Each pattern must have a bounded length: that is how far around an anchor one must look.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]  # the only public way to a pattern's width would be our own parser
from typing import Final

from etiology.core.errors import ScanError

LONGEST: Final = 1024
"""Bytes that a match of any family may span."""
FLAGS: Final = re.IGNORECASE | re.DOTALL
MACRO: Final = re.compile(r"%[a-z]+%")
ANCHOR: Final = re.compile(r"(.*)<<(.+)>>(.*)")


@dataclass(frozen=True)
class Family:
    """One family of cues. ``source`` is the byte pattern that both hyperscan and Python's `re` read alike."""

    name: str
    group: str
    source: bytes
    anchor: bytes
    """A part of it that every match holds."""
    before: int
    """How many bytes before the end of an anchor a match may begin."""
    after: int
    """How many bytes after the end of an anchor a match may end."""

    @property
    def width(self) -> int:
        """Bytes of its longest match."""
        return self.before + self.after


@dataclass(frozen=True)
class Families:
    """All families of a file, in its order; ``digest`` names their contents."""

    all: tuple[Family, ...]

    @property
    def width(self) -> int:
        """Bytes of the longest match of any."""
        return max(family.width for family in self.all)

    @property
    def digest(self) -> str:
        lines = b"\n".join(f"{f.group}/{f.name}=".encode() + f.source for f in self.all)
        return hashlib.sha256(lines).hexdigest()[:16]

    @property
    def names(self) -> list[str]:
        """``group/name`` of each."""
        return [f"{f.group}/{f.name}" for f in self.all]


@cache
def shipped() -> Families:
    """The families that ship."""
    return parse(files(__package__).joinpath("patterns.txt").read_text(encoding="utf-8"), "patterns.txt")


def read(path: Path | None) -> Families:
    """The families of a file, or those that ship."""
    if path is None:
        return shipped()
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as problem:
        raise ScanError(f"{path}: can't be read as UTF-8 ({problem}); give a file of patterns") from problem


def parse(text: str, where: str) -> Families:
    """The families of a file's text. Errors: ScanError with the line."""
    macros: dict[str, str] = {}
    found: dict[str, Family] = {}
    group = ""
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{where}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            group = line.strip("[] ")
            continue
        name, equals, written = (part.strip() for part in line.partition(" = "))
        if not equals or not written:
            raise ScanError(f"{place}: a line is '[group]', 'name = pattern', '%name% = part' or a # comment")
        if MACRO.fullmatch(name):
            macros[name] = written
            continue
        if not group or f"{group}/{name}" in found:
            raise ScanError(f"{place}: '{name}' needs a [group] above it, and a name of its own in it")
        source, anchor, tail = _source(written, macros, place)
        width, after = _width(source, place), _width(tail, place) if tail else 0
        found[f"{group}/{name}"] = Family(name, group, source, anchor, width - after, after)
    if not found:
        raise ScanError(f"{where}: holds no pattern; write lines of 'name = pattern' under a [group]")
    return Families(tuple(found.values()))


def _source(written: str, macros: dict[str, str], place: str) -> tuple[bytes, bytes, bytes]:
    """The whole pattern, its anchor, and what follows that. Each is grouped: an anchor can't be one of alternatives."""

    def filled(match: "re.Match[str]") -> str:
        if match[0] not in macros:
            raise ScanError(f"{place}: {match[0]} is not defined above; known: {', '.join(macros) or 'none'}")
        return f"(?:{macros[match[0]]})"

    while MACRO.search(written):
        written = MACRO.sub(filled, written)
    written = written.replace("'", "(?:'|’)").replace("[- ]", r"[-\s]").replace(" ?", r"\s{0,3}")
    written = written.replace(" ", r"\s{1,3}")
    parts = ANCHOR.fullmatch(written)
    before, inner, after = ("", written, "") if parts is None else parts.groups()
    anchor, tail = rf"\b(?:{inner})\b", rf"(?:{after})\b" if after else ""
    whole = (rf"\b(?:{before})" if before else "") + anchor + tail
    return whole.encode(), anchor.encode(), tail.encode()


def _width(source: bytes, place: str) -> int:
    """The longest match, in bytes."""
    try:
        least, most = _parser.parse(source, FLAGS).getwidth()
    except re.error as problem:
        raise ScanError(f"{place}: not a pattern ({problem}); correct it") from problem
    if most > LONGEST or (least == 0 and not source.startswith(b"(")):
        raise ScanError(f"{place}: a match must hold 1 to {LONGEST} bytes; write {{0,60}} for * and {{1,60}} for +")
    return int(most)
