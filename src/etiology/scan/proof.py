"""Proof that kept and quarantined rows together are the input: a hash of a multiset of rows.

The hash of a multiset is the sum, modulo 2^128, of a hash of each row, and the number of rows: rows may be split over
files and read in any order, and a lost, doubled or changed one shows. (Additive, so good against accidents, not against
someone who makes rows to collide.) It is counted from the input as it is read, and from the output as it lies on disk.

A row's bytes are, for lines and records, what stands in the file; for tables, the values of all its columns, of which a
long string is named by its own hash: whoever has that already need not read the string again.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

from etiology.scan.texts import HASH_BYTES

MODULUS: Final = 1 << 128
NULL: Final = b"\x00"
HEAD: Final = b"\x06"
"""Before the hash of a long string."""
COPIED: Final = 1 << 16
"""Bytes of a column that are copied first: slices of `bytes` are made faster than views of a buffer."""
LONG: Final = 64
"""Bytes from which on a string is named by its hash."""


@dataclass(frozen=True)
class Multiset:
    """A hash of rows in any order."""

    rows: int = 0
    sum: int = 0

    def __add__(self, other: "Multiset") -> "Multiset":
        return Multiset(self.rows + other.rows, (self.sum + other.sum) % MODULUS)

    @property
    def hex(self) -> str:
        return f"{self.rows}:{self.sum:032x}"


def multiset(rows: Iterable[bytes | memoryview]) -> Multiset:
    """Of rows of bytes."""
    digests = b"".join([_name(row) for row in rows])
    # Sums of 32 bits of each digest fit 64 bits: no row by row arithmetic on large integers.
    words = np.frombuffer(digests, "<u4").reshape(-1, 4).sum(0, dtype=np.uint64).tolist()
    return Multiset(len(digests) // 16, sum(word << (32 * i) for i, word in enumerate(words)) % MODULUS)


def of_rows(rows: Any, known: Mapping[str, Sequence[bytes]] | None = None) -> Multiset:
    """Of a record batch, or of an array of lines or records.

    ``known``: by column, the first 16 bytes of each string's SHA-256, as `Texts.hashes` gives them.
    """
    if isinstance(rows, pa.Array):
        return multiset(cells(rows))
    if not rows.num_columns:
        return Multiset(rows.num_rows, 0)
    given = known or {}
    parts = [_column(rows.column(i), given.get(name)) for i, name in enumerate(rows.schema.names)]
    return multiset(map(b"".join, zip(*parts, strict=True)))


def _column(column: Any, known: Sequence[bytes] | None) -> Sequence[bytes]:
    """The cells of a column; of a column of strings, long ones are named by their hashes."""
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return cells(column)
    if column.null_count:
        return [HEAD + _name(cell[9:]) if len(cell) >= 9 + LONG else cell for cell in cells(column)]
    ends, view = _places(column, np.int32 if pa.types.is_string(kind) else np.int64)
    given = known or [b""] * len(column)
    return [
        HEAD + (name or _name(view[a:b])) if b - a >= LONG else b"\x02" + (b - a).to_bytes(8, "little") + view[a:b]
        for (a, b), name in zip(pairwise(ends), given, strict=True)
    ]


def _name(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def cells(array: Any) -> list[bytes]:
    """Each value as bytes, so that values that differ have bytes that differ. A null is one zero byte."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return cells(array.storage)
    if pa.types.is_dictionary(kind):
        return cells(array.dictionary_decode())
    if pa.types.is_null(kind):
        return [NULL] * len(array)
    values = _valid(array, kind)
    if not array.null_count:
        return values
    return [v if there else NULL for v, there in zip(values, array.is_valid().to_pylist(), strict=True)]


def _valid(array: Any, kind: Any) -> list[bytes]:
    if pa.types.is_struct(kind):
        fields = [cells(field) for field in array.flatten()]
        return [b"\x05" + b"".join(row) for row in zip(*fields, strict=True)] if fields else [b"\x05"] * len(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        return _lists(array)
    if pa.types.is_fixed_size_list(kind):
        inner, size = cells(array.values), kind.list_size
        start = array.offset * size
        return [b"\x04" + b"".join(inner[start + i * size : start + (i + 1) * size]) for i in range(len(array))]
    if pa.types.is_boolean(kind):
        array, kind = array.cast(pa.uint8()), pa.uint8()
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        array = array.cast(pa.large_binary())
        kind = array.type
    if any(test(kind) for test in (pa.types.is_string, pa.types.is_binary)):
        return _variable(array, np.int32)
    if any(test(kind) for test in (pa.types.is_large_string, pa.types.is_large_binary)):
        return _variable(array, np.int64)
    width = kind.byte_width
    data = memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]
    return [b"\x01" + data[i : i + width] for i in range(0, len(data), width)]


def _lists(array: Any) -> list[bytes]:
    if pa.types.is_map(array.type):
        parts = [cells(array.keys), cells(array.items)]
        inner = [k + v for k, v in zip(*parts, strict=True)]
    else:
        inner = cells(array.values)
    ends = array.offsets.to_pylist()
    return [b"\x03" + (b - a).to_bytes(8, "little") + b"".join(inner[a:b]) for a, b in pairwise(ends)]


def _variable(array: Any, offset_type: type) -> list[bytes]:
    ends, view = _places(array, offset_type)
    return [b"\x02" + (b - a).to_bytes(8, "little") + view[a:b] for a, b in pairwise(ends)]


def _places(array: Any, offset_type: type) -> tuple[list[int], bytes | memoryview]:
    """Where each value begins and the last one ends, and the bytes they lie in."""
    _, offsets, data = array.buffers()
    ends: Any = np.frombuffer(offsets, offset_type)[array.offset : array.offset + len(array) + 1]
    if data is None or not len(array):
        return ends.tolist(), b""
    if ends[-1] - ends[0] > COPIED:
        return ends.tolist(), memoryview(data)
    return (ends - ends[0]).tolist(), bytes(memoryview(data)[ends[0] : ends[-1]])
