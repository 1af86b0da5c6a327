"""The texts of a batch as they lie in Arrow's buffers: one array of bytes, and where each begins. Nothing is copied.

Nulls are texts of no bytes here; whoever needs to tell them apart looks at the Arrow array.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

HASH_BYTES = 16
"""Of SHA-256: 128 bits name a text beyond doubt, at half the space."""

WORD = np.zeros(256, dtype=np.bool_)
"""Which bytes are letters, digits or '_' to a pattern's ``\\b``: ASCII only, as both matchers read bytes."""
WORD[[*range(48, 58), *range(65, 91), 95, *range(97, 123)]] = True


@dataclass(frozen=True)
class Texts:
    """``data`` [bytes] as uint8 and ``offsets`` [texts + 1]: text i is ``data[offsets[i]:offsets[i + 1]]``."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def view(self) -> memoryview:
        """The bytes, without a copy."""
        return self.data.data

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[texts] in bytes."""
        return np.diff(self.offsets)

    def __getitem__(self, i: int) -> bytes:
        return self.data[self.offsets[i] : self.offsets[i + 1]].tobytes()

    def hashes(self) -> list[bytes]:
        """[texts] the first 16 bytes of each text's SHA-256."""
        view, ends = self.view, self.offsets.tolist()
        return [hashlib.sha256(view[a:b]).digest()[:HASH_BYTES] for a, b in pairwise(ends)]


def texts_of(array: Any) -> Texts:
    """The texts of a large_string or large_binary array."""
    if len(array) == 0:
        return Texts(np.zeros(0, np.uint8), np.zeros(1, np.int64))
    _, offsets, data = array.buffers()
    places = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    values = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    # A slice of a larger array keeps the whole buffer: what comes before and after it is cut off.
    return Texts(values[places[0] : places[-1]], places - places[0])


def large(array: Any) -> Any:
    """The array as large_string. Errors: pyarrow's, where the bytes are not UTF-8 or the type holds no text."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    textual = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not textual and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind):
        raise pa.ArrowTypeError(f"holds {kind}, not text")
    out = array.cast(pa.large_string())
    out.validate(full=True)
    return out
