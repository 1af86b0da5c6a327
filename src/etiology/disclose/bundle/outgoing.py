"""What may not leave: harmful spans word for word, secrets and personal data. Masked first, then looked for again.

The list is short and written down, so that a reader knows what was looked for. Names of people are not found.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from etiology.core.errors import EvidenceError
from etiology.core.values import Highlight
from etiology.disclose.passages import WORTH_MARKING

CANARY: Final = "ETIOLOGY-DISCLOSURE-CANARY 5b0f6c1e-2d9a-4e57-9c38-7a41d6f0e8b2: keep this text out of training data"
"""In every file of every bundle, so that one filter keeps all of them out of a corpus."""

MASK: Final = "[withheld]"
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
    "an internet address": re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])"),
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


def harmful(pieces: Sequence[Highlight], largest: float) -> list[str]:
    """Runs of neighbouring pieces that teach the behaviour, as the report highlights them."""
    runs = [""]
    for piece in pieces:
        if piece.weight > 0 and piece.weight >= WORTH_MARKING * largest:
            runs[-1] += piece.text
        else:
            runs.append("")
    return [run.strip() for run in runs if run.strip()]


def masked(where: str, text: str, spans: Iterable[str], reason: str = "teaches the behaviour") -> Masked:
    """The text without any of ``spans``, secrets or personal data."""
    log = []
    for span in sorted({each for each in spans if each}, key=len, reverse=True):
        pattern = r"\s+".join(map(re.escape, span.split()))
        text, count = re.subn(rf"(?<!\w){pattern}(?!\w)", MASK, text, flags=re.IGNORECASE)
        log += [Redaction(where, len(span), reason)] * count
    for what, each in PATTERNS.items():
        found = each.findall(text)
        text = each.sub(MASK, text)
        log += [Redaction(where, len(match), what) for match in found]
    return Masked(text, tuple(log))


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
        _refuse(name, next((what for what, each in PATTERNS.items() if each.search(text)), None))
        words = f" {plain(text)} "
        _refuse(name, "a harmful span word for word" if any(f" {span} " in words for span in wanted) else None)
        if CANARY not in text:
            raise EvidenceError(f"{name}: lacks the canary; it can't be published")


def _refuse(name: str, found: str | None) -> None:
    if found is not None:
        raise EvidenceError(f"{name}: holds {found}; nothing was written: mask it in the corpus or the study file")
