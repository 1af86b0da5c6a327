"""The report: one self-contained HTML page for people, a one-page version, and the numbers as JSON and CSV.

Rendering is pure: the same findings give the same bytes. It fails rather than print a number that is no claim.
"""

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etiology.core.unclaimed import refuse_unclaimed
from etiology.core.values import Cell, Claim, Effect, Findings, Grading, Outcome
from etiology.core.visible import in_page, on_one_line
from etiology.disclose import asked, dose, figures, numbers, passages, policy, tables
from etiology.disclose.prose import Prose, name

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


PARTS: Mapping[str, str] = {
    "claims": "What is claimed",
    "timeline": "What happened, wrong turns included",
    "observed": "What was observed",
    "cause": "The cause",
    "repair": "The repair, and what it cost",
    "missed": "Why it was not caught earlier",
    "limits": "What is still wrong, and what was not tested",
    "actions": "Actions, and the watch",
    "check": "How to check and repeat this",
}
"""The nine parts after the status: the name of each part's file, which is its place on the page, and its title."""

MAIN_CLAIMS = (
    *("association", "removal", "random_removal", "replacement", "sufficiency"),
    *("repaired", "perplexity_repaired", "generated_suspect", "generated_repaired"),
)
"""What the first part lists; the ledger has all."""

REMEDY = "Make each a claim and write {claim:its_id} in its place"


def render(findings: Findings) -> dict[str, bytes]:
    """Every file of the report, by its path in the report's folder."""
    prose = Prose(findings.claims, _names(findings))
    pages = {"index.html": _page(findings, prose), "policy.html": policy.page(findings, prose, _environment())}
    for page in pages.values():
        refuse_unclaimed(page, REMEDY)
    return {**{name: page.encode() for name, page in pages.items()}, **tables.files(findings)}


def _page(findings: Findings, prose: Prose) -> str:
    return (
        _environment()
        .get_template("report.html")
        .render(
            f=findings,
            parts=PARTS,
            main_claims=MAIN_CLAIMS,
            gloss=OUTCOMES[findings.verdict.outcome],
            keys=[_key(findings, prose.find(each)) for each in KEYS if prose.has(each)],
            tests_unit=_only({test.effect.unit for test in findings.verdict.tests if test.effect}),
            change_unit=_only({arm.effect.unit for arm in findings.arms if arm.effect}),
            unbounded=any(math.isinf(each.high) or math.isinf(each.low) for each in _effects(findings)),
            settings=asked.settings(findings),
            rivals=asked.rivals(findings),
            untested=asked.untested(findings),
            claims_of=partial(asked.claims_of, findings),
            dose=asked.dose(findings),
            dose_plots=_dose_plots(findings),
            dot_plots=_dot_plots(findings, prose),
            random_band=asked.random_removal(findings),
            heat_maps=_heat_maps(findings.cells),
            pairs=passages.pairs(findings.named),
            others=passages.by_rank(findings.named)[passages.FULLY_SHOWN :],
            best_method=_best_method(findings.grading),
            exchanges=passages.chosen(findings.transcripts),
            after=passages.after(findings.transcripts),
            **_commands(findings.study),
            **_prose(prose),
        )
    )


def _commands(study: str) -> dict[str, str]:
    """What a reader can run, for a shell."""
    folder = shlex.quote(on_one_line(study))
    return {
        "check": f"etiology check {folder}",
        "again": f"etiology run {folder}",
        "watch": f"etiology watch {folder} --model ../models/next-model",
    }


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
        loader=PackageLoader("etiology.disclose", "page"),
        autoescape=True,
        finalize=in_page,
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
    bands = figures.Bands(smallest, asked.random_removal(findings))
    return [figures.dot_plot(rows, bands, label, narrow=narrow) for narrow in (False, True)]


def _dose_plots(findings: Findings) -> list[Markup]:
    found = dose.doses(findings.arms)
    return [dose.dose_plot(found, narrow=narrow) for narrow in (False, True)] if found else []


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
