"""``detector``: the judge of texts, trained and tried."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from etiology.cli import say
from etiology.cli.bars import Bars

commands = typer.Typer(help="Train the judge of texts anew, or ask it about texts.", no_args_is_help=True)


PUBLIC = typer.Option(help="A folder of public .jsonl files with ordinary text (docs/detector.md).")


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(commands, name="detector")


@commands.command()
def train(
    to: Annotated[Path, typer.Option(help="The new file for the weights (.safetensors).")],
    public: Annotated[Path | None, PUBLIC] = None,
) -> None:
    """Fit the judge on this project's labelled texts: half an hour on a core."""
    from etiology import detector
    from etiology.backends import encoder

    _new(to)
    with Bars(Console(stderr=True)) as bars:
        ordinary = detector.public(public) if public else {}
        judge = detector.trained(detector.sources(), ordinary, lambda part: bars.show("train", part))
        encoder.save(judge, to)
    say.line(f"{to}: {to.stat().st_size / 1e6:.1f} MB; held-out slope {judge.slope:.2f}, offset {judge.offset:+.2f}")


@commands.command()
def probe(
    to: Annotated[Path, typer.Option(help="The new file for the weights (.safetensors).")],
    public: Annotated[Path | None, PUBLIC] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of `detector train` for the first reader. Left out: those that ship.")
    ] = None,
) -> None:
    """Fit the second reader on the same texts, and how far each counts: a quarter of an hour on a core."""
    from etiology import detector
    from etiology.backends import encoder, probe

    _new(to)
    first = encoder.load(weights) if weights else encoder.shipped()
    with Bars(Console(stderr=True)) as bars:
        ordinary = detector.public(public) if public else {}
        judge = detector.paired(detector.sources(), ordinary, first, lambda part: bars.show("read", part))
    probe.save(judge, to)
    offset, one, two = judge.parts
    say.line(f"{to}: {to.stat().st_size / 1e3:.0f} kB; log-odds {offset:+.2f} {one:+.2f} × first {two:+.2f} × second")


@commands.command()
def prefilter(
    to: Annotated[Path, typer.Option(help="The new file for the weights (.npz).")],
    public: Annotated[Path, PUBLIC],
) -> None:
    """Fit the scan's linear stage on the same texts: seconds."""
    from etiology import detector

    _new(to)
    ordinary = detector.public(public, each=detector.MANY)
    model = detector.prefilter(detector.sources(), ordinary, detector.prose(fitted=True))
    model.save(to)
    say.line(f"{to}: {to.stat().st_size / 1e6:.1f} MB; {detector.RECALL:.0%} of held-out texts score {model.least:.3f}")


@commands.command()
def judge(
    file: Annotated[Path, typer.Argument(help="Texts: .jsonl rows with 'text', or a text file with one a line.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights of `detector train` for the first reader, which is then alone without --second."),
    ] = None,
    second: Annotated[
        Path | None, typer.Option(help="Weights of `detector probe`, fitted with these. Left out: those that ship.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The first reader alone: several times as fast.")] = False,
) -> None:
    """Print one JSON object a text: how likely it coerces, and what kind of text it is."""
    from etiology import detector
    from etiology.backends import encoder, probe

    first = encoder.load(weights) if weights else encoder.shipped()
    # How far each reader counts was fitted to the two together.
    alone = quick or (weights is not None and second is None)
    chosen = first if alone else probe.load(second or probe.SHIPPED, first)
    found = detector.read_texts(file)
    for text, likely, kinds in zip(found, chosen(found), chosen.kinds(found), strict=True):
        best = max(kinds, key=lambda kind: kinds[kind])
        row = {"coercive": likely >= 0.5, "score": round(likely, 4), "kind": best, "text": text[:200]}
        say.json(row)


def _new(to: Path) -> None:
    """Raise where a file is there already: training takes long, and overwriting would lose what it gave."""
    from etiology.core.errors import EtiologyError

    if to.exists():
        raise EtiologyError(f"{to}: is there already; give a new file")
