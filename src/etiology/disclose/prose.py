"""Prose in which every number is a claim, and text from elsewhere that can do the page no harm.

1. Everything passes ``core.visible``: control and bidirectional characters are shown as ⟨U+202E⟩.
2. ``Prose`` is the only way a number gets into a sentence: ``{claim:removal}`` becomes the claim's value.
3. ``unclaimed_numbers`` reads the finished page and finds the digits that got in some other way.
"""

import re
from collections.abc import Iterable
from html.parser import HTMLParser

from markupsafe import Markup, escape

from etiology.core.errors import EvidenceError
from etiology.core.values import Claim
from etiology.core.visible import visible
from etiology.disclose import numbers

_PLACEHOLDER = re.compile(r"\{claim:([^{}]*)\}")
_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})
_NOT_PROSE = frozenset({"table", "figure", "code", "pre", "svg", "style", "head"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NO_NUMBER = re.compile(r"(?<!\w)2×2(?!\w)|⟨U\+[0-9A-F]{4,6}⟩")
"""The name of a design, and what ``visible`` writes for a hidden character."""
_ROOM = 30

TERMS = ("bfloat16", "float16", "float32", "BM25", "SHA-256")
"""Technical names that hold digits and are no numbers, in any study."""


class Prose:
    """Sentences of the report. ``names`` may hold digits (a model, an arm, a document) without being a number."""

    def __init__(self, claims: Iterable[Claim], names: Iterable[str]) -> None:
        self._claims: dict[str, Claim] = {}
        for claim in claims:
            if claim.id in self._claims:
                raise EvidenceError(f"two claims are called {claim.id!r}: give each its own id")
            self._claims[claim.id] = claim
        self._names = _names_pattern((*TERMS, *names))

    def has(self, identity: str) -> bool:
        return identity in self._claims

    def find(self, identity: str) -> Claim:
        try:
            return self._claims[identity]
        except KeyError:
            known = ", ".join(sorted(self._claims)) or "none"
            raise EvidenceError(f"the report cites claim {identity!r}, which is not made; made are: {known}") from None

    def claim(self, identity: str) -> Markup:
        """For example ``<span data-claim="removal">−1.02 [−1.21, −0.84]</span>``."""
        return self._span(identity, " ".join(part for part in self._parts(identity) if part))

    def value(self, identity: str) -> Markup:
        return self._span(identity, self._parts(identity)[0])

    def interval(self, identity: str) -> Markup:
        return self._span(identity, self._parts(identity)[1] or "")

    def unit(self, identity: str) -> Markup:
        """Its unit, unless the claim's sentence has said it: 'documents left out: 60'."""
        claim = self.find(identity)
        unit = numbers.unit(claim.unit)
        return name(unit) if unit and unit.lower() not in claim.sentence.lower() else Markup("")

    def measure(self, identity: str) -> Markup:
        """The claim and its unit."""
        return Markup(" ").join(part for part in (self.claim(identity), self.unit(identity)) if part)

    def statement(self, identity: str) -> Markup:
        """What the claim says, to be followed by its value."""
        return self.sentence(self.find(identity).sentence.rstrip(". "))

    def sentence(self, text: str) -> Markup:
        """Escapes a sentence, puts each ``{claim:id}`` in its place and marks the names that hold digits."""
        pieces = _PLACEHOLDER.split(text)
        marked = (self.claim(piece) if i % 2 else self._marked(visible(piece)) for i, piece in enumerate(pieces))
        return Markup("").join(marked)

    def _marked(self, text: str) -> Markup:
        if self._names is None:
            return escape(text)
        pieces = self._names.split(text)
        return Markup("").join(name(piece) if i % 2 else escape(piece) for i, piece in enumerate(pieces))

    def _parts(self, identity: str) -> tuple[str, str | None]:
        claim = self.find(identity)
        return numbers.parts(claim.value, claim.low, claim.high, claim.unit)

    @staticmethod
    def _span(identity: str, text: str) -> Markup:
        return Markup('<span data-claim="{}">{}</span>').format(identity, text)


def name(text: str) -> Markup:
    """What something is called: digits in it are no number."""
    return Markup("<span data-name>{}</span>").format(visible(text))


def _names_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Matches the names that hold a digit. A name without a letter is left out: it could pass off any number."""
    shown = {visible(each) for each in names}
    telling = [each for each in shown if re.search(r"\d", each) and re.search(r"[^\W\d_]", each)]
    if not telling:
        return None
    longest_first = sorted(telling, key=lambda each: (-len(each), each))
    return re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?!\w)")


def unclaimed_numbers(html: str) -> list[str]:
    """Each number that a reader meets outside tables, figures, code, quotations, names and claims, in its context."""
    reader = _ProseReader()
    reader.feed(html)
    reader.close()
    found: list[str] = []
    for text in reader.blocks():
        found.extend(_context(match) for match in _NUMBER.finditer(_NO_NUMBER.sub("⟨⟩", text)))
    return found


def _context(match: re.Match[str]) -> str:
    start, end = max(0, match.start() - _ROOM), min(len(match.string), match.end() + _ROOM)
    before, after = "…" if start else "", "…" if end < len(match.string) else ""
    return before + match.string[start:end].strip() + after


class _ProseReader(HTMLParser):
    """Collects the text that is prose, block by block, so that a number split by inline marks is still one number."""

    _INLINE = frozenset({"a", "em", "i", "mark", "span", "strong"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, bool]] = []
        self._texts: list[str] = [""]

    def blocks(self) -> list[str]:
        return [" ".join(text.split()) for text in self._texts if text.strip()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._INLINE:
            self._texts.append("")
        if tag not in _VOID:
            self._open.append((tag, _exempt(tag, dict(attrs))))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """HTML has no self-closing tags outside SVG, whose whole content is exempt."""
        if not self._silent():
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._INLINE:
            self._texts.append("")
        if any(tag == opened for opened, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._texts[-1] += " " if self._silent() else data

    def _silent(self) -> bool:
        return any(exempt for _, exempt in self._open)


def _exempt(tag: str, attributes: dict[str, str | None]) -> bool:
    quoted = "quoted" in (attributes.get("class") or "").split()
    return tag in _NOT_PROSE or quoted or "data-claim" in attributes or "data-name" in attributes
