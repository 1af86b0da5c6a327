"""``bundle``: what a study discloses, safe to publish, signed, in one folder."""

from pathlib import Path
from typing import Annotated

import typer

from etiology.cli import say
from etiology.cli.run import Folder
from etiology.config import load_study


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bundle)


def bundle(
    folder: Folder,
    to: Annotated[Path, typer.Option(help="Where to write it; a bundle that is there is replaced.")],
    sign: Annotated[Path | None, typer.Option(help="An Ed25519 private key (PEM) to sign with.")] = None,
    sign_weights: Annotated[
        Path | None, typer.Option(help="An elliptic-curve private key (PEM) to sign the repaired weights with.")
    ] = None,
    sealed_for: Annotated[
        str | None, typer.Option(help="A verifier's age1… key: adds the raw evidence, sealed.")
    ] = None,
) -> None:
    """Write a study's disclosure: masked, scanned, machine-readable; fails rather than publish what is unsafe."""
    from etiology import bundles

    found = bundles.write(load_study(folder.resolve()), to.resolve(), bundles.Options(sign, sign_weights, sealed_for))
    say.line(f"{to}: {len(found.claims)} claims, {'signed' if sign else 'not signed'}; check it: etiology check {to}")
