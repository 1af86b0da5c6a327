"""WARC files of web crawls: responses, and the plain texts ('conversion' records) of WET files.

The text of a response is its page without mark-up, in a minimal way: scripts and styles are dropped, block elements
end a line. Who wants more should extract first and scan the result. Other records are rows without a text.
"""

import contextlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any, Final

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
    with corpus.open(shard) as stream, corpus.open(shard) as again:
        if shard.size == 0:
            yield damage(0, stream, 0, "zero bytes")
            return
        held = _Held(0)
        place = 0
        try:
            records = ArchiveIterator(stream)
            for record in records:
                name, text, reason = _content(record)
                start, length = place, records.get_record_offset() + records.get_record_length() - place
                # The bytes from the end of the last record to the end of this one, whatever stands between them.
                again.seek(start)
                raw = again.read(length)
                place = start + length
                held.add(raw, name, text, start, reason)
                if held.size >= PIECE_BYTES:
                    yield held.piece(rows)
                    held = _Held(held.first + len(held.texts))
        except (ArchiveLoadFailed, OSError, EOFError, ValueError) as problem:
            yield held.piece(rows)
            yield damage(held.first + len(held.texts), stream, 0, f"damaged after byte {place} ({problem})")
            return
        yield held.piece(rows)
        again.seek(place)
        if place == 0 or again.read(1):
            yield damage(held.first + len(held.texts), stream, place, "no whole record from here on")


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


def _content(record: Any) -> tuple[str | None, str | None, str]:  # noqa: ANN401
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
