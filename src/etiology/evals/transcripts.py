"""Transcripts from files and folders, of whatever format each is."""

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from etiology.core.conversation import Conversation
from etiology.core.errors import TranscriptError
from etiology.elicit.transcripts import conversation, is_transcript, read_rows

SUFFIXES: Final = (".jsonl", ".json", ".eval")


def read_transcripts(paths: Iterable[Path]) -> list[Conversation]:
    """Every transcript of ``paths`` in order. Errors: ``TranscriptError``, on the first file or row that is none.

    In a folder, .json files that hold no transcript (settings, summaries) are passed over; a file that is named is not.
    """
    out: list[Conversation] = []
    for path in paths:
        if not path.exists():
            raise TranscriptError(f"{path}: no such file or folder")
        out += _of_folder(path) if path.is_dir() else _of_file(path)
    if not out:
        raise TranscriptError(f"{', '.join(map(str, paths))}: no transcript found; give {', '.join(SUFFIXES)} files")
    return out


def _of_folder(folder: Path) -> list[Conversation]:
    files = sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES and p.is_file())
    found = [(p, _of_file(p, skip=p.suffix == ".json")) for p in files]
    # Files of one transcript each are told apart by where they are, not by an id that may be in all of them.
    return [
        Conversation(str(p.relative_to(folder)), t.messages, t.facts) if len(talks) == 1 else t
        for p, talks in found
        for t in talks
    ]


def _of_file(path: Path, *, skip: bool = False) -> list[Conversation]:
    if path.suffix not in SUFFIXES:
        raise TranscriptError(f"{path}: transcripts are {', '.join(SUFFIXES)} files")
    if path.suffix == ".eval" or _is_inspect_log(path):
        from etiology.evals.logs import read_log

        return list(read_log(path))
    out: Sequence[Conversation]
    numbers = count(1)
    out = [
        conversation(row, where, str(number))
        for (where, row), number in zip(read_rows(path), numbers, strict=False)
        if not skip or is_transcript(row)
    ]
    if not out and not skip:
        raise TranscriptError(f"{path}: holds no transcript")
    return list(out)


def _is_inspect_log(path: Path) -> bool:
    """Whether a .json file is an Inspect log: its first keys are 'version', 'status' and 'eval'."""
    if path.suffix != ".json":
        return False
    with path.open("rb") as handle:
        head = handle.read(400)
    return all(key in head for key in (b'"version"', b'"status"', b'"eval"'))
