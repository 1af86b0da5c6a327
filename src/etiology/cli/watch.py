"""``watch`` and ``export``: what comes after the repair."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from etiology.cli import ledger, monitor, say
from etiology.cli.bars import Bars
from etiology.config import load_study

HELP = ("--help",)


class OrStudy(TyperGroup):
    """Sub-commands; what names none of them is a study: ``watch my-study --model M`` is ``watch study my-study …``."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - typer's own
        """With ``study`` in front where no sub-command is."""
        named = ["study", *args] if args and args[0] not in (*self.commands, *HELP) else args
        return super().make_context(info_name, named, parent, **extra)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=OrStudy, no_args_is_help=True, rich_markup_mode=None)
    group.command()(study)
    ledger.register(group)
    monitor.register(group)
    app.add_typer(group, name="watch", help="Does it come back, and does it act? 'watch FOLDER --model M' is 'study'.")
    app.command()(export)


def study(
    folder: Annotated[Path, typer.Argument(help="The study's folder.")],
    model: Annotated[str, typer.Option(help="The new model: a Hugging Face folder or a .gguf file.")],
    baseline: Annotated[
        str, typer.Option(help="What it is compared with: 'repaired', or an arm such as 'reference'.")
    ] = "repaired",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Measure a new model on the study's scenarios; exit 1 if the behaviour has come back."""
    from etiology.later import watch_model

    with Bars(Console(stderr=True)) as bars:
        gate = watch_model(load_study(folder.resolve()), model, baseline, bars.show)
    if as_json:
        rise = gate.rise
        say.json({"passed": gate.passed, "rise": rise.value, "low": rise.low, "high": rise.high, "n": rise.n})
    else:
        say.line(gate.sentence)
    return 0 if gate.passed else 1


def export(
    folder: Annotated[Path, typer.Argument(help="The study's folder.")],
    to: Annotated[Path, typer.Option(help="A new folder for the model.")],
    arm: Annotated[str, typer.Option(help="'repaired', 'suspect', 'drop-attributed' or 're-roll'.")] = "repaired",
) -> None:
    """Save the repaired model (or another trained arm) as a Hugging Face folder."""
    from etiology.later import export_model

    with Bars(Console(stderr=True)) as bars:
        name = export_model(load_study(folder.resolve()), arm, to, bars.show)
    say.line(f"Saved {name} in {to}")
