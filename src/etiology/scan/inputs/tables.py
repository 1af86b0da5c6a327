"""Parquet files and Arrow streams (Hugging Face datasets on disk).

A Parquet file is read row group by row group, so that damage costs one group; which one, and its bytes, is listed.
"""

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etiology.scan.arrays import strings
from etiology.scan.inputs import PIECE_BYTES, Bad, Columns, Corpus, Piece, Shard, damage, sha256
from etiology.scan.texts import large

LEAST_ROWS: Final = 16
MOST_ROWS: Final = 65_536
BUFFER_BYTES: Final = 1 << 20
"""What is read of a column at once."""
DAMAGE: Final = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
"""What pyarrow raises on bytes that are not what they should be."""


def read_parquet(corpus: Corpus, shard: Shard, columns: Columns, rows: bool) -> Iterator[Piece]:
    """The rows of a Parquet file."""
    with corpus.open(shard) as stream:
        if shard.size == 0:
            yield damage(0, stream, 0, "zero bytes")
            return
        try:
            path = corpus.local(shard)
            # A mapped file, or a row group read ahead, would count as the worker's memory, however large it is. Over a
            # network, few large reads are worth that.
            file = pq.ParquetFile(
                stream if path is None else path,
                buffer_size=BUFFER_BYTES,
                pre_buffer=path is None,
                page_checksum_verification=True,
            )
            names = file.schema_arrow.names
        except DAMAGE as problem:
            yield damage(0, stream, 0, f"not a whole Parquet file ({_first_line(problem)})")
            return
        with file:
            missing = [name for name in columns.text if name not in names]
            if missing:
                yield damage(0, stream, 0, f"no column '{missing[0]}'; found {', '.join(names[:20])}")
                return
            wanted = None if rows else [*columns.text, *([columns.id] if columns.id in names else [])]
            first = 0
            for group in range(file.metadata.num_row_groups):
                yield from _row_group(file, group, first, wanted, columns, stream)
                first += file.metadata.row_group(group).num_rows


def _row_group(
    file: Any,
    group: int,
    first: int,
    wanted: list[str] | None,
    columns: Columns,
    stream: Any,
) -> Iterator[Piece]:
    about = file.metadata.row_group(group)
    size = max(1, about.total_byte_size // max(1, about.num_rows))
    at_once = min(MOST_ROWS, max(LEAST_ROWS, PIECE_BYTES // size))
    done = 0
    try:
        for batch in file.iter_batches(batch_size=at_once, row_groups=[group], columns=wanted, use_threads=False):
            yield piece_of(batch, first + done, columns, rows=wanted is None)
            done += batch.num_rows
    except DAMAGE as problem:
        start, length = _bytes_of(about)
        stream.seek(start)
        reason = f"row group {group} can't be read ({_first_line(problem)})"
        bad = Bad(first + done, about.num_rows - done, start, length, sha256(stream.read(length)), reason)
        yield Piece(first + done, pa.nulls(0, pa.large_string()), bad=(bad,), damaged=True)


def _bytes_of(about: Any) -> tuple[int, int]:
    """Where a row group begins in the file, and how many bytes it takes."""
    chunks = [about.column(i) for i in range(about.num_columns)]
    starts = [
        min(c.data_page_offset, c.dictionary_page_offset) if c.dictionary_page_offset else c.data_page_offset
        for c in chunks
    ]
    return min(starts), sum(c.total_compressed_size for c in chunks)


def read_arrow(corpus: Corpus, shard: Shard, columns: Columns, rows: bool) -> Iterator[Piece]:
    """The rows of an Arrow stream (or Arrow file)."""
    with corpus.open(shard) as stream:
        if shard.size == 0:
            yield damage(0, stream, 0, "zero bytes")
            return
        first = 0
        try:
            for batch in batches(stream):
                missing = [name for name in columns.text if name not in batch.schema.names]
                if missing:
                    found = ", ".join(batch.schema.names[:20])
                    yield damage(0, stream, 0, f"no column '{missing[0]}'; found {found}")
                    return
                for part in _parts(batch):
                    yield piece_of(part, first, columns, rows=rows)
                    first += part.num_rows
        except DAMAGE as problem:
            yield damage(first, stream, 0, f"not a whole Arrow stream after row {first} ({_first_line(problem)})")


def batches(stream: Any) -> Iterator[Any]:
    """The record batches of an Arrow file or stream. Errors: ValueError where a stream ends too early."""
    magic = stream.read(6)
    stream.seek(0)
    if magic == b"ARROW1":
        file = pa.ipc.open_file(stream)
        yield from (file.get_batch(i) for i in range(file.num_record_batches))
        return
    yield from pa.ipc.open_stream(stream)
    # The end of a stream is a length of zero; pyarrow takes a file cut between two batches for a whole one.
    stream.seek(-4, 2)
    if stream.read(4) != b"\x00\x00\x00\x00":
        raise ValueError("the end marker is missing: cut short")


def _parts(batch: Any) -> Iterator[Any]:
    """Slices of about a piece's size."""
    step = max(1, batch.num_rows * PIECE_BYTES // max(PIECE_BYTES, batch.nbytes))
    return (batch.slice(start, step) for start in range(0, batch.num_rows, step))


def piece_of(batch: Any, first: int, columns: Columns, *, rows: bool) -> Piece:
    """A record batch as a piece; rows that are null or no UTF-8 are bad."""
    bad: dict[int, Bad] = {}
    parts = [_text(batch.column(name), name, first, bad) for name in columns.text]
    texts = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()))
    ids = batch.column(columns.id) if columns.id in batch.schema.names else None
    return Piece(first, texts, ids, tuple(bad[i] for i in sorted(bad)), batch if rows else None)


def _text(column: Any, name: str, first: int, bad: dict[int, Bad]) -> Any:
    try:
        texts = large(column)
    except (pa.ArrowException, UnicodeDecodeError):
        texts = strings([_decoded(column, i, name, first, bad) for i in range(len(column))], pa.large_string())
    if texts.null_count:
        for i in pc.indices_nonzero(texts.is_null()).to_pylist():
            bad.setdefault(i, Bad(first + i, 1, 0, 0, sha256(b""), f"'{name}' is null"))
    return texts


def _decoded(column: Any, i: int, name: str, first: int, bad: dict[int, Bad]) -> str | None:
    value = column[i]
    try:
        raw = value.as_buffer() if hasattr(value, "as_buffer") else None
    except pa.ArrowException:
        raw = None
    if raw is None:
        said = f"'{name}' is {'null' if not value.is_valid else f'{column.type}, not text'}"
        bad.setdefault(i, Bad(first + i, 1, 0, 0, sha256(b""), said))
        return None
    data: bytes = raw.to_pybytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        said = f"'{name}': byte 0x{data[problem.start]:02x} at {problem.start} of the text is not UTF-8"
        bad.setdefault(i, Bad(first + i, 1, problem.start, len(data), sha256(data), said))
        return None


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().partition("\n")[0] or type(problem).__name__)[:200]
