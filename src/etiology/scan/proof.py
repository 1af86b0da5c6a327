"""Proof that kept and quarantined rows together are the input: a hash of a multiset of rows.

The hash of a multiset is the sum, modulo 2^128, of a hash of each row, and the number of rows: rows may be split over
files and read in any order, and a lost, doubled or changed one shows. (Additive, so good against accidents, not against
someone who makes rows to collide.) It is counted from the input as it is read, and from the output as it lies on disk.

A row's bytes are, for lines and records, what stands in the file; for tables, the values of all its columns.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

MODULUS: Final = 1 << 128
NULL: Final = b"\x00"


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
    digests = b"".join([hashlib.sha256(row).digest()[:16] for row in rows])
    # Sums of 32 bits of each digest fit 64 bits: no row by row arithmetic on large integers.
    words = np.frombuffer(digests, "<u4").reshape(-1, 4).sum(0, dtype=np.uint64).tolist()
    return Multiset(len(digests) // 16, sum(word << (32 * i) for i, word in enumerate(words)) % MODULUS)


def of_rows(rows: Any) -> Multiset:
    """Of a record batch, or of an array of lines or records."""
    if isinstance(rows, pa.Array):
        return multiset(cells(rows))
    if not rows.num_columns:
        return Multiset(rows.num_rows, 0)
    parts = [part for column in rows.columns for part in _parts(column)]
    return multiset(map(b"".join, zip(*parts, strict=True)))


def _parts(column: Any) -> list[list[Any]]:
    """What joined row by row is `cells`; a long text is not copied for it."""
    kind = column.type
    if not column.null_count and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        ends, view = _places(column, np.int32 if pa.types.is_string(kind) else np.int64)
        heads = [b"\x02" + (b - a).to_bytes(8, "little") for a, b in pairwise(ends)]
        return [heads, [view[a:b] for a, b in pairwise(ends)]]
    return [cells(column)]


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


def _places(array: Any, offset_type: type) -> tuple[list[int], memoryview]:
    """Where each value begins and the last one ends, and the bytes they lie in."""
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, offset_type)[array.offset : array.offset + len(array) + 1].tolist()
    return ends, memoryview(data) if data is not None else memoryview(b"")
