"""``init``, ``schema`` and ``prepare``: what comes before the first run."""

from pathlib import Path
from typing import Annotated

import typer

from etiology import __version__
from etiology.cli import say
from etiology.config import EMBEDDED_MODEL, STARTER, STUDY_FILE, json_schema
from etiology.core.errors import StudyFileError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(schema)
    app.command()(prepare)
    app.command()(version)


def init(folder: Annotated[Path, typer.Argument(help="Where to put it; made if need be.")]) -> None:
    """Write a commented study.yaml to start from."""
    target = folder / STUDY_FILE
    if target.exists():
        raise StudyFileError(f"{target}: exists already; edit it, or give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(STARTER, encoding="utf-8")
    say.line(f"Wrote {target}. Name your model and corpus in it, then: etiology run {folder}")


def schema() -> None:
    """Print the JSON Schema of study.yaml, for editors."""
    say.json(json_schema(), indent=1)


def prepare() -> None:
    """Check the embedded model's weights and convert them once."""
    from etiology.backends.models import folder_of

    say.line(f"{EMBEDDED_MODEL} is ready in {folder_of(EMBEDDED_MODEL)}")


def version() -> None:
    """Print the version."""
    say.line(__version__)
