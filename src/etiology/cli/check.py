"""``check``: recompute every number of a report from the stored evidence."""

import json
from pathlib import Path
from typing import Annotated

import typer

from etiology.config import load_study


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    folder: Annotated[Path, typer.Argument(help="The study's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Recompute every number of the report from the stored evidence; fails when one character has changed."""
    from etiology import findings

    found = findings.check(load_study(folder.resolve()))
    if as_json:
        typer.echo(
            json.dumps(
                {"study": found.study, "verdict": found.verdict.outcome, "claims": len(found.claims), "ok": True}
            )
        )
    else:
        typer.echo(f"{len(found.claims)} claims recomputed from the stored evidence; all as published.")
        typer.echo(f"Verdict: {found.verdict.outcome}")
