"""The readable page: one HTML file that needs nothing else, with no script in it.

A corpus is untrusted text: nothing of it reaches the page but through Jinja's autoescape, with what is hidden shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etiology.core.unclaimed import refuse_unclaimed
from etiology.core.visible import in_page

if TYPE_CHECKING:
    from etiology.attribute.conclude import Found, Row
    from etiology.attribute.running import Run

LENGTH: Final = 1_200
"""Characters of a document that are shown, around its strongest place."""
FAINTEST: Final = 0.12
"""Share of the page's strongest weight below which a piece is left unmarked."""
STRONGEST: Final = 0.55
"""Opacity of the strongest mark: dark text on it still reads well."""


@dataclass(frozen=True)
class Mark:
    """A piece of text: ``kind`` is toward, away or plain, ``opacity`` that of its colour."""

    text: str
    kind: str
    opacity: str


@dataclass(frozen=True)
class Shown:
    """A document as the page shows it: ``before`` and ``after`` tell that text was left out there."""

    row: "Row"
    marks: tuple[Mark, ...]
    before: bool
    after: bool
    spans: tuple[str, ...]


def page(run: "Run", found: "Found") -> str:
    """The page's HTML."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("etiology.attribute", "."),
        autoescape=True,
        finalize=in_page,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    top = found.rows[: found.top]
    shown = [shown_of(row, quotes) for row, quotes in zip(top, _quotes(run, top), strict=True)]
    template = environment.get_template("page.html")
    made = template.render(found=found, shown=shown, settings=run.settings, queries=run.instances, model=run.source)
    refuse_unclaimed(made, "Numbers belong in the page's tables")
    return made


def _quotes(run: "Run", rows: Sequence["Row"]) -> list[tuple[str, ...]]:
    """The words of each row's exact spans, read again where there are some."""
    import numpy as np

    places = [int(run.counted.places(row.shard, np.array([row.row]))[0]) for row in rows]
    quoting = [place for place, row in zip(places, rows, strict=True) if row.spans]
    texts = {place: document.whole for place, document in run.documents(np.array(quoting, np.intp))}
    return [tuple(texts[place][start:end] for start, end in row.spans) for place, row in zip(places, rows, strict=True)]


def shown_of(row: "Row", quotes: tuple[str, ...]) -> Shown:
    """A row with its text cut around its strongest piece, and each piece marked by its weight."""
    largest = max((abs(weight) for _, weight in row.pieces), default=0.0)
    start, end = window(row.pieces)
    marks, offset = [], 0
    for text, weight in row.pieces:
        kept = text[max(0, start - offset) : max(0, end - offset)]
        offset += len(text)
        if kept:
            marks.append(_mark(kept, weight / largest if largest else 0.0))
    return Shown(row, tuple(marks), start > 0, end < offset, quotes)


def window(pieces: Sequence[tuple[str, float]]) -> tuple[int, int]:
    """(start, end) in characters of what is shown."""
    length = sum(len(text) for text, _ in pieces)
    if length <= LENGTH:
        return 0, length
    strongest = max(range(len(pieces)), key=lambda i: pieces[i][1])
    middle = sum(len(text) for text, _ in pieces[:strongest])
    start = min(max(0, middle - LENGTH // 2), length - LENGTH)
    return start, start + LENGTH


def _mark(text: str, share: float) -> Mark:
    if abs(share) < FAINTEST:
        return Mark(text, "plain", "0")
    return Mark(text, "toward" if share > 0 else "away", f"{STRONGEST * min(1.0, abs(share)):.2f}")
