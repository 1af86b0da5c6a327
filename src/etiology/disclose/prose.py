"""Prose in which every number is a claim, and text from elsewhere that can do the page no harm.

1. Everything passes ``core.visible``: control and bidirectional characters are shown as ⟨U+202E⟩.
2. ``Prose`` is the only way a number gets into a sentence: ``{claim:removal}`` becomes the claim's value.
3. ``core.unclaimed`` reads the finished page and finds the digits that got in some other way.
"""

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

from etiology.core.errors import EvidenceError
from etiology.core.unclaimed import reads_like_a_number
from etiology.core.values import Claim
from etiology.core.visible import on_one_line, visible
from etiology.disclose import numbers

_PLACEHOLDER = re.compile(r"\{claim:([^{}]*)\}")
_IDENTITY = re.compile(r"[a-z][a-z0-9_-]*")

LOG_ODDS = "nats"
"""Unit of the behaviour score: log-odds of one continuation against another."""

TERMS = ("bfloat16", "float16", "float32", "BM25", "SHA-256")
"""Technical names that hold digits and are no numbers, in any study."""


class Prose:
    """Sentences of the report. ``names`` may hold digits (a model, an arm, a document) without being a number.

    Errors: EvidenceError for claims whose id or unit could pass for something else.
    """

    def __init__(self, claims: Iterable[Claim], names: Iterable[str]) -> None:
        self._claims: dict[str, Claim] = {}
        for claim in claims:
            _refuse_disguised(claim)
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

    def odds(self, identity: str, *, inverted: bool = False) -> Markup:
        """A claim in nats as odds, for readers without logarithms: '2.9 times (2.5 to 3.4)'; inverted, its reverse."""
        claim = self.find(identity)
        if claim.unit != LOG_ODDS:
            raise EvidenceError(f"claim {identity!r} is in {claim.unit!r}, not in {LOG_ODDS}: it is no change of odds")
        return self._span(identity, numbers.odds(claim.value, claim.low, claim.high, inverted=inverted))

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
    """What something is called: digits in it are no number. One that reads like a number is set as code."""
    tag = "code" if reads_like_a_number(text) else "span"
    return Markup("<{} data-name>{}</{}>").format(tag, on_one_line(text), tag)


def _refuse_disguised(claim: Claim) -> None:
    """An id or a unit is printed beside claims unread, so neither may say anything by itself."""
    if not _IDENTITY.fullmatch(claim.id):
        raise EvidenceError(f"claim {claim.id!r}: an id is small letters, digits, - and _, and starts with a letter")
    if any(mark.isdigit() for mark in claim.unit):
        raise EvidenceError(f"claim {claim.id!r}: its unit {claim.unit!r} holds a number; make that a claim of its own")


def _names_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Matches the names that hold a digit. One that reads like a number is left out: it could pass off any."""
    shown = {visible(each) for each in names}
    telling = [each for each in shown if re.search(r"\d", each) and not reads_like_a_number(each)]
    if not telling:
        return None
    longest_first = sorted(telling, key=lambda each: (-len(each), each))
    return re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?!\w)")
