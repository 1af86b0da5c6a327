"""``check``: recompute every number of a report from the stored evidence."""

from pathlib import Path
from typing import Annotated

import typer

from etiology.cli import say
from etiology.config import load_study
from etiology.core.errors import EvidenceError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    folder: Annotated[Path, typer.Argument(help="The study's folder, or a bundle.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    key: Annotated[Path | None, typer.Option(help="Bundle: the public key (PEM) that must have signed it.")] = None,
    identity: Annotated[Path | None, typer.Option(help="Bundle: an age key file that opens the sealed tier.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Bundle: weights that its signature must be of.")] = None,
) -> None:
    """Recompute every number of the report from the stored evidence; fails when one character has changed."""
    from etiology import bundles, findings

    folder = folder.resolve()
    signed = None
    if bundles.is_bundle(folder):
        checked = bundles.check(folder, bundles.Trust(key, identity, weights))
        found, signed = checked.found, checked.signed_by or "nobody"
    elif key or identity or weights:
        raise EvidenceError(f"{folder}: no bundle; --key, --identity and --weights are for one: etiology bundle")
    else:
        found = findings.check(load_study(folder))
    if as_json:
        result = {"study": found.study, "verdict": found.verdict.outcome, "claims": len(found.claims), "ok": True}
        say.json(result if signed is None else {**result, "signed_by": signed})
    else:
        say.line(f"{len(found.claims)} claims recomputed from the stored evidence; all as published.")
        say.line(f"Verdict: {found.verdict.outcome}")
        if signed:
            say.line(f"Signed by: {signed}" + ("" if key or signed == "nobody" else " (its own word: give --key)"))
