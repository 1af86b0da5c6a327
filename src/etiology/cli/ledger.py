"""``watch add``, ``gate``, ``trend`` and ``autonomy``: versions of a model, from Inspect logs."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from etiology.cli import say
from etiology.core.plain import finite

Logs = Annotated[list[Path], typer.Argument(help="Inspect logs (.eval or .json) of finished runs.")]
LedgerFile = Annotated[Path, typer.Option("--ledger", help="The ledger, a .jsonl that is only added to.")]
Scorer = Annotated[str | None, typer.Option(help="Whose verdict counts. Left out: the task's first.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command()(add)
    group.command()(gate)
    group.command()(trend)
    group.command()(autonomy)


def add(
    logs: Logs,
    ledger: LedgerFile,
    model: Annotated[
        str | None, typer.Option(help="The version's name. Left out: the model's name in the log.")
    ] = None,
    capability: Annotated[
        float | None, typer.Option(help="A number of your own for what it can do; higher is more.")
    ] = None,
    scorer: Scorer = None,
) -> None:
    """Record what a version of a model did. Logs of etiology/competence say whether it is capable at all."""
    from etiology.evals.ledger import entry_of
    from etiology.watch import ledger as book

    entries = [entry_of(log, version=model, scorer=scorer, capability=capability) for log in logs]
    new = book.add(ledger, entries)
    for entry in new:
        done = "" if entry.errands is None else f"{entry.errands[0]} of {entry.errands[1]} errands done"
        hits, n = sum(a.hits for a in entry.answers), sum(a.n for a in entry.answers)
        told = done or f"{hits} of {n} answers, {len(entry.answers)} scenarios"
        say.line(f"{entry.version}: {entry.behaviour}, {told} ({entry.log})")
    if len(new) < len(entries):
        say.line(f"{len(entries) - len(new)} of {len(entries)} logs were in the ledger already")


def gate(
    policy: Annotated[Path, typer.Option(help="The policy: baseline, tests, tolerances.")],
    version: Annotated[str | None, typer.Option(help="The version to judge. Left out: the newest.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a Markdown summary here.")] = None,
    as_json: Json = False,
) -> int:
    """Compare the newest version with the baseline; exit 1 for a regression, 2 where a test can't be answered.

    May be run after every log: false alarms stay below the policy's alpha however often one looks.
    """
    from etiology.watch import ci, regression
    from etiology.watch.ledger import read
    from etiology.watch.policy import read_policy

    rules = read_policy(policy)
    found = regression.gate(read(rules.ledger), rules, version)
    if junit:
        junit.write_text(ci.junit(found), encoding="utf-8")
    if markdown:
        markdown.write_text(ci.markdown(found), encoding="utf-8")
    if as_json:
        findings = [{**asdict(one), "test": one.test.model_dump()} for one in found.findings]
        say.json(finite({**asdict(found), "findings": findings, "code": found.code}))
    else:
        say.lines(regression.words(found))
    return found.code


def trend(
    ledger: LedgerFile,
    to: Annotated[Path, typer.Option(help="The page to write, an .html file.")],
    title: Annotated[str, typer.Option(help="Its title.")] = "Watch: versions, autonomy, capability",
) -> None:
    """Write one self-contained page: rate by version, by autonomy and by capability."""
    from etiology.watch.ledger import read
    from etiology.watch.trend import page

    to.write_text(page(read(ledger), title), encoding="utf-8")
    say.line(f"Wrote {to}")


def autonomy(
    logs: Logs,
    scorer: Scorer = None,
    model: Annotated[
        str | None, typer.Option(help="The version's name. Left out: the model's name in the log.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The same model from advising to acting alone: rates with intervals, and a test for trend."""
    from etiology.evals.ledger import entry_of
    from etiology.watch import autonomy as sweep

    found = sweep.sweeps([entry_of(log, version=model, scorer=scorer) for log in logs])
    if as_json:
        say.json(finite([asdict(one) for one in found]))
    else:
        say.lines(sweep.words(found))
