"""The files beside the page: the claims as JSON, and one CSV behind every table and figure.

Numbers are written in full. Text from a corpus or a model is made inert: hidden characters are shown, and a cell that
a spreadsheet would run as a formula is preceded by an apostrophe: full-width and small forms of its signs count too,
as some take them for the plain ones.
"""

import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields

from etiology.core.errors import EvidenceError
from etiology.core.values import ArmResult, Cell, Claim, Effect, Findings, NamedDocument, Rate, TestResult
from etiology.core.visible import visible
from etiology.disclose.passages import by_rank

Value = str | int | float | bool | None

_FORMULA = ("=", "+", "-", "−", "@")
_EFFECT = ("value", "low", "high", "n", "clusters", "seeds", "unit", "p", "mde")
_RATE = ("hits", "n", "low", "high")
_CLAIM = tuple(field.name for field in fields(Claim))


def files(findings: Findings) -> dict[str, bytes]:
    """Every file of the report folder but the page itself."""
    return {
        "claims.json": _json(findings.claims),
        "claims.csv": _csv(_CLAIM, map(_claim, findings.claims)),
        "arms.csv": _csv(_ARM_HEAD, map(_arm, findings.arms)),
        "cells.csv": _csv(("model", "threatened", "leverage", *_EFFECT), map(_cell, findings.cells)),
        "documents.csv": _csv(_DOCUMENT_HEAD, map(_document, by_rank(findings.named))),
        "tests.csv": _csv(_TEST_HEAD, map(_test, findings.verdict.tests)),
    }


def _json(claims: Sequence[Claim]) -> bytes:
    rows = [{field: _finite(value, claim.id) for field, value in asdict(claim).items()} for claim in claims]
    return (json.dumps(rows, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _finite(value: object, claim: str) -> object:
    """JSON has no infinity: an end that the data don't bound is the text "Infinity" or "-Infinity"."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if math.isnan(value):
        raise EvidenceError(f"claim {claim!r} holds a value that is not a number")
    return "Infinity" if value > 0 else "-Infinity"


def _csv(head: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([_inert(value) for value in row])
    return text.getvalue().encode()


def _inert(value: Value) -> str | int | float | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return value
    shown = visible(value)
    first = unicodedata.normalize("NFKC", shown.lstrip()[:1])
    return f"'{shown}" if first.startswith(_FORMULA) else shown


def _effect(effect: Effect | None) -> list[Value]:
    return [None] * len(_EFFECT) if effect is None else [getattr(effect, field) for field in _EFFECT]


def _rate(rate: Rate | None) -> list[Value]:
    return [None] * len(_RATE) if rate is None else [getattr(rate, field) for field in _RATE]


def _claim(claim: Claim) -> list[Value]:
    evidence = "; ".join(f"{each.path} sha256:{each.sha256}" for each in claim.evidence)
    return [evidence if field == "evidence" else getattr(claim, field) for field in _CLAIM]


def _prefixed(prefix: str, names: Sequence[str]) -> list[str]:
    return [f"{prefix}_{name}" for name in names]


_ARM_HEAD = (
    *("arm", "question", "documents", "tokens"),
    *_prefixed("level", _EFFECT),
    *_prefixed("change", _EFFECT),
    "perplexity",
    *_prefixed("perplexity_change", _EFFECT),
    *_prefixed("generated", _RATE),
    *("seconds", "peak_mb"),
)


def _arm(arm: ArmResult) -> list[Value]:
    return [
        *(arm.name, arm.question, arm.documents, arm.tokens),
        *_effect(arm.level),
        *_effect(arm.effect),
        arm.perplexity,
        *_effect(arm.perplexity_change),
        *_rate(arm.generated),
        *(arm.seconds, arm.peak_mb),
    ]


def _cell(cell: Cell) -> list[Value]:
    return [cell.model, cell.threatened, cell.leverage, *_effect(cell.level)]


_DOCUMENT_HEAD = (
    *("rank", "document", "fused", "concept", "judged", "passage", "influence", "bm25", "graded_afterwards", "text"),
    *("nearest_kept", "nearest_kept_rank", "nearest_kept_text"),
)


def _document(named: NamedDocument) -> list[Value]:
    score = named.attribution
    return [
        *(
            score.rank,
            score.document,
            score.fused,
            score.concept,
            score.judged,
            score.passage,
            score.influence,
            score.bm25,
        ),
        named.label,
        "".join(piece.text for piece in named.pieces),
        *(named.nearest, named.nearest_rank),
        "".join(piece.text for piece in named.nearest_pieces),
    ]


_TEST_HEAD = ("test", "question", *_EFFECT, "p_holm", "result", "words")


def _test(test: TestResult) -> list[Value]:
    return [test.name, test.question, *_effect(test.effect), test.p_adjusted, result(test), test.words]


def result(test: TestResult) -> str:
    """The result of a test in the words of the report. One that was measured for information only is never shown."""
    if test.passed is None:
        return "not run" if test.effect is None else "reported only"
    return "shown" if test.passed else "not shown"
