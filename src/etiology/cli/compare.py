"""``compare``: two runs on the same scenarios."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etiology.cli import say
from etiology.core.plain import finite

if TYPE_CHECKING:
    from etiology.watch.compare import Outcome


LOGS = frozenset({".eval", ".json"})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    a: Annotated[
        Path,
        typer.Argument(help="The earlier run: an Inspect log of a task of this project, or a .jsonl."),
    ],
    b: Annotated[Path, typer.Argument(help="The later run, on the same scenarios.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    tolerance: Annotated[float, typer.Option(help="How far the share of coercive answers may rise (0.05: 5 %).")] = 0.0,
    scorer: Annotated[
        str | None, typer.Option(help="Of logs, whose verdict is compared. Left out: the task's first.")
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="A folder for the answers as a.jsonl and b.jsonl, which a study takes under 'observed'."),
    ] = None,
) -> int:
    """Compare two runs, paired by scenario; exit 1 if the later one is more coercive, in all or in any group.

    A .jsonl holds a row for each answer: scenario, cluster, coercive, and score and group if there are any.
    """
    from etiology.watch import compare as comparing

    if LOGS.issuperset({a.suffix, b.suffix}):
        from etiology.evals.logs import refuse_other_version

        refuse_other_version(a, b)
    sides = {"a": _outcomes(a, scorer), "b": _outcomes(b, scorer)}
    found = comparing.compare(sides["a"], sides["b"], tolerance)
    if rows:
        rows.mkdir(parents=True, exist_ok=True)
        for name, outcomes in sides.items():
            comparing.write_outcomes(outcomes, rows / f"{name}.jsonl")
    if as_json:
        say.json(finite({**asdict(found), "regressed": found.regressed}), indent=2)
    else:
        say.lines(comparing.words(found))
    return 1 if found.regressed else 0


def _outcomes(path: Path, scorer: str | None) -> "list[Outcome]":
    if path.suffix in LOGS:
        from etiology.evals.logs import outcomes

        return outcomes(path, scorer)
    from etiology.watch.compare import read_outcomes

    return read_outcomes(path)
