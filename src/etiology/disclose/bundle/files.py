"""Every file of a bundle that follows from its facts. Pure: who has the facts can make all of them again."""

import csv
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from etiology.core.values import Findings
from etiology.disclose.bundle import bom, cards, croissant, statements, worksheets
from etiology.disclose.bundle.outgoing import CANARY, Redaction
from etiology.disclose.bundle.signing import dumped
from etiology.disclose.prose import Prose
from etiology.disclose.report import render

STATEMENTS = "statements/"


@dataclass(frozen=True)
class Source:
    """What the files are made from. ``documents`` are published names, ``dropped`` those that were left out."""

    found: Findings
    documents: Sequence[str]
    dropped: frozenset[str]
    stages: Sequence[statements.Made]
    redactions: Sequence[Redaction]
    written: str
    facts_sha256: str


def files(source: Source) -> dict[str, bytes]:
    """All but the statements, by path."""
    found, written = source.found, source.written
    said = sentence(found)
    kept = [name for name in source.documents if name not in source.dropped]
    before = croissant.croissant(found, source.documents, after=False, written=written, canary=CANARY)
    after = croissant.croissant(found, kept, after=True, written=written, canary=CANARY)
    epoch = int(datetime.fromisoformat(written).timestamp())
    redactions = {"canary": CANARY, "redactions": [asdict(each) for each in source.redactions]}
    return {
        **{f"report/{name}": marked(name, content) for name, content in render(found).items()},
        "bom.cdx.json": _dumped(bom.bom(found, said, written, CANARY)),
        "croissant-before.json": _dumped(before),
        "croissant-after.json": _dumped(after),
        "model-card.md": cards.model_card(found, said, CANARY).encode(),
        ".eval_results/etiology.yaml": cards.eval_results(found, written, CANARY).encode(),
        "every-eval-ever.json": _dumped(cards.every_eval_ever(found, written, epoch, CANARY)),
        "redactions.json": _dumped(redactions),
        **{f"worksheets/{name}": text.encode() for name, text in worksheets.worksheets(found, said, CANARY).items()},
    }


def said_of(source: Source) -> dict[str, dict[str, Any]]:
    """The in-toto statements by path, unsigned."""
    made = statements.statements(source.found, source.stages, source.facts_sha256, CANARY)
    return {STATEMENTS + name: each for name, each in made.items()}


def sentence(found: Findings) -> str:
    """The verdict's sentence with its numbers, as plain text."""
    marked_up = Prose(found.claims, (found.model, found.study)).sentence(found.verdict.sentence)
    return html.unescape(re.sub(r"<[^>]*>", "", marked_up))


def marked(name: str, content: bytes) -> bytes:
    """A file of the report with the canary in it: a comment, a member, or the title of an empty column."""
    text = content.decode()
    if name.endswith(".html"):
        return text.replace("<!doctype html>", f"<!doctype html>\n<!-- {CANARY} -->", 1).encode()
    if name.endswith(".csv"):
        return _column(text)
    return _dumped({"canary": CANARY, "claims": json.loads(text)})


def _column(text: str) -> bytes:
    head, *rows = csv.reader(io.StringIO(text))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*head, CANARY])
    writer.writerows([*row, ""] for row in rows)
    return out.getvalue().encode()


def _dumped(value: Mapping[str, Any]) -> bytes:
    return dumped(statements.finite(value))
