"""Arrow arrays from numpy arrays and lists, and back, by their buffers.

``pyarrow.array`` and ``to_numpy`` import pandas, where that is installed: two seconds of processor time a worker.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numbers(values: NDArray[Any], there: NDArray[np.bool_] | None = None) -> Any:
    """The values, null where ``there`` is false."""
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [_bits(there), pa.py_buffer(np.ascontiguousarray(values))])


def truths(values: NDArray[np.bool_]) -> Any:
    """A boolean array."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def strings(values: Sequence[str | bytes | None], kind: Any = None) -> Any:
    """Text or bytes as ``kind``: string (the default), large_string or large_binary."""
    kind = kind or pa.string()
    data = [b"" if v is None else v if isinstance(v, bytes) else v.encode() for v in values]
    ends = np.zeros(len(data) + 1, np.int32 if kind == pa.string() else np.int64)
    np.cumsum([len(d) for d in data], out=ends[1:])
    there = np.asarray([v is not None for v in values], dtype=np.bool_)
    parts = [None if there.all() else _bits(there), pa.py_buffer(ends), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(kind, len(data), parts)


def hashes(values: Sequence[bytes], width: int) -> Any:
    """Bytes of one width."""
    return pa.Array.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(b"".join(values))])


def coded(codes: NDArray[np.integer[Any]], words: Sequence[str]) -> Any:
    """Words by their number."""
    return pa.DictionaryArray.from_arrays(numbers(codes), strings(words))


def lists(sizes: Sequence[int] | NDArray[np.int64], values: Any, there: NDArray[np.bool_] | None = None) -> Any:
    """Lists of the given sizes, cut from ``values`` in order."""
    ends = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=ends[1:])
    kind = pa.list_(values.type)
    return pa.Array.from_buffers(kind, len(sizes), [_bits(there), pa.py_buffer(ends)], children=[values])


def _bits(there: NDArray[np.bool_] | None) -> Any:
    return None if there is None else pa.py_buffer(np.packbits(there, bitorder="little"))


def values(array: Any, kind: type[np.generic]) -> NDArray[Any]:
    """The numbers of an array or a column; where one is null, whatever lies there. ``kind`` is their numpy type."""
    if isinstance(array, pa.ChunkedArray):
        return np.concatenate([values(chunk, kind) for chunk in array.chunks] or [np.zeros(0, kind)])
    if len(array) == 0:
        return np.zeros(0, kind)
    return np.frombuffer(array.buffers()[1], kind)[array.offset : array.offset + len(array)]


def there(array: Any) -> NDArray[np.bool_]:
    """[values] whether each is not null."""
    if isinstance(array, pa.ChunkedArray):
        return np.concatenate([there(chunk) for chunk in array.chunks] or [np.zeros(0, np.bool_)])
    bits = array.buffers()[0]
    if bits is None or not array.null_count:
        return np.ones(len(array), np.bool_)
    found = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[array.offset : array.offset + len(array)]
    return found.astype(np.bool_)


def floats(array: Any, missing: float) -> NDArray[np.float64]:
    """The values of a float32 array or column, ``missing`` where there is none."""
    return np.where(there(array), values(array, np.float32).astype(np.float64), missing)


def codes(column: Any, words: Sequence[str]) -> NDArray[np.int64]:
    """The place in ``words`` of each value of a dictionary column, whatever order its chunks number them in."""
    found = []
    for chunk in column.chunks:
        order = np.asarray([words.index(word) for word in chunk.dictionary.to_pylist()], np.int64)
        found.append(order[values(chunk.indices, np.dtype(str(chunk.type.index_type)).type)])
    return np.concatenate(found or [np.zeros(0, np.int64)])
