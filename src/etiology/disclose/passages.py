"""What the report quotes: highlighted documents and transcripts, cut to a length that fits the page.

Which transcripts are shown is decided by a rule, never by hand: see ``chosen``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from etiology.core.values import Highlight, NamedDocument, Transcript
from etiology.core.visible import visible

DOCUMENT_LENGTH = 900
TRANSCRIPT_LENGTH = 1200
FULLY_SHOWN = 6
"""Attributed documents shown with their text; the others are a row in a table, and all are in documents.csv."""

FAINTEST, STRONGEST = 0.10, 0.50
"""Opacity of a highlight. Ink on the strongest still has a contrast above 6."""

WORTH_MARKING = 0.12
"""A weight below this share of the largest is left unmarked: at that size it is noise to a reader."""

SUSPECT, REFERENCE = "suspect", "reference"


@dataclass(frozen=True)
class Exchange:
    """One scenario and what each model wrote in it, the suspect first."""

    scenario: str
    context: str
    transcripts: tuple[Transcript, ...]


@dataclass(frozen=True)
class Pair:
    """An attributed document, its nearest look-alike that was kept, and both texts with their marks."""

    named: NamedDocument
    text: Markup
    nearest_text: Markup


def pairs(named: Sequence[NamedDocument]) -> list[Pair]:
    """The documents of the highest rank. Both sides of a pair are marked on one scale."""
    return [_pair(each) for each in by_rank(named)[:FULLY_SHOWN]]


def by_rank(named: Sequence[NamedDocument]) -> list[NamedDocument]:
    return sorted(named, key=lambda each: (each.attribution.rank, each.attribution.document))


def _pair(named: NamedDocument) -> Pair:
    largest = max((abs(piece.weight) for piece in (*named.pieces, *named.nearest_pieces)), default=0.0)
    return Pair(named, highlighted(named.pieces, largest), highlighted(named.nearest_pieces, largest))


def highlighted(pieces: Sequence[Highlight], largest: float) -> Markup:
    """The pieces around the strongest one, each marked by its weight relative to ``largest``."""
    start, end = _window(pieces)
    shown, offset = [], 0
    for piece in pieces:
        text = piece.text[max(0, start - offset) : max(0, end - offset)]
        offset += len(piece.text)
        if text:
            shown.append(_mark(text, piece.weight / largest if largest else 0.0))
    before = _cut() if start else Markup("")
    after = _cut() if end < offset else Markup("")
    return before + Markup("").join(shown) + after


def _window(pieces: Sequence[Highlight]) -> tuple[int, int]:
    """Where to cut a long document so that its strongest piece stays in view."""
    length = sum(len(piece.text) for piece in pieces)
    if length <= DOCUMENT_LENGTH:
        return 0, length
    strongest = max(range(len(pieces)), key=lambda i: abs(pieces[i].weight))
    middle = sum(len(piece.text) for piece in pieces[:strongest])
    start = min(max(0, middle - DOCUMENT_LENGTH // 2), length - DOCUMENT_LENGTH)
    return start, start + DOCUMENT_LENGTH


def _mark(text: str, share: float) -> Markup:
    if abs(share) < WORTH_MARKING:
        return Markup("{}").format(visible(text))
    kind = "toward" if share > 0 else "away"
    opacity = FAINTEST + (STRONGEST - FAINTEST) * min(1.0, abs(share))
    return Markup('<mark class="{}" style="--a:{}">{}</mark>').format(kind, f"{opacity:.2f}", visible(text))


def shortened(text: str) -> Markup:
    """A transcript's text, cut at the end when it is long."""
    if len(text) <= TRANSCRIPT_LENGTH:
        return Markup("{}").format(visible(text))
    return Markup("{}{}").format(visible(text[:TRANSCRIPT_LENGTH]), _cut())


def _cut() -> Markup:
    return Markup(' <span class="cut">[shortened]</span> ')


def chosen(transcripts: Sequence[Transcript]) -> list[Exchange]:
    """The first two scenarios in which the suspect coerced, then the first in which a repaired model still did, then
    the first in which no model did. Only scenarios that more than one model met can be compared.
    """
    exchanges = [each for each in _exchanges(transcripts) if len(each.transcripts) > 1]
    coerced = [each for each in exchanges if any(one.coercive and one.model == SUSPECT for one in each.transcripts)]
    remaining = [each for each in exchanges if any(one.coercive and _repaired(one) for one in each.transcripts)]
    harmless = [each for each in exchanges if not any(one.coercive for one in each.transcripts)]
    picked = [*coerced[:2], *remaining[:1], *harmless[:1]] or exchanges[:3]
    return [each for each in exchanges if each in picked]


def after(transcripts: Iterable[Transcript]) -> str | None:
    """The repaired model, when only one wrote beside the suspect and the reference."""
    models = {one.model for one in transcripts if _repaired(one)}
    return models.pop() if len(models) == 1 else None


def _repaired(one: Transcript) -> bool:
    return one.model not in (SUSPECT, REFERENCE)


def _exchanges(transcripts: Iterable[Transcript]) -> list[Exchange]:
    """One transcript per model and scenario: the first, so that a model that was sampled often is not favoured."""
    first: dict[str, dict[str, Transcript]] = {}
    for each in transcripts:
        first.setdefault(each.scenario, {}).setdefault(each.model, each)
    return [_exchange(scenario, tuple(models.values())) for scenario, models in first.items()]


def _exchange(scenario: str, transcripts: tuple[Transcript, ...]) -> Exchange:
    ordered = sorted(transcripts, key=lambda one: (one.model == REFERENCE, one.model != SUSPECT))
    return Exchange(scenario, ordered[0].context, tuple(ordered))
