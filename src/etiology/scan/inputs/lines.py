"""JSON lines, plain or packed by gzip or zstandard.

1. blocks of whole lines, unpacked; a cut or damaged packing ends the shard, and the place is listed;
2. a block is parsed by Arrow's own reader; if that finds anything wrong, halves of it are, down to a few lines, which
   Python's parser reads one by one and says what is wrong with which;
3. lines are kept as they are, with their ends: what is written again is the same bytes.

Blank lines are rows without a text, and not bad.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etiology.core.errors import ScanError
from etiology.scan.arrays import strings
from etiology.scan.inputs import PIECE_BYTES, Bad, Columns, Corpus, Piece, Shard, damage, sha256
from etiology.scan.texts import large

ONE_BY_ONE: Final = 32
"""Lines of a block that are parsed in Python once Arrow has refused it."""


class _Cut(Exception):  # noqa: N818 - it never leaves this module
    """The packing ends too early or is damaged."""


def read(corpus: Corpus, shard: Shard, columns: Columns, rows: bool) -> Iterator[Piece]:
    """The rows of a file of JSON lines."""
    with corpus.open(shard) as stream:
        if shard.size == 0:
            yield damage(0, stream, 0, "zero bytes")
            return
        first, offset = 0, 0
        try:
            for block in _blocks(unpacked(stream, shard.name)):
                for piece in _pieces(block, first, offset, columns):
                    yield piece if rows else Piece(piece.first, piece.texts, piece.ids, piece.bad)
                    first += len(piece.texts)
                offset += len(block)
        except _Cut as problem:
            yield damage(first, stream, 0, f"{problem} after row {first}, byte {offset} unpacked")


def unpacked(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The file's contents in blocks. Errors: _Cut."""
    if name.lower().endswith(".gz"):
        yield from _gunzipped(stream)
    elif name.lower().endswith(".zst"):
        yield from _unzstd(stream)
    else:
        yield from iter(lambda: stream.read(PIECE_BYTES), b"")


def _gunzipped(stream: BinaryIO) -> Iterator[bytes]:
    with gzip.open(stream, "rb") as file:
        try:
            yield from iter(lambda: file.read(PIECE_BYTES), b"")
        except (EOFError, OSError, zlib.error) as problem:
            raise _Cut(f"the gzip data is cut short or damaged ({problem})") from problem


def _unzstd(stream: BinaryIO) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError as problem:
        raise ScanError("reading .zst needs zstandard; run: pip install 'etiology[scan]'") from problem

    part, left = zstandard.ZstdDecompressor().decompressobj(), b""
    begun = False
    try:
        while block := left or stream.read(1 << 18):
            begun = True
            out = part.decompress(block)
            left = part.unused_data if part.eof else b""
            if part.eof:
                part, begun = zstandard.ZstdDecompressor().decompressobj(), bool(left)
            if out:
                yield out
    except zstandard.ZstdError as problem:
        raise _Cut(f"the zstandard data is damaged ({problem})") from problem
    if begun:
        raise _Cut("the zstandard data is cut short")


def _blocks(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks that end where a line ends. A line cut off with its packing is not among them."""
    kept: list[bytes] = []
    size = 0
    for part in parts:
        end = part.rfind(b"\n") + 1
        if end and size + len(part) >= PIECE_BYTES:
            yield b"".join([*kept, part[:end]])
            kept, size = [part[end:]], len(part) - end
        else:
            kept.append(part)
            size += len(part)
        if size >= PIECE_BYTES and b"\n" in kept[0]:
            whole = b"".join(kept)
            end = whole.rfind(b"\n") + 1
            yield whole[:end]
            kept, size = [whole[end:]], len(whole) - end
    if last := b"".join(kept):
        yield last


def _pieces(block: bytes, first: int, offset: int, columns: Columns) -> Iterator[Piece]:
    """The block as one piece, or in parts where a part of it is damaged."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10).astype(np.int64) + 1
    if not len(ends) or ends[-1] != len(block):
        ends = np.append(ends, len(block))
    offsets = np.concatenate([[0], ends])
    lines = pa.Array.from_buffers(pa.large_binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(block)])
    yield from _parsed(lines, block, offsets, first, offset, columns)


def _parsed(
    lines: Any,
    block: bytes,
    offsets: Any,
    first: int,
    offset: int,
    columns: Columns,
) -> Iterator[Piece]:
    try:
        texts, ids = _by_arrow(block[offsets[0] : offsets[-1]], len(lines), columns)
    except (pa.ArrowException, ValueError):
        if len(lines) <= ONE_BY_ONE:
            yield _one_by_one(lines, offsets.tolist(), first, offset, columns)
            return
        half = len(lines) // 2
        yield from _parsed(lines[:half], block, offsets[: half + 1], first, offset, columns)
        yield from _parsed(lines[half:], block, offsets[half:], first + half, offset, columns)
        return
    yield Piece(first, texts, ids, (), lines)


def _by_arrow(block: bytes, count: int, columns: Columns) -> tuple[Any, Any]:
    """(texts, ids) of a block in which all is well. Errors: ValueError or pyarrow's."""
    from pyarrow import json as arrow_json

    wanted = pa.schema([(name, pa.string()) for name in columns.text])
    table = arrow_json.read_json(
        io.BytesIO(block),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=_with_id(wanted, block, columns.id), unexpected_field_behavior="ignore"
        ),
    ).combine_chunks()
    if table.num_rows != count:
        raise ValueError("blank lines or objects that are no line")
    parts = [large(_only(table.column(name))) for name in columns.text]
    texts = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()))
    if texts.null_count:
        raise ValueError("a text is missing")
    return texts, _only(table.column(columns.id)) if columns.id in table.column_names else None


def _with_id(schema: Any, block: bytes, name: str) -> Any:
    """The schema with the id as the first line has it: text or a whole number."""
    value = json.loads(block[: block.index(b"\n")] if b"\n" in block else block).get(name)
    kind = pa.string() if isinstance(value, str) else pa.int64() if isinstance(value, int) else None
    return schema if kind is None or name in schema.names else schema.append(pa.field(name, kind))


def _only(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _one_by_one(lines: Any, ends: list[int], first: int, offset: int, columns: Columns) -> Piece:
    texts: list[str | None] = []
    ids: list[str | None] = []
    bad: list[Bad] = []
    for i, line in enumerate(lines.to_pylist()):
        text, name, reason = _line(line, columns)
        texts.append(text)
        ids.append(name)
        if reason:
            bad.append(Bad(first + i, 1, offset + ends[i], len(line), sha256(line), reason))
    return Piece(first, strings(texts, pa.large_string()), strings(ids), tuple(bad), lines)


def _line(line: bytes, columns: Columns) -> tuple[str | None, str | None, str]:
    """(text, id, what is wrong or nothing) of one line."""
    if not line.strip():
        return None, None, ""
    row, reason = _object(line)
    if row is None:
        return None, None, reason
    parts: list[str] = []
    for column in columns.text:
        part = row.get(column)
        if not isinstance(part, str):
            said = "missing" if column not in row else "null" if part is None else "not text"
            return None, _named(row.get(columns.id)), f"'{column}' is {said}"
        parts.append(part)
    text = "\n".join(parts)
    if not _is_utf8(text):
        return None, _named(row.get(columns.id)), "the text holds half of a surrogate pair, which is no UTF-8"
    return text, _named(row.get(columns.id)), ""


def _object(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The line's JSON object, or what is wrong with it."""
    try:
        row = json.loads(line.decode("utf-8").lstrip("\ufeff"))
    except UnicodeDecodeError as problem:
        return None, f"byte 0x{line[problem.start]:02x} at {problem.start} of the line is not UTF-8"
    except (ValueError, RecursionError) as problem:
        return None, f"not valid JSON ({str(problem)[:120] or 'nested too deeply'})"
    return (row, "") if isinstance(row, dict) else (None, "not a JSON object")


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _named(value: object) -> str | None:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    return str(value).encode("utf-8", "replace").decode("utf-8")
