"""Corpora of any kind as shards, and a shard as pieces of rows.

A *shard* is one file. Reading one gives *pieces*: the texts of some rows, their ids, and the bad rows among them, each
with its place in bytes, so that no row is passed over in silence. Asked for ``rows``, a piece also holds them as they
were stored, for writing them again without changing a byte.

| kind | files | a row is |
|---|---|---|
| parquet | .parquet | a row |
| lines | .jsonl, .jsonl.gz, .jsonl.zst (.json, .ndjson too) | a line |
| arrow | .arrow: Hugging Face datasets on disk | a row |
| warc | .warc, .warc.gz, .warc.wet.gz | a record |

Paths may be local, or any URL that fsspec opens (s3://, gs://, hf://, memory://), where its package is installed.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

import pyarrow as pa

from etiology.core.errors import ScanError

PIECE_BYTES: Final = 4_000_000
"""About what one piece holds: enough to make the cost of a call small, little enough for a processor's cache."""

KINDS: Final = {
    ".parquet": "parquet",
    ".jsonl": "lines",
    ".jsonl.gz": "lines",
    ".jsonl.zst": "lines",
    ".json": "lines",
    ".json.gz": "lines",
    ".json.zst": "lines",
    ".ndjson": "lines",
    ".arrow": "arrow",
    ".warc": "warc",
    ".warc.gz": "warc",
    ".wet": "warc",
    ".wet.gz": "warc",
}
SIDE_FILES: Final = ("dataset_info.json", "state.json", "dataset_dict.json")
"""Of a Hugging Face dataset on disk: no documents, copied as they are."""


@dataclass(frozen=True)
class Shard:
    """One file: ``name`` below the corpus's root, its size in bytes, and what kind it is."""

    name: str
    size: int
    kind: str


@dataclass(frozen=True)
class Columns:
    """Where a document is in a row: its text (several columns are joined by a line break), and its id if it has one."""

    text: tuple[str, ...] = ("text",)
    id: str = "id"


@dataclass(frozen=True)
class Bad:
    """Rows that can't be used: ``rows`` of them from ``row`` on, their place in the (unpacked) bytes, and why.

    ``row`` None: unknown how many, as the container itself is damaged from ``offset`` on.
    """

    row: int | None
    rows: int
    offset: int
    bytes: int
    sha256: str
    reason: str


@dataclass(frozen=True)
class Piece:
    """Rows ``first`` … of a shard. ``texts`` [rows] large_string, null where the row is bad or blank.

    ``ids`` [rows] is None where the shard has no such column. ``rows``: as stored, if asked for (a record batch, or
    large_binary for lines and records). ``damaged``: what was read so far may be all there is of the shard.
    """

    first: int
    texts: Any
    ids: Any = None
    bad: tuple[Bad, ...] = ()
    rows: Any = None
    damaged: bool = False


def sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def damage(first: int, stream: BinaryIO, offset: int, reason: str) -> Piece:
    """A piece of no rows that says the shard can't be read from ``offset`` of ``stream`` (as stored) on."""
    stream.seek(offset)
    made, size = hashlib.sha256(), 0
    while block := stream.read(PIECE_BYTES):
        made.update(block)
        size += len(block)
    bad = Bad(None, 0, offset, size, made.hexdigest(), reason)
    return Piece(first, pa.nulls(0, pa.large_string()), bad=(bad,), damaged=True)


@dataclass(frozen=True)
class Corpus:
    """A folder or a file, here or behind a URL. ``files`` is fsspec's view of where it is; None: the local disk."""

    root: str
    files: Any = None

    def open(self, shard: Shard) -> BinaryIO:
        """The shard's bytes, seekable."""
        if self.files is None:
            return Path(self.root, shard.name).open("rb")
        stream: BinaryIO = self.files.open(f"{self.root.rstrip('/')}/{shard.name}", "rb")
        return stream

    def local(self, shard: Shard) -> Path | None:
        """Its path, where it lies on the local disk."""
        return Path(self.root, shard.name) if self.files is None else None

    def shards(self) -> list[Shard]:
        """All files of a known kind, by name. Errors: ScanError if there are none."""
        found = [
            Shard(name, size, kind) for name, size in sorted(self._listed()) if (kind := kind_of(name)) is not None
        ]
        if not found:
            raise ScanError(f"{self.root}: no file of a kind that is read; give one of {', '.join(KINDS)}")
        return found

    def side_files(self) -> list[str]:
        """Names of the files beside the shards that a data set needs."""
        return sorted(name for name, _ in self._listed() if PurePosixPath(name).name in SIDE_FILES)

    def _listed(self) -> list[tuple[str, int]]:
        if self.files is None:
            top = Path(self.root)
            files = (p for p in top.rglob("*") if p.is_file() and not p.name.startswith("."))
            return [(p.relative_to(top).as_posix(), p.stat().st_size) for p in files]
        root = self.root.rstrip("/") + "/"
        listed = self.files.find(self.root, detail=True)
        return [(n.removeprefix(root), int(d["size"] or 0)) for n, d in listed.items() if n.startswith(root)]


def kind_of(name: str) -> str | None:
    """The kind of a file by its name, or None."""
    lower = PurePosixPath(name).name.lower()
    if lower in SIDE_FILES:
        return None
    return next((kind for ending, kind in KINDS.items() if lower.endswith(ending)), None)


def open_corpus(where: str) -> tuple[Corpus, list[Shard]]:
    """A corpus and its shards: a folder, one file, or a URL of either."""
    if "://" not in where:
        path = Path(where)
        if not path.exists():
            raise ScanError(f"{where}: no such file or folder; correct the path")
        corpus = Corpus(str((path if path.is_dir() else path.parent).absolute()))
        return corpus, _chosen(corpus.shards(), None if path.is_dir() else path.name, where)
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(where)
        single = files.isfile(root)
    except (ImportError, ValueError, OSError) as problem:
        raise ScanError(f"{where}: can't be opened ({problem}); correct the URL or install what it names") from problem
    corpus = Corpus(root.rpartition("/")[0] if single else root, files)
    return corpus, _chosen(corpus.shards(), root.rpartition("/")[2] if single else None, where)


def _chosen(shards: list[Shard], name: str | None, where: str) -> list[Shard]:
    chosen = [s for s in shards if name is None or s.name == name]
    if not chosen:
        raise ScanError(f"{where}: not a kind of file that is read; give one of {', '.join(KINDS)}")
    return chosen


Reader = Callable[[Corpus, Shard, Columns, bool], Iterator[Piece]]


def read(corpus: Corpus, shard: Shard, columns: Columns, rows: bool = False) -> Iterator[Piece]:  # noqa: FBT002 - asked by name
    """The pieces of a shard, in order. What can't be read is in their ``bad``; only the file's absence raises."""
    return _reader(shard.kind)(corpus, shard, columns, rows)


def _reader(kind: str) -> Reader:
    if kind == "lines":
        from etiology.scan.inputs import lines

        return lines.read
    if kind == "warc":
        from etiology.scan.inputs import warc

        return warc.read
    from etiology.scan.inputs import tables

    return tables.read_parquet if kind == "parquet" else tables.read_arrow
