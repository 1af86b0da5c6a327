"""``trigger``: which contexts elicit coercion from a model."""

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from etiology.cli import say
from etiology.core.plain import finite


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
    say.progress()
    if as_json:
        rows = [asdict(c) | {"trigger": c.suspect.trigger.words, "confirmed": c.confirmed} for c in found.candidates]
        say.json(finite(asdict(found) | {"candidates": rows}), indent=2)
    else:
        say.lines(words(found))


def _asked(questions: int) -> None:
    say.progress(f"{questions} questions asked")
