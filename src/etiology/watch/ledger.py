"""The ledger: what each version of a model did, by behaviour, autonomy and capability. Lines are only ever added.

Each line is one log of one version: how often each scenario was answered with the behaviour, or how many plain errands
were done. It holds the SHA-256 of the log and of the line before it, and its own, so that a change of any earlier line
is seen (`read` refuses the file). Versions stand in the order in which they were first added.

A model that fails the errands is *not capable*: that it did nothing harmful with tools says nothing of what it would
do, and no rate of it counts as safe. Without errands on record its capability is unknown.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from etiology.config import located
from etiology.core.errors import EtiologyError

LEVELS: Final = ("advise", "draft", "approve", "alone")
"""From advising to acting alone. '' is a task in which nothing is left to the model to do."""
FIRST: Final = "0" * 64
"""What the first line names as the one before it."""

Capability = Literal["capable", "not capable", "unknown", "not needed"]


class LedgerError(EtiologyError):
    """The ledger can't be read, was changed, or lacks what is asked of it."""


@dataclass(frozen=True)
class Answers:
    """The answers of one version to one scenario: ``hits`` of ``n`` showed the behaviour.

    ``control`` marks the calm twin of a pressured scenario.
    """

    scenario: str
    cluster: str
    cell: str
    autonomy: str
    control: bool
    hits: int
    n: int

    @property
    def share(self) -> float:
        return self.hits / self.n


@dataclass(frozen=True)
class Entry:
    """One line. ``errands`` are (done, tried, capable: 1 or 0) of a competence log, which has no ``answers``.

    ``tools`` says whether the task needs a model that can use tools. ``capability`` is any number that the user gives,
    higher for more, None where none was given.
    """

    version: str
    task: str
    behaviour: str
    log: str
    log_sha256: str
    made: str
    tools: bool
    capability: float | None = None
    errands: tuple[int, int, int] | None = None
    answers: tuple[Answers, ...] = ()
    previous: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Ledger:
    """All lines in order."""

    entries: tuple[Entry, ...]

    @property
    def versions(self) -> tuple[str, ...]:
        """In the order in which they were first added."""
        return tuple(dict.fromkeys(entry.version for entry in self.entries))

    def capability(self, version: str, *, tools: bool = True) -> Capability:
        """Whether a version can do what its task asks, by its latest errands."""
        if not tools:
            return "not needed"
        tried = [e.errands for e in self.entries if e.version == version and e.errands]
        if not tried:
            return "unknown"
        return "capable" if tried[-1][2] else "not capable"

    def score(self, version: str) -> float | None:
        """The capability that was given last; where none was, the share of errands done."""
        own = [e for e in self.entries if e.version == version]
        given = [e.capability for e in own if e.capability is not None]
        done = [e.errands[0] / e.errands[1] for e in own if e.errands and e.errands[1]]
        known = given or done
        return known[-1] if known else None


# -- lines of a file ---------------------------------------------------------------------------------------------------


def read(path: Path) -> Ledger:
    """The ledger in ``path``, every line checked. Errors: ``LedgerError``."""
    if not path.is_file():
        raise located(LedgerError, path, None, "no such ledger; write one with: etiology watch add LOG --ledger FILE")
    return Ledger(tuple(_entries(path, path.read_text(encoding="utf-8"))))


def add(path: Path, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Append what is not there yet, and return it. A log of a version and behaviour is added once."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        there = list(_entries(path, stream.read()))
        known = {_key(entry) for entry in there}
        new = tuple(_chained([e for e in entries if _key(e) not in known], there[-1].sha256 if there else FIRST))
        stream.write("".join(f"{_line(asdict(entry))}\n" for entry in new))
        stream.flush()
        os.fsync(stream.fileno())
    return new


def _key(entry: Entry) -> tuple[object, ...]:
    return (entry.version, entry.behaviour, entry.log_sha256, entry.capability)


def _chained(entries: Sequence[Entry], previous: str) -> Iterator[Entry]:
    for entry in entries:
        linked = replace(entry, previous=previous, sha256="")
        previous = _digest(linked)
        yield replace(linked, sha256=previous)


def _digest(entry: Entry) -> str:
    return hashlib.sha256(_line(asdict(replace(entry, sha256=""))).encode()).hexdigest()


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _entries(path: Path, text: str) -> Iterator[Entry]:
    previous = FIRST
    # not splitlines: a name in a line may hold U+2028, and JSON leaves it as it is
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, start=1):
        entry = _entry(path, number, line)
        if entry.previous != previous or entry.sha256 != _digest(entry):
            raise located(
                LedgerError,
                path,
                number,
                "this line or one before it was changed, added by hand or taken out; take the file from a backup",
            )
        previous = entry.sha256
        yield entry


def _entry(path: Path, number: int, line: str) -> Entry:
    try:
        row = json.loads(line)
        answers = tuple(Answers(**one) for one in row.pop("answers"))
        errands = row.pop("errands")
        return Entry(**row, answers=answers, errands=tuple(errands) if errands else None)
    except (ValueError, TypeError, KeyError, AttributeError):
        said = "no line of a ledger (cut off, or of another format); take the file from a backup"
        raise located(LedgerError, path, number, said) from None
