"""Writing rows again, in the kind of file they came from.

Lines and records are the same bytes; tables keep schema, metadata and compression, and the values of every column.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etiology.core.errors import ScanError
from etiology.scan.arrays import strings, truths
from etiology.scan.inputs import Columns, Corpus, Shard, tables

GROUP_BYTES: Final = 32_000_000
"""About what a row group of Parquet holds before it is packed; what a writer keeps in memory."""

ROWS_AT_ONCE: Final = 1024
"""Read again in so many rows, a few megabytes of text stay in a processor's cache."""

Write = Callable[[Any], None]
"""Takes rows as a piece holds them: a record batch, or an array of lines or records."""


@contextmanager
def writer(corpus: Corpus, shard: Shard, path: Path) -> Iterator[Write]:
    """A function that writes rows to ``path``, which is whole once the context ends."""
    if shard.kind == "parquet":
        yield from _parquet(corpus, shard, path)
    elif shard.kind == "arrow":
        yield from _arrow(corpus, shard, path)
    else:
        with _packed(path, shard.name if shard.kind == "lines" else "") as stream:
            yield lambda rows: _bytes(rows, stream)


def _bytes(rows: Any, stream: BinaryIO) -> None:
    stream.write(b"".join(rows.to_pylist()))


@contextmanager
def _packed(path: Path, name: str) -> Iterator[BinaryIO]:
    """The file, packed as its name says. Records of a WARC come packed one by one, and stay so."""
    with path.open("wb") as file:
        if name.lower().endswith(".gz"):
            # No name and no time inside: the same rows give the same bytes.
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
                yield stream  # type: ignore[misc]  # a writable binary stream, if not a BinaryIO by name
        elif name.lower().endswith(".zst"):
            import zstandard

            with zstandard.ZstdCompressor(3).stream_writer(file, closefd=False) as stream:
                yield stream
        else:
            yield file


def _parquet(corpus: Corpus, shard: Shard, path: Path) -> Iterator[Write]:
    with corpus.open(shard) as stream, pq.ParquetFile(stream) as source:
        schema = source.schema_arrow
        about = source.metadata
        packing = (
            about.row_group(0).column(0).compression.lower() if about.num_row_groups and about.num_columns else "zstd"
        )
    packing = "none" if packing == "uncompressed" else packing
    held: list[Any] = []

    with pq.ParquetWriter(path, schema, compression=packing, use_dictionary=False, write_page_checksum=True) as out:

        def write(rows: Any) -> None:
            held.append(rows)
            if sum(r.nbytes for r in held) >= GROUP_BYTES:
                out.write_table(pa.Table.from_batches(held, schema))
                held.clear()

        yield write
        if held:
            out.write_table(pa.Table.from_batches(held, schema))


def _arrow(corpus: Corpus, shard: Shard, path: Path) -> Iterator[Write]:
    with corpus.open(shard) as stream:
        is_file = stream.read(6) == b"ARROW1"
        stream.seek(0)
        schema = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(stream).schema
    make = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with path.open("wb") as sink, make(sink, schema) as out:
        yield out.write_batch


def rows_of(path: Path, shard: Shard) -> Iterator[Any]:
    """The rows of a file that `writer` wrote, as they lie on disk."""
    from etiology.scan.inputs import read

    if shard.kind == "parquet":
        with pq.ParquetFile(path, buffer_size=tables.BUFFER_BYTES, pre_buffer=False) as file:
            yield from file.iter_batches(batch_size=ROWS_AT_ONCE, use_threads=False)
    elif shard.kind == "arrow":
        with path.open("rb") as stream:
            yield from tables.batches(stream)
    else:
        again = Shard(path.name, path.stat().st_size, shard.kind)
        if again.size:
            yield from (
                p.rows for p in read(Corpus(str(path.parent)), again, Columns(), rows=True) if p.rows is not None
            )


# -- changed rows ------------------------------------------------------------------------------------------------------


def changed(rows: Any, new: Mapping[int, str], column: str, shard: Shard) -> Any:
    """The rows, with ``new`` text in ``column`` of those numbered."""
    if not new:
        return rows
    if shard.kind == "warc":
        raise ScanError(f"{shard.name}: records of WARC can't be rewritten or tagged; extract their text first")
    if shard.kind == "lines":
        lines = rows.to_pylist()
        for i, text in new.items():
            row = json.loads(lines[i].decode("utf-8").lstrip("\ufeff"))
            end = b"\n" if lines[i].endswith(b"\n") else b""
            lines[i] = json.dumps({**row, column: text}, ensure_ascii=False).encode() + end
        return strings(lines, pa.large_binary())
    place = rows.schema.get_field_index(column)
    mask = truths(np.asarray([i in new for i in range(rows.num_rows)]))
    values = strings([new[i] for i in sorted(new)]).cast(rows.column(place).type)
    return rows.set_column(place, rows.schema.field(place), pc.replace_with_mask(rows.column(place), mask, values))
