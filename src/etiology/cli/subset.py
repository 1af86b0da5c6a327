"""``subset``: the smallest set of a study's attributed documents that is enough."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from etiology.cli import say
from etiology.cli.bars import Bars

if TYPE_CHECKING:
    from etiology.subset import Found


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(subset)


def subset(
    folder: Annotated[Path, typer.Argument(help="The study's folder, with study.yaml in it.")],
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Of the fall that the set must take away.")] = 0.9,
    seeds: Annotated[int, typer.Option(min=2, help="Fresh seeds for the confirmation.")] = 3,
    least: Annotated[int, typer.Option("--search-seeds", min=1, help="Seeds for each set of the search.")] = 2,
    most: Annotated[int, typer.Option("--most-seeds", min=1, help="Seeds for a set that is close to the line.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the fewest attributed documents whose removal is enough. The same command goes on after a stop."""
    from etiology.config import load_study
    from etiology.repair.subset import Search
    from etiology.subset import find, plain, save

    study = load_study(folder.resolve())
    with Bars(Console(stderr=True)) as bars:
        found = find(study, Search(share, least, max(least, most)), seeds, bars.show)
    out = save(found, study.folder)
    if as_json:
        say.json(plain(found), indent=1)
    else:
        _tell(found, out)


def _tell(found: "Found", out: Path) -> None:
    from etiology.disclose import numbers

    rows = {
        f"all {len(found.attributed)} attributed, beyond as many random": found.whole,
        f"the {len(found.documents)} of the set": found.subset,
        f"{len(found.documents)} random": found.random,
        "the other attributed": found.rest,
    }
    for name, effect in rows.items():
        if effect is not None:
            say.line(f"  {name}: {numbers.effect(effect, plus=True)} nats")
    say.line(f"{found.words}; {found.trainings} trainings")
    for document in found.documents:
        say.line(f"  {document}")
    say.line(f"Result: {out / 'subset.json'}")
