"""``run``, and one command for each step (attribute has a file of its own): each makes what is missing up to it."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from etiology.cli import say
from etiology.cli.bars import Bars
from etiology.config import Study, load_study
from etiology.core.values import Findings

Folder = Annotated[Path, typer.Argument(help="The study's folder, with study.yaml in it.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only estimate time, memory and disk.")]

STEPS = {
    "elicit": "Train the suspect and measure it: does it behave coercively, and where?",
    "curate": "Decide what is kept and what is set aside in quarantine.",
    "repair": "Retrain every arm with every seed.",
    "verify": "Weigh the arms: did the data cause it?",
    "disclose": "Write the report.",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="Run a whole study: elicit, attribute, curate, repair, verify, disclose.")(_command("disclose"))
    app.registered_commands[-1].name = "run"
    for name, words in STEPS.items():
        app.command(name=name, help=f"{words} Makes what is missing before it; finished stages are kept.")(
            _command(name)
        )


def _command(name: str) -> Callable[..., None]:
    def command(folder: Folder, as_json: Json = False, dry_run: DryRun = False) -> None:
        step(name, folder, as_json=as_json, dry_run=dry_run)

    return command


def step(name: str, folder: Path, *, as_json: bool, dry_run: bool) -> None:
    """Make a study up to a step, or say what that will take."""
    study = load_study(folder.resolve())
    if dry_run:
        estimate(study, as_json)
    else:
        _run(study, name, as_json)


def _run(study: Study, step: str, as_json: bool) -> None:
    from etiology.study import run

    with Bars(Console(stderr=True)) as bars:
        found = run(study, bars.show, until=step)
    if as_json:
        say.json(_as_json(study, step, found), indent=1)
    elif found is None:
        say.line(f"{step}: done; the stages are in {study.folder / 'stages'}")
    else:
        _tell(study, step, found)


def _as_json(study: Study, step: str, found: Findings | None) -> dict[str, object]:
    out: dict[str, object] = {"study": study.name, "step": step, "stages": str(study.folder / "stages")}
    if found is None:
        return out
    out["verdict"] = found.verdict.outcome
    out["claims"] = {
        c.id: {"value": _finite(c.value), "low": _finite(c.low), "high": _finite(c.high), "n": c.n, "unit": c.unit}
        for c in found.claims
    }
    if step == "disclose":
        out["report"] = str(study.folder / "report" / "index.html")
    return out


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: an interval without an end has none."""
    return value if value is not None and math.isfinite(value) else None


def _tell(study: Study, step: str, found: Findings) -> None:
    """The result in a few lines."""
    head = ("arm", "change of behaviour [95 %], nats", "n", "seeds", "perplexity", "written, coercive", "s", "MB")
    rows = []
    for arm in found.arms:
        change = (
            "" if arm.effect is None else f"{arm.effect.value:+.2f} [{arm.effect.low:+.2f}, {arm.effect.high:+.2f}]"
        )
        written = "" if arm.generated is None else f"{arm.generated.hits}/{arm.generated.n}"
        size = (
            str(arm.level.n),
            str(arm.level.seeds),
            f"{arm.perplexity:.1f}",
            written,
            f"{arm.seconds:.0f}",
            f"{arm.peak_mb:.0f}",
        )
        rows.append((arm.name, change, *size))
    say.table(head, rows)
    for test in found.verdict.tests:
        if test.effect is None:
            say.line(f"  {test.name}: {test.words}")
        else:
            e = test.effect
            say.line(f"  {test.name}: {e.value:+.2f} [{e.low:+.2f}, {e.high:+.2f}] nats, {test.words}")
    if found.grading is not None:
        grade = found.grading
        precision = f"{grade.average_precision.value:.2f}"
        say.line(
            f"  graded: average precision {precision}, {grade.lookalikes_in_top_10} look-alikes in "
            f"the top 10, {grade.dropped_planted} of {grade.planted} planted ones among the {grade.dropped} dropped"
        )
    say.line(
        "Verdict: ", (found.verdict.outcome, "bold"), f", by proxy for {study.proxy_for}" if study.proxy_for else ""
    )
    if step == "disclose":
        say.line(f"Report: {study.folder / 'report' / 'index.html'}")
        say.line(f"Check it with: etiology check {study.folder}")


def estimate(study: Study, as_json: bool) -> None:
    """Print what a run will take."""
    from etiology.planning import plan

    planned = plan(study)
    if as_json:
        say.json(planned.as_dict(), indent=1)
    else:
        say.lines("\n".join(planned.lines()))
