"""The report: one self-contained HTML page for people, and its numbers as JSON and CSV beside it.

Rendering is pure: the same findings give the same bytes. It fails rather than print a number that is no claim.
"""

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etiology.core.errors import EvidenceError
from etiology.core.values import Cell, Claim, Effect, Findings, Grading, Outcome
from etiology.core.visible import visible
from etiology.disclose import figures, numbers, passages, tables
from etiology.disclose.prose import Prose, name, unclaimed_numbers

__all__ = ["render", "unclaimed_numbers"]

OUTCOMES: Mapping[Outcome, str] = {
    "data-caused": "These words are used only when removal, replacement and sufficiency are all shown and the controls "
    "of the instrument hold.",
    "partly data-caused": "These words are used when some of removal, replacement and sufficiency are shown and others "
    "are not: the named documents account for part of the behaviour, and something else for the rest.",
    "other cause": "These words are used when the behaviour is real and the tests point away from the named documents.",
    "not shown": "These words are used when none of removal, replacement and sufficiency is shown. That is not proof "
    "that there is no effect: one below the smallest that this design would have found could have been missed.",
    "instrument failed": "These words are used when a control of the measurement failed. The study then says nothing "
    "about the cause, in either direction.",
}
"""What each verdict means, under its banner. A negative one is explained with the same care."""

KEYS = ("removal", "random_removal", "repaired", "attribution_ap")
"""The claims at the top of the page, in order."""

MODELS = ("reference", "suspect", "repaired")


def render(findings: Findings) -> dict[str, bytes]:
    """Every file of the report, by its path in the report's folder."""
    page = _page(findings)
    loose = unclaimed_numbers(page)
    if loose:
        shown = "; ".join(loose[:5]) + (f"; and {len(loose) - 5} more" if len(loose) > 5 else "")
        raise EvidenceError(
            f"the report's prose holds numbers that no claim supports: {shown}\n"
            "Make each a claim and write {claim:its_id} in its place"
        )
    return {"index.html": page.encode(), **tables.files(findings)}


def _page(findings: Findings) -> str:
    prose = Prose(findings.claims, _names(findings))
    return (
        _environment()
        .get_template("template.html")
        .render(
            f=findings,
            gloss=OUTCOMES[findings.verdict.outcome],
            keys=[_key(findings, prose.find(each)) for each in KEYS if prose.has(each)],
            tests_unit=_only({test.effect.unit for test in findings.verdict.tests if test.effect}),
            change_unit=_only({arm.effect.unit for arm in findings.arms if arm.effect}),
            unbounded=any(math.isinf(each.high) or math.isinf(each.low) for each in _effects(findings)),
            dot_plots=_dot_plots(findings, prose),
            heat_maps=_heat_maps(findings.cells),
            pairs=passages.pairs(findings.named),
            others=passages.by_rank(findings.named)[passages.FULLY_SHOWN :],
            best_method=_best_method(findings.grading),
            exchanges=passages.chosen(findings.transcripts),
            after=passages.after(findings.transcripts),
            check=f"etiology check {shlex.quote(visible(findings.study))}",
            **_prose(prose),
        )
    )


def _prose(prose: Prose) -> dict[str, Callable[..., object]]:
    """The functions through which the template says anything with a number in it."""
    return {
        "claim": prose.claim,
        "has": prose.has,
        "interval": prose.interval,
        "measure": prose.measure,
        "sentence": prose.sentence,
        "statement": prose.statement,
        "unit": prose.unit,
        "value": prose.value,
    }


@cache
def _environment() -> Environment:
    """Autoescape is on, and every value that is not already markup is made visible before it is escaped."""
    environment = Environment(
        loader=PackageLoader("etiology.disclose", ""),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(name=name, quote=passages.shortened)
    environment.filters.update(
        claim_parts=_claim_parts,
        count=numbers.count,
        duration=numbers.duration,
        effect=numbers.effect,
        mde=numbers.mde,
        memory=numbers.memory,
        of_unit=numbers.unit,
        p=numbers.p_value,
        rate=numbers.rate,
        result=tables.result,
        score=numbers.score,
        short=_short_hash,
        words=_words,
    )
    return environment


def _finalize(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _names(findings: Findings) -> Iterator[str]:
    """What may appear in a sentence with a digit in it, because something is called that."""
    yield from (findings.model, findings.study, findings.score)
    yield from (arm.name for arm in findings.arms)
    for named in findings.named:
        yield from (named.attribution.document, named.nearest)


def _best_method(grading: Grading | None) -> str | None:
    """Ours or a baseline: where a baseline wins, the report says so."""
    methods = grading.methods if grading else ()
    return max(methods, key=lambda each: each[1])[0] if methods else None


def _key(findings: Findings, claim: Claim) -> dict[str, str]:
    return {"id": claim.id, "mde": numbers.mde(_measured(findings, claim))}


def _measured(findings: Findings, claim: Claim) -> Effect | None:
    """The effect that a claim publishes, and so its MDE: the one with the same value and interval, or its mirror image
    (a fall is a negative change).
    """
    wanted = (claim.value, claim.low, claim.high)
    for one in _effects(findings):
        if wanted in ((one.value, one.low, one.high), (-one.value, -one.high, -one.low)):
            return one
    return None


def _effects(findings: Findings) -> Iterator[Effect]:
    yield from (test.effect for test in findings.verdict.tests if test.effect)
    yield from (arm.effect for arm in findings.arms if arm.effect)
    if findings.grading:
        yield findings.grading.average_precision


def _only(units: set[str]) -> str:
    """The unit to print once for a whole table; empty when there are several, which then stand in each row."""
    return numbers.unit(units.pop()) if len(units) == 1 else ""


def _dot_plots(findings: Findings, prose: Prose) -> list[Markup]:
    """The same figure twice, for a wide and for a narrow page; the style sheet shows one of them."""
    rows = figures.changes(findings.arms)
    if not rows:
        return []
    unit = _only({row.effect.unit for row in rows})
    label = f"change from the suspect{f', {unit}' if unit else ''}"
    smallest = prose.find("smallest_effect").value if prose.has("smallest_effect") else None
    return [figures.dot_plot(rows, smallest, label, narrow=narrow) for narrow in (False, True)]


def _heat_maps(cells: Sequence[Cell]) -> list[tuple[str, Markup]]:
    """One per model, on one colour scale: the reference first, then the suspect and the repaired model."""
    found = list(dict.fromkeys(cell.model for cell in cells))
    ordered = [*(model for model in MODELS if model in found), *(model for model in found if model not in MODELS)]
    largest = max((abs(cell.level.value) for cell in cells), default=0.0)
    return [
        (model, figures.heat_map(model, [cell for cell in cells if cell.model == model], largest, i))
        for i, model in enumerate(ordered)
    ]


def _claim_parts(claim: Claim) -> str:
    return " ".join(part for part in numbers.parts(claim.value, claim.low, claim.high, claim.unit) if part)


def _short_hash(sha256: str) -> str:
    return sha256[:12]


def _words(identifier: str) -> str:
    """``random_removal`` as a reader would write it."""
    return identifier.replace("_", " ")
