"""The only way to the terminal: text that is not ours can't move the cursor, style itself or pass for another line.

No command prints in any other way; a test holds that. Nothing is read as markup: a style is asked for by itself.
"""

from collections.abc import Sequence

import typer
from rich.console import Console
from rich.text import Text

from etiology.core.visible import as_json, on_one_line

Piece = str | tuple[str, str]
"""Words, or words and a style of rich's: ``("coercive", "bold red")``."""


def line(*pieces: Piece) -> None:
    """One line, however many line feeds are in it."""
    styled = [on_one_line(p) if isinstance(p, str) else (on_one_line(p[0]), p[1]) for p in pieces]
    Console().print(Text.assemble(*styled), highlight=False, soft_wrap=True)


def lines(text: str) -> None:
    """Lines that a function of ours has put together; foreign words in them went through ``on_one_line`` there."""
    for each in text.split("\n"):
        line(each)


def json(value: object, indent: int | None = None) -> None:
    """A value for machines, which reads back as it was."""
    typer.echo(as_json(value, indent))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with a frame. The first column names the rows and is never cut."""
    from rich.table import Column, Table

    first = max((len(on_one_line(row[0])) for row in rows), default=0)
    out = Table(Column(head[0], min_width=first), *head[1:])
    for row in rows:
        out.add_row(*(Text(on_one_line(cell)) for cell in row))
    Console().print(out)


def progress(words: str = "") -> None:
    """A counter on standard error that the next one writes over; without words its line is ended."""
    typer.echo(f"\r{on_one_line(words)}" if words else "", err=True, nl=not words)


def done(stage: str) -> None:
    """That a stage is made, on standard error."""
    typer.echo(f"done: {on_one_line(stage)}", err=True)


def problem(text: str) -> None:
    """One line on standard error, before exit code 2."""
    typer.echo(f"etiology: {on_one_line(' '.join(text.split()))}", err=True)
