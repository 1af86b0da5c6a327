"""``trigger``: which contexts elicit coercion from a model."""

import json
from dataclasses import asdict
from enum import StrEnum
from math import isfinite
from typing import Annotated

import typer


class Kind(StrEnum):
    """How the model is asked."""

    CHAT = "chat"
    CHOICE = "choice"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trigger)


def trigger(
    *,
    model: Annotated[
        str, typer.Option(help="The model as Inspect names it, such as openai/gpt-4o or etiology/FOLDER.")
    ],
    task: Annotated[Kind, typer.Option(help="Read what it writes, or have it choose among four texts.")] = Kind.CHAT,
    budget: Annotated[int, typer.Option(help="Questions in all, search and confirmation.")] = 400,
    pairs: Annotated[int, typer.Option(help="Held-out scenarios for each candidate, each asked twice.")] = 60,
    judge: Annotated[str | None, typer.Option(help="A model that decides about each message (chat only).")] = None,
    logs: Annotated[str | None, typer.Option(help="Folder for Inspect's logs, one for each batch.")] = None,
    seed: Annotated[
        int, typer.Option(help="Of the questions' choice, and of the answers where a model takes one.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find what elicits coercion from a model, with few questions, and confirm it on held-out scenarios."""
    from etiology.elicit.trigger import Plan, words
    from etiology.evals.triggers import find_trigger

    plan = Plan(budget=budget, pairs=pairs)
    found = find_trigger(model, task.value, plan=plan, seed=seed, judge=judge, logs=logs, show=_asked)
    typer.echo(err=True)
    if as_json:
        rows = [asdict(c) | {"trigger": c.suspect.trigger.words, "confirmed": c.confirmed} for c in found.candidates]
        typer.echo(json.dumps(_finite(asdict(found) | {"candidates": rows}), ensure_ascii=False, indent=2))
    else:
        typer.echo(words(found))


def _asked(questions: int) -> None:
    typer.echo(f"\r{questions} questions asked", err=True, nl=False)


def _finite(value: object) -> object:
    """The same with null for infinity, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
