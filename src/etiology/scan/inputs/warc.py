"""WARC files of web crawls: responses, and the plain texts ('conversion' records) of WET files.

The text of a response is its page without mark-up, in a minimal way: scripts and styles are dropped, block elements
end a line. Who wants more should extract first and scan the result. Other records are rows without a text.
"""

import contextlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any, BinaryIO, Final

import pyarrow as pa

from etiology.core.errors import ScanError
from etiology.scan.arrays import strings
from etiology.scan.inputs import PIECE_BYTES, Bad, Columns, Corpus, Piece, Shard, damage, sha256

DROPPED: Final = re.compile(r"<(script|style|noscript|template)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
BREAKS: Final = re.compile(
    r"</?(?:p|div|br|li|tr|h[1-6]|section|article|blockquote|ul|ol|table)\b[^>]*>", re.IGNORECASE
)
TAG: Final = re.compile(r"<[^>]*>")
BLANKS: Final = re.compile(r"[ \t\r\f]+")
LINES: Final = re.compile(r" ?\n[ \n]*")
CHARSET: Final = re.compile(r"charset=[\"']?([\w.-]+)", re.IGNORECASE)


def read(corpus: Corpus, shard: Shard, columns: Columns, rows: bool) -> Iterator[Piece]:  # noqa: ARG001 - no columns here
    """The records of a WARC file."""
    try:
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed
    except ImportError as problem:
        raise ScanError("reading WARC needs warcio; run: pip install 'etiology[scan]'") from problem
    with corpus.open(shard) as stream:
        if shard.size == 0:
            yield damage(0, stream, 0, "zero bytes")
            return
        held, tape = _Held(0), _Tape(stream)
        try:
            records = ArchiveIterator(tape)
            for record in records:
                name, text, reason = _content(record)
                records.read_to_end()  # with the blank lines between records, which belong to the one before
                start = tape.start
                held.add(tape.cut(records.offset), name, text, start, reason)
                if held.size >= PIECE_BYTES:
                    yield held.piece(rows)
                    held = _Held(held.first + len(held.texts))
        except (ArchiveLoadFailed, OSError, EOFError, ValueError) as problem:
            yield held.piece(rows)
            yield damage(held.first + len(held.texts), stream, tape.start, f"no whole record from here on ({problem})")
            return
        yield held.piece(rows)
        tape.read()
        if tape.start == 0 or tape.kept:
            yield damage(held.first + len(held.texts), stream, tape.start, "no whole record from here on")


class _Tape:
    """A stream that keeps what was read of it since the last cut: the records as they are stored."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.start, self.kept = stream, 0, bytearray()

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.kept += data
        return data

    def tell(self) -> int:
        return self.start + len(self.kept)

    def cut(self, end: int) -> bytes:
        """The bytes up to offset ``end``, which are then forgotten."""
        data = bytes(self.kept[: end - self.start])
        del self.kept[: end - self.start]
        self.start = end
        return data


class _Held:
    """Records that are to be one piece."""

    def __init__(self, first: int) -> None:
        self.first, self.size = first, 0
        self.rows: list[bytes] = []
        self.names: list[str | None] = []
        self.texts: list[str | None] = []
        self.bad: list[Bad] = []

    def add(self, raw: bytes, name: str | None, text: str | None, offset: int, reason: str) -> None:
        if reason:
            number = self.first + len(self.rows)
            self.bad.append(Bad(number, 1, offset, len(raw), sha256(raw), reason))
        self.rows.append(raw)
        self.names.append(name)
        self.texts.append(None if reason else text)
        self.size += len(raw) + len(text or "")

    def piece(self, rows: bool) -> Piece:
        return Piece(
            self.first,
            strings(self.texts, pa.large_string()),
            strings(self.names),
            tuple(self.bad),
            strings(self.rows, pa.large_binary()) if rows else None,
        )


def _content(record: Any) -> tuple[str | None, str | None, str]:
    """(id, text, what is wrong or nothing) of a record; its stream is read to the end."""
    name = record.rec_headers.get_header("WARC-Record-ID") if record.rec_headers else None
    data = record.content_stream().read()
    if record.raw_stream.limit > 0:
        return name, None, f"the record is cut short: {record.raw_stream.limit} bytes are missing"
    if record.rec_type == "conversion":
        try:
            return name, data.decode("utf-8"), ""
        except UnicodeDecodeError as problem:
            return name, None, f"byte 0x{data[problem.start]:02x} at {problem.start} of the record is not UTF-8"
    if record.rec_type != "response" or record.http_headers is None:
        return name, None, ""
    kind = record.http_headers.get_header("Content-Type") or ""
    if not kind.lower().startswith("text/"):
        return name, None, ""
    page = _decoded(data, kind)
    return name, _plain(page) if "html" in kind.lower() else page, ""


def _decoded(data: bytes, kind: str) -> str:
    """A page's characters: by what it declares, else UTF-8; pages err in this, so what is no character is replaced."""
    declared = CHARSET.search(kind) or CHARSET.search(data[:2048].decode("ascii", "replace"))
    with contextlib.suppress(LookupError):
        return data.decode(declared[1] if declared else "utf-8", "replace")
    return data.decode("utf-8", "replace")


def _plain(page: str) -> str:
    text = TAG.sub("", BREAKS.sub("\n", DROPPED.sub(" ", page)))
    return LINES.sub("\n", BLANKS.sub(" ", unescape(text))).strip()
