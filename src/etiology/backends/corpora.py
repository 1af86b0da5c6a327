"""A corpus file as documents, read line by line, with its labels kept apart so that the loop never sees them.

1. rows: one JSON object a line (.jsonl, .jsonl.gz) or one Parquet row, each with the place it came from;
2. document: ``id``, and ``text`` or ``prompt`` and ``response``; anything unusable is refused with place and remedy;
3. corpus: ids are unique, and there are enough documents for a random-removal control.

Nothing is mended silently: what is read is exactly what is in the file.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from etiology.config import located, what_is_at
from etiology.core.errors import CorpusError
from etiology.core.values import Document

MAX_DOCUMENT_BYTES: Final = 1_000_000
"""The longest document, as UTF-8. Only its first few thousand tokens could be trained on in any case."""
MAX_LINE_BYTES: Final = 8 * MAX_DOCUMENT_BYTES
"""The longest line: JSON may spend six bytes on one (``\\u0041``). Longer lines are refused without being parsed."""
MIN_DOCUMENTS: Final = 20
SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".parquet")
FIELDS: Final = ("id", "text", "prompt", "response")
ROWS_AT_ONCE: Final = 64


@dataclass(frozen=True)
class _Place:
    """Where a row is: ``corpus.jsonl:3`` or ``corpus.parquet: row 3``."""

    path: Path
    number: int
    unit: str

    def refuse(self, message: str) -> NoReturn:
        if self.unit == "line":
            raise located(CorpusError, self.path, self.number, message)
        raise located(CorpusError, self.path, None, f"{self.unit} {self.number}: {message}")


Row = Mapping[str, object]
Rows = Iterator[tuple[_Place, Row]]


def read_documents(
    path: Path, label: str | None = None, *, minimum: int = MIN_DOCUMENTS
) -> tuple[list[Document], dict[str, str | None]]:
    """The documents of ``path`` in file order, and the raw ``label`` of each by id (empty when ``label`` is None).

    ``minimum`` is what a corpus to train on needs; side files (prose, re-written documents) may hold fewer.
    """
    if label in FIELDS:
        raise _error(path, f"the label column can't be '{label}', which is trained on; name a column apart from it")
    documents: list[Document] = []
    labels: dict[str, str | None] = {}
    first: dict[str, int] = {}
    seen_columns: dict[str, None] = {}
    for place, row in _rows(path, label):
        document = _document(row, place)
        if document.id in first:
            before = f"already used on {place.unit} {first[document.id]}"
            place.refuse(f"id {_shown(document.id)} was {before}; give each document its own id")
        first[document.id] = place.number
        documents.append(document)
        if label is not None:
            labels[document.id] = _label(row.get(label), label, place)
            seen_columns.update(dict.fromkeys(row))
    _check_number(path, len(documents), minimum)
    if label is not None and label not in seen_columns:
        raise _error(path, f"no label column '{label}'; {_columns(list(seen_columns), label)}")
    return documents, labels


def _check_number(path: Path, number: int, minimum: int) -> None:
    if number == 0:
        raise _error(path, f"holds no documents; give at least {minimum}")
    if number < minimum:
        found = f"holds {number} document{'s' * (number > 1)}; at least {minimum} are needed"
        reason = "the random-removal control drops as many random documents as were attributed, and some must remain"
        raise _error(path, f"{found}, because {reason}; add documents")


# -- one document ------------------------------------------------------------------------------------------------------


def _document(row: Row, place: _Place) -> Document:
    identity = _identity(row, place)
    given = {name for name in ("text", "prompt", "response") if row.get(name) is not None}
    if given == {"text"}:
        document = Document(identity, text=_prose(row["text"], "text", place))
    elif given == {"prompt", "response"}:
        prompt, response = _prose(row["prompt"], "prompt", place), _prose(row["response"], "response", place)
        document = Document(identity, prompt=prompt, response=response)
    else:
        place.refuse(_wrong_fields(row, given))
    size = len(document.whole.encode("utf-8"))
    if size > MAX_DOCUMENT_BYTES:
        place.refuse(f"the document holds {size:,} bytes, over {MAX_DOCUMENT_BYTES:,}; split it or leave it out")
    return document


def _identity(row: Row, place: _Place) -> str:
    if "id" not in row:
        place.refuse(f"no 'id'; {_columns(list(row), 'id')}")
    value = row["id"]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        place.refuse(f"'id' is {_kind(value)}; give text or a whole number")
    return _prose(value, "id", place)


def _prose(value: object, name: str, place: _Place) -> str:
    """Text that can be stored and tokenized: not blank, no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        place.refuse(f"'{name}' is {_kind(value)}; give text")
    if not value.strip():
        place.refuse(f"'{name}' is {'blank' if value else 'empty'}; give text or leave the document out")
    if (nul := value.find("\0")) >= 0:
        place.refuse(f"'{name}' holds a NUL character at position {nul}; remove it")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as problem:
        half = f"half of a surrogate pair (\\u{ord(value[problem.start]):04x}) at position {problem.start}"
        place.refuse(f"'{name}' holds {half}, which no UTF-8 file can store; write the whole character or remove it")
    return value


def _wrong_fields(row: Row, given: set[str]) -> str:
    one_shape = "give 'text', or 'prompt' and 'response'"
    if not given and (nulls := [name for name in ("text", "prompt", "response") if name in row]):
        return f"{_listed(nulls)} {'is' if len(nulls) == 1 else 'are'} null; {one_shape}, or leave the document out"
    if not given:
        return f"no 'text', and no 'prompt' and 'response'; {_columns(list(row), 'text')}"
    if "text" in given:
        others = _listed(sorted(given - {"text"}))
        return f"has both 'text' and {others}, so it is unclear what is trained on; {one_shape}, and remove the other"
    missing = "response" if "prompt" in given else "prompt"
    return f"has {_listed(sorted(given))} but no '{missing}'; {one_shape}"


def _label(value: object, name: str, place: _Place) -> str | None:
    """A label as text. Parquet stores whole numbers as floats where some are missing, so 1.0 reads '1'."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, (str, int, float)):
        place.refuse(f"label '{name}' is {_kind(value)}; give text, a number or true/false")
    text = str(value)
    return _prose(text, name, place) if text.strip() else None


# -- rows of JSON lines ------------------------------------------------------------------------------------------------


def _rows(path: Path, label: str | None) -> Rows:
    """Rows by the kind of file, after the checks that all kinds share."""
    _check_file(path)
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            yield from _parquet_rows(path, label)
        elif name.endswith(".jsonl.gz"):
            with gzip.open(path, "rb") as stream:
                yield from _json_rows(stream, path)
        else:
            with path.open("rb") as stream:
                yield from _json_rows(stream, path)
    except OSError as problem:
        raise _error(path, f"can't be read ({problem.strerror or problem}); check the file") from None


def _check_file(path: Path) -> None:
    there = what_is_at(path)
    if there == "nothing":
        raise _error(path, f"no such file (tried {path.absolute()}); correct the path")
    if there != "file":
        raise _error(path, f"is a {there}; give one {_listed(SUFFIXES, 'or')} file")
    if not path.name.lower().endswith(SUFFIXES):
        said = f"not a kind of corpus that is read; give a {_listed(SUFFIXES, 'or')} file"
        raise _error(path, said)
    if path.stat().st_size == 0:
        raise _error(path, "is empty; give one document a line, or a whole Parquet file")


def _json_rows(stream: BinaryIO | gzip.GzipFile, path: Path) -> Rows:
    """One row a line. A byte-order mark, CRLF and blank lines are passed over."""
    number = 0
    while True:
        place = _Place(path, number := number + 1, "line")
        line = _line(stream, place)
        if not line:
            return
        text = _decoded(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, place)
        if text.strip():
            yield place, _object(text.rstrip("\r\n"), place)


def _line(stream: BinaryIO | gzip.GzipFile, place: _Place) -> bytes:
    try:
        line = stream.readline(MAX_LINE_BYTES + 1)
    except gzip.BadGzipFile as problem:
        place.refuse(f"not a whole gzip file ({problem}); compress it again")
    except (EOFError, zlib.error):
        place.refuse("the gzip data is cut short or damaged here; compress or copy the file again")
    if len(line) > MAX_LINE_BYTES:
        limit = f"a document may hold {MAX_DOCUMENT_BYTES:,}"
        place.refuse(f"the line is over {MAX_LINE_BYTES:,} bytes ({limit}); split the document or leave it out")
    return line


def _decoded(line: bytes, place: _Place) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as problem:
        found = f"byte 0x{line[problem.start]:02x} at offset {problem.start} of the line is not UTF-8"
        place.refuse(f"{found}; save the file as UTF-8")


def _object(text: str, place: _Place) -> Row:
    try:
        row = json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as problem:
        said = f"{problem.msg.removesuffix(' at')} at column {problem.colno}"
        place.refuse(f"not valid JSON ({said}); each line must hold one whole JSON object")
    except RecursionError:
        place.refuse("JSON nested too deeply; each line must hold one flat JSON object")
    except ValueError as problem:  # a field given twice, or a number of thousands of digits
        place.refuse(f"not usable JSON ({problem}); correct the line")
    if not isinstance(row, dict):
        place.refuse(f'holds {_kind(row)}; each line must hold one JSON object such as {{"id": …, "text": …}}')
    return row


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"field {_shown(next(name for name in names if names.count(name) > 1))} is given twice")
    return fields


# -- rows of Parquet ---------------------------------------------------------------------------------------------------


def _parquet_rows(path: Path, label: str | None) -> Rows:
    """Rows of the needed columns, a small batch at a time."""
    arrow, parquet = _pyarrow(path)
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            names = _needed(path, list(file.schema_arrow.names), label)
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=names):
                for row in batch.to_pylist():
                    yield _Place(path, number := number + 1, "row"), row
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as problem:
        said = str(problem).strip().partition("\n")[0] or type(problem).__name__
        where = f" after row {number}" if number else ""
        raise _error(path, f"not a whole Parquet file{where} ({said[:200]}); write or copy it again") from None


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise _error(path, "reading Parquet needs pyarrow; run: pip install pyarrow (or give .jsonl)") from None
    return pa, pq


def _needed(path: Path, found: list[str], label: str | None) -> list[str]:
    """The columns to read: those of a document that the file has, and the label."""
    if "id" not in found:
        raise _error(path, f"no column 'id'; {_columns(found, 'id')}")
    if "text" not in found and not {"prompt", "response"} <= set(found):
        raise _error(path, f"no column 'text', and no 'prompt' and 'response'; {_columns(found, 'text')}")
    if label is not None and label not in found:
        raise _error(path, f"no label column '{label}'; {_columns(found, label)}")
    names = [name for name in (*FIELDS, label) if name is not None and name in found]
    twice = [name for name in names if found.count(name) > 1]
    if twice:
        raise _error(path, f"column {_listed(twice)} is given twice; keep one")
    return names


# -- words of errors ---------------------------------------------------------------------------------------------------


def _error(path: Path, message: str) -> CorpusError:
    return located(CorpusError, path, None, message)


def _columns(found: list[str], wanted: str) -> str:
    """The columns there are, and the nearest to the one that is missing."""
    by_lower = {name.lower(): name for name in found}
    near = get_close_matches(wanted.lower(), by_lower, n=1)
    hint = f"; did you mean {_shown(by_lower[near[0]])}?" if near else ""
    return f"found {', '.join(_shown(name) for name in found[:20]) or 'no fields'}{hint or '; add or rename a column'}"


def _listed(names: list[str] | tuple[str, ...], word: str = "and") -> str:
    quoted = [f"'{name}'" for name in names]
    return f" {word} ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


def _kind(value: object) -> str:
    """What a value is, in words of JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return "a number"
    names: dict[type, str] = {str: "text", list: "a list", dict: "an object", bytes: "binary data"}
    return names.get(type(value), f"a value of type {type(value).__name__}")
