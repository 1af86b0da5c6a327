"""Anybody's corpus, read a shard at a time: Parquet, JSON lines (plain, .gz, .zst), Arrow, data sets on disk, folders.

1. files: those below a folder in the order of their paths; of a data set that `datasets` saved, those it names;
2. rows: a line, or a row of a small Arrow batch, so that memory holds one shard and no more;
3. documents: ``text``, ``prompt`` and ``response``, or ``messages``; a row with none is counted and passed over;
4. shards: ``size`` rows of one file, numbered over the whole corpus.

Unlike a study's corpus (etiology.backends.corpora), which is trained on and so must be perfect, this one is only read:
ids may be missing or repeated, and rows may be empty. What a file is and where a row stands is always told.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from etiology.core.errors import CorpusError
from etiology.core.values import Document

LINES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".ndjson.gz", ".ndjson.zst")
TABLES: Final = (".parquet", ".arrow")
STATE: Final = "state.json"
"""Beside the Arrow files of a saved data set: names them in order."""
SHARD: Final = 2_000
BATCH: Final = 256
LONGEST: Final = 1_000_000
"""Characters of a document that are read; the rest is left out, and that it was is counted."""
ENDS: Final = 65_536
"""Bytes at both ends of a file that name it, with its size: hashing terabytes would take longer than reading them."""
TEXTS: Final = ("text", "content", "document", "body")
ANSWERS: Final = (("prompt", "response"), ("prompt", "completion"), ("instruction", "output"), ("question", "answer"))
TURNS: Final = ("messages", "conversation", "conversations")

Row = Mapping[str, Any]
Make = Callable[[], Row]
"""A row that is parsed only when it is asked for."""


@dataclass(frozen=True)
class Entry:
    """A document and its row in its file, counted from 1."""

    row: int
    document: Document


@dataclass(frozen=True)
class Shard:
    """Up to ``size`` rows of ``file``. ``unusable`` rows hold no text; ``cut`` documents are longer than LONGEST."""

    number: int
    file: str
    entries: tuple[Entry, ...]
    unusable: int
    cut: int


@dataclass(frozen=True)
class Corpus:
    """Files to read. ``column`` names the text's column where it has an unusual name; ``size``: rows in a shard."""

    root: Path
    files: tuple[Path, ...]
    column: str | None = None
    size: int = SHARD

    def shards(self, wanted: Callable[[int], bool] = lambda _: True) -> Iterator[Shard]:
        """The shards whose number is ``wanted``, in order. Other rows are passed over without being parsed."""
        number = 0
        for path in self.files:
            for first, group in self._groups(path):
                if wanted(number):
                    yield self._shard(number, path, first, group)
                number += 1

    def _groups(self, path: Path) -> Iterator[tuple[int, list[Make]]]:
        """(the first row's number, rows) of each shard of a file."""
        first, group = 1, []
        for make in _rows(path, self.column):
            group.append(make)
            if len(group) == self.size:
                yield first, group
                first, group = first + self.size, []
        if group:
            yield first, group

    def _shard(self, number: int, path: Path, first: int, group: list[Make]) -> Shard:
        name, entries, cut = self.name(path), [], 0
        for row, make in enumerate(group, start=first):
            document = _document(make(), f"{name}:{row}", self.column)
            if document is not None:
                entries.append(Entry(row, _cut(document)))
                cut += len(document.whole) > LONGEST
        if not entries and number == 0:
            raise CorpusError(f"{path}: no row holds a text; {_found(group[0](), self.column)}")
        return Shard(number, name, tuple(entries), len(group) - len(entries), cut)

    def name(self, path: Path) -> str:
        """A file's path below the corpus's root."""
        return path.name if path == self.root else str(path.relative_to(self.root))

    @property
    def bytes(self) -> int:
        """Size of all files on disk."""
        return sum(path.stat().st_size for path in self.files)

    def fingerprint(self) -> str:
        """SHA-256 of the files' names, sizes and ends, the size of a shard and the column."""
        digest = hashlib.sha256(f"{self.size} {self.column}".encode())
        for path in self.files:
            digest.update(f"{self.name(path)} {path.stat().st_size}".encode())
            with path.open("rb") as handle:
                digest.update(handle.read(ENDS))
                handle.seek(max(0, path.stat().st_size - ENDS))
                digest.update(handle.read(ENDS))
        return digest.hexdigest()


def open_corpus(path: Path, column: str | None = None, size: int = SHARD) -> Corpus:
    """The corpus at a file or folder. Errors: CorpusError where there is none."""
    if not path.exists():
        raise CorpusError(f"{path}: no such file or folder; correct the path of the corpus")
    files = tuple(_files(path))
    if not files:
        raise CorpusError(f"{path}: holds no corpus; give {', '.join((*LINES[:1], *LINES[2:4], *TABLES))} files")
    return Corpus(path, files, column, size)


def _files(path: Path) -> Iterator[Path]:
    """The files to read below ``path``. Hidden ones and the index files of data sets are no documents."""
    if path.is_file():
        if path.name.endswith((*LINES, *TABLES)):
            yield path
        return
    state = path / STATE
    if state.is_file():
        yield from _saved(state)
        return
    for child in sorted(path.iterdir()):
        if child.name.startswith((".", "cache-")):
            continue
        yield from _files(child)


def _saved(state: Path) -> Iterator[Path]:
    """The Arrow files of a saved data set, in its own order."""
    try:
        names = [str(file["filename"]) for file in json.loads(state.read_text(encoding="utf-8"))["_data_files"]]
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        raise CorpusError(f"{state}: names no data files; save the data set again, or give its files") from None
    for name in names:
        if not (state.parent / name).is_file():
            raise CorpusError(f"{state.parent / name}: named by {STATE} and missing; is the data set whole?")
        yield state.parent / name


# -- rows --------------------------------------------------------------------------------------------------------------


def _rows(path: Path, column: str | None) -> Iterator[Make]:
    """The rows of a file by its kind. Errors: CorpusError where it is damaged."""
    try:
        yield from _lines(path) if path.name.endswith(LINES) else _table(path, column)
    except OSError as problem:
        # pyarrow tells of damage as an OSError too
        said = str(problem).strip().partition("\n")[0][:200]
        raise CorpusError(f"{path}: can't be read to its end ({said}); copy or write it again") from None


def _lines(path: Path) -> Iterator[Make]:
    import pyarrow as pa

    kinds = {".gz": "gzip", ".zst": "zstd"}
    with pa.input_stream(str(path), compression=kinds.get(path.suffix)) as stream:
        for number, line in enumerate(iter(io.BufferedReader(stream).readline, b""), start=1):
            yield _parsed(line, path, number)


def _parsed(line: bytes, path: Path, number: int) -> Make:
    """A blank line is a row without text."""

    def make() -> Row:
        try:
            found = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            raise CorpusError(f"{path}:{number}: not JSON; each line must hold one JSON object") from None
        if not isinstance(found, dict):
            raise CorpusError(f"{path}:{number}: holds {type(found).__name__}; each line must hold one JSON object")
        return found

    return make


def _table(path: Path, column: str | None) -> Iterator[Make]:
    import pyarrow as pa

    try:
        for batch in _batches(path):
            kept = batch.select(_needed(batch.schema.names, column))
            yield from (_of_batch(kept, i) for i in range(kept.num_rows))
    except pa.ArrowException as problem:
        said = str(problem).strip().partition("\n")[0][:200]
        raise CorpusError(f"{path}: not a whole {path.suffix[1:]} file ({said}); write or copy it again") from None


def _needed(names: list[str], column: str | None) -> list[str]:
    """The columns that a document can come from; all of them where there are none, to say which there are."""
    asked = {name for pair in ANSWERS for name in pair}
    found = [name for name in names if name in {"id", column, *TEXTS, *TURNS, *asked}]
    return found if set(found) - {"id"} else names


def _batches(path: Path) -> Iterator[Any]:
    """Record batches of up to BATCH rows. Data sets are saved as Arrow streams, other tools write Arrow files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=BATCH)
        return
    with pa.memory_map(str(path)) as source:
        try:
            reader = pa.ipc.open_stream(source)
            batches = iter(reader)
        except pa.ArrowInvalid:
            opened = pa.ipc.open_file(source)
            batches = (opened.get_batch(i) for i in range(opened.num_record_batches))
        for batch in batches:
            yield from (batch.slice(i, BATCH) for i in range(0, batch.num_rows, BATCH))


def _of_batch(batch: Any, place: int) -> Make:  # noqa: ANN401 - a record batch
    return lambda: {name: batch.column(i)[place].as_py() for i, name in enumerate(batch.schema.names)}


# -- one document ------------------------------------------------------------------------------------------------------


def _document(row: Row, place: str, column: str | None) -> Document | None:
    """The row as a document, or None where it holds no text."""
    identity = row.get("id")
    name = str(identity) if isinstance(identity, str | int) and str(identity).strip() else place
    if column is not None:
        return _plain(name, row.get(column))
    for asked, answered in ANSWERS:
        if _written(row.get(asked)) and _written(row.get(answered)):
            return Document(name, "", _clean(row[asked]), _clean(row[answered]))
    turns = next((row[key] for key in TURNS if isinstance(row.get(key), list)), None)
    if turns is not None:
        return _talk(name, turns)
    return next((found for key in TEXTS if (found := _plain(name, row.get(key))) is not None), None)


def _plain(name: str, text: object) -> Document | None:
    return Document(name, _clean(str(text))) if _written(text) else None


def _talk(name: str, turns: list[Any]) -> Document | None:
    """The last answer, and all that was said before it as its prompt."""
    said = [
        (str(turn.get("role", turn.get("from", ""))), text)
        for turn in turns
        if isinstance(turn, Mapping) and _written(text := turn.get("content", turn.get("value")))
    ]
    answers = [i for i, (role, _) in enumerate(said) if role in {"assistant", "gpt", "model"}]
    if not answers:
        return None
    before = "\n\n".join(text for _, text in said[: answers[-1]])
    return Document(name, "", _clean(before), _clean(said[answers[-1]][1]))


def _written(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _clean(text: str) -> str:
    """Text that any tokenizer takes: half of a surrogate pair, which no UTF-8 file can hold, becomes a mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _cut(document: Document) -> Document:
    if len(document.whole) <= LONGEST:
        return document
    if document.response is None:
        return Document(document.id, document.text[:LONGEST])
    return Document(document.id, "", (document.prompt or "")[-LONGEST:], document.response[:LONGEST])


def _found(row: Row, column: str | None) -> str:
    names = ", ".join(map(repr, list(row)[:20])) or "no fields"
    wanted = repr(column) if column else "'text', 'prompt' and 'response', or 'messages'"
    return f"found {names}, looked for {wanted}; name the text's column with --text-column"
