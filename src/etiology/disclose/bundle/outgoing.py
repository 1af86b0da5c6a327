"""What may not leave: harmful spans word for word, secrets and personal data. Masked first, then looked for again.

The list is short and written down, so that a reader knows what was looked for. Names of people are not found.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from etiology.core.errors import EvidenceError
from etiology.core.values import Highlight
from etiology.disclose.passages import WORTH_MARKING

CANARY: Final = "ETIOLOGY-DISCLOSURE-CANARY 5b0f6c1e-2d9a-4e57-9c38-7a41d6f0e8b2: keep this text out of training data"
"""In every file of every bundle, so that one filter keeps all of them out of a corpus."""

MASK: Final = "[withheld]"
GAP: Final = 24
"""Characters between two harmful spans that are masked with them."""
TEACHES: Final = "teaches the behaviour"
FEWEST_WORDS: Final = 3
"""A harmful span shorter than this is ordinary language on its own, and can't be looked for."""

PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    "an access token": re.compile(
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bhf_[A-Za-z0-9]{30,}\b"
        r"|\bsk-[A-Za-z0-9_-]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[0-9A-Za-z_-]{35}\b|\bglpat-[\w-]{20,}"
        r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
    ),
    "a password": re.compile(r"(?i)\b(?:password|passwd|api[_-]?key|secret[_-]?key)\s*[:=]\s*[\"']?[^\s\"',]{8,}"),
    "an e-mail address": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    "a telephone number": re.compile(r"(?<![\w.+])\+\d{1,3}[ -](?:\(?\d{1,4}\)?[ -]?){2,5}\d{2,4}(?![\w.])"),
    "a card or account number": re.compile(
        r"(?<![\w.-])(?:\d{4}[ -]){3}\d{4}(?![\w.-])|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}\b"
    ),
    "a social security number": re.compile(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w.-])"),
    "an internet address": re.compile(
        r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])"
    ),
}


@dataclass(frozen=True)
class Redaction:
    """What was masked where (a document, a transcript), how many characters, and why."""

    where: str
    characters: int
    reason: str


@dataclass(frozen=True)
class Masked:
    """A text that may be published and what was taken out of it."""

    text: str
    log: tuple[Redaction, ...]


Cut = tuple[int, int, str]
"""(start, end, reason) of what is taken out of a text."""


def harmful(pieces: Sequence[Highlight], largest: float) -> list[Cut]:
    """Runs of neighbouring pieces that teach the behaviour, as the report highlights them."""
    runs: list[Cut] = []
    start = 0
    for piece in pieces:
        end = start + len(piece.text)
        if piece.weight > 0 and piece.weight >= WORTH_MARKING * largest:
            runs.append((start, end, TEACHES))
        start = end
    return merged(_joined(merged(runs)))


def _joined(runs: Sequence[Cut]) -> list[Cut]:
    """Each run reaches over a short gap to the next: what is left between two masks tells what they hide."""
    reaching = [(end, start, TEACHES) for (_, end, _), (start, _, _) in pairwise(runs) if start - end <= GAP]
    return [*runs, *reaching]


def merged(cuts: Iterable[Cut]) -> list[Cut]:
    """The same characters without overlaps, in order; neighbours become one."""
    out: list[Cut] = []
    for start, end, reason in sorted(cuts):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]), out[-1][2])
        elif end > start:
            out.append((start, end, reason))
    return out


def cuts(text: str, spans: Iterable[str]) -> list[Cut]:
    """Where a text holds a harmful span, a secret or personal data."""
    found: list[Cut] = []
    for span in worth_looking_for(spans):
        pattern = r"[\W_]+".join(map(re.escape, plain(span).split()))
        found += [(*m.span(), TEACHES) for m in re.finditer(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)]
    for what, each in PATTERNS.items():
        found += [(*m.span(), what) for m in each.finditer(text)]
    return merged(found)


def masked(where: str, text: str, spans: Iterable[str]) -> Masked:
    """The text without any of ``spans``, secrets or personal data."""
    (piece,), log = masked_pieces(where, [Highlight(text, 0.0)], cuts(text, spans))
    return Masked(piece.text, log)


def masked_pieces(
    where: str, pieces: Sequence[Highlight], taken: Sequence[Cut]
) -> tuple[tuple[Highlight, ...], tuple[Redaction, ...]]:
    """The pieces with each cut replaced by one mask, in the piece that it starts in."""
    out, start = [], 0
    for piece in pieces:
        out.append(Highlight(_without(piece.text, start, taken), piece.weight))
        start += len(piece.text)
    return tuple(out), tuple(Redaction(where, end - begin, reason) for begin, end, reason in taken)


def _without(text: str, offset: int, taken: Sequence[Cut]) -> str:
    shown, place, stop = [], offset, offset + len(text)
    for start, end, _ in taken:
        if end <= offset or start >= stop:
            continue
        shown.append(text[place - offset : max(start, place) - offset])
        shown.append(MASK if start >= offset else "")
        place = min(end, stop)
    return "".join([*shown, text[place - offset :]])


def worth_looking_for(spans: Iterable[str]) -> list[str]:
    """The spans that are long enough to mean something on their own."""
    return sorted({span for span in spans if len(plain(span).split()) >= FEWEST_WORDS})


def plain(text: str) -> str:
    """Words alone, in one spelling: no case, punctuation, hidden characters or look-alike forms."""
    shown = "".join(mark for mark in unicodedata.normalize("NFKC", text) if unicodedata.category(mark) != "Cf")
    return " ".join(re.findall(r"\w+", shown.casefold()))


def refuse_unsafe(files: Mapping[str, bytes], spans: Iterable[str]) -> None:
    """Raise if a file holds what may not leave, or lacks the canary.

    Errors: EvidenceError naming the file and what was found; never the find itself.
    """
    wanted = [plain(span) for span in worth_looking_for(spans)]
    for name, content in files.items():
        text = content.decode("utf-8", errors="replace")
        if name.endswith(".html"):  # words that stand in several elements are read as one text
            text += html.unescape(re.sub(r"<[^>]*>", "", text))
        _refuse(name, next((what for what, each in PATTERNS.items() if each.search(text)), None))
        words = f" {plain(text)} "
        _refuse(name, "a harmful span word for word" if any(f" {span} " in words for span in wanted) else None)
        if CANARY not in text:
            raise EvidenceError(f"{name}: lacks the canary; it can't be published")


def _refuse(name: str, found: str | None) -> None:
    if found is not None:
        raise EvidenceError(f"{name}: holds {found}; nothing was written: mask it in the corpus or the study file")
