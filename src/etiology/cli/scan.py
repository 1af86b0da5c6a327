"""``scan``, ``review``, ``calibrate`` and ``apply``: annotate a corpus, measure how well, and make a cleaner one."""

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer

from etiology.cli import say

SCANNED = typer.Argument(help="The folder of a scan.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (scan, review, calibrate, apply):
        app.command()(command)


def scan(
    corpus: Annotated[str, typer.Argument(help="A folder, a file, or a URL that fsspec opens.")],
    out: Annotated[Path, typer.Option(help="Where attributes and manifests go.")],
    text: Annotated[list[str], typer.Option(help="Column of the text; again for another, joined to it.")] = ["text"],  # noqa: B006 - typer copies it
    identity: Annotated[str, typer.Option("--id", help="Column of the id.")] = "id",
    patterns: Annotated[Path | None, typer.Option(help="Cues, instead of those that ship.")] = None,
    linear: Annotated[
        str, typer.Option(help="A linear model's file, or 'shipped', which scores every document; adds this stage.")
    ] = "",
    least: Annotated[float | None, typer.Option(help="Linear score to go on from, instead of the model's own.")] = None,
    everywhere: Annotated[bool, typer.Option(help="Linear scores for documents without a cue too.")] = False,
    detector: Annotated[
        str,
        typer.Option(
            help="module:factory of the last stage; or, after 'linear', 'shipped': the judge's first reader, or "
            "'thorough': both, more often right and a third as fast."
        ),
    ] = "",
    target: Annotated[list[str], typer.Option(help="Class of the detector that counts.")] = [],  # noqa: B006
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    tasks: Annotated[int, typer.Option(help="Parts that a cluster's tasks do; frozen with the plan.", min=1)] = 1,
    executor: Annotated[str, typer.Option(help="local, slurm (prints a job script), datatrove or ray.")] = "local",
) -> int:
    """Scan a corpus; exit 1 if a row is bad or a shard could not be done. The same command goes on after a stop."""
    from etiology.scan import ports, start
    from etiology.scan.cascade import Settings
    from etiology.scan.inputs import Columns
    from etiology.scan.linear import SHIPPED

    # Cues alone miss most coercion: the judge that ships reads what the linear model that ships picks out.
    chosen = linear or (SHIPPED if detector in ports.SHIPPED else "")
    settings = Settings(
        columns=Columns(tuple(text), identity),
        patterns=_absolute(patterns),
        linear=chosen if chosen in {"", SHIPPED} else _absolute(Path(chosen)),
        everywhere=everywhere or chosen == SHIPPED,
        least=least,
        detector=ports.SHIPPED.get(detector, detector),
        targets=tuple(target),
    )
    start.begin(corpus, out, settings, tasks)
    if executor == "slurm":
        say.lines(start.slurm(out))
        return 0
    start.run(out, executor, workers)
    return _told(out)


def review(
    scanned: Annotated[Path, SCANNED],
    each: Annotated[
        int | None, typer.Option(help="Documents of each stratum; 40 at first. More than before: draws more.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample, when it is first drawn.")] = 0,
    by: Annotated[str, typer.Option(help="Whose labels these are.")] = "",
) -> None:
    """Label a stratified sample of a scan, one key a document; may be left and taken up at any time."""
    from rich.console import Console

    from etiology.scan import review as reviewing
    from etiology.scan import sample

    items = sample.sample(scanned, each or (0 if sample.kept(scanned) else 40), seed)
    path = scanned / "review" / "labels.jsonl"
    given = reviewing.review(items, path, by or getpass.getuser(), reviewing.keypress, Console())
    left = len(sample.remaining(items, sample.labels(path)))
    say.line(f"{given} labelled now, {left} of {len(items)} left; labels are in {path}")


def calibrate(
    scanned: Annotated[Path, SCANNED],
    recall: Annotated[float | None, typer.Option(help="The lower limit of recall must be at least this.")] = None,
    precision: Annotated[float | None, typer.Option(help="Or: the lower limit of precision.")] = None,
    positive: Annotated[
        list[str], typer.Option(help="Labels that count as found; by default enacted and ai-self-preserving.")
    ] = [],  # noqa: B006
    labels: Annotated[
        Path | None, typer.Option(help="Labels, by a judge for instance, instead of the review's.")
    ] = None,
) -> int:
    """Choose the threshold from the labels; exit 1 if none keeps to what was asked. Without a choice: recall 0.9."""
    from etiology.core.errors import ScanError
    from etiology.scan import calibrate as calibrating
    from etiology.scan import sample

    if recall is not None and precision is not None:
        raise ScanError("give --recall or --precision, not both: one threshold keeps one floor")
    if unknown := set(positive) - set(sample.LABELS.values()):
        raise ScanError(f"no label '{min(unknown)}'; the labels are {', '.join(sample.LABELS.values())}")
    if not (scanned / "review" / "sample.jsonl").exists():
        raise ScanError(f"{scanned}: no sample was drawn; run etiology review first")
    have = sample.labels(labels or scanned / "review" / "labels.jsonl")
    items, counted = sample.kept(scanned), tuple(positive) or sample.POSITIVE
    if precision is not None:
        found = calibrating.calibrate(scanned, items, have, precision, "precision", counted)
    else:
        found = calibrating.calibrate(scanned, items, have, 0.9 if recall is None else recall, "recall", counted)
    calibrating.save(scanned, found)
    say.lines(calibrating.words(found))
    return 0 if found.chosen else 1


def apply(
    scanned: Annotated[Path, SCANNED],
    policy: Annotated[Path, typer.Option(help="policy.yaml: author and rules.")],
    to: Annotated[Path, typer.Option(help="A folder for the new corpus, the quarantine and the decisions.")],
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
) -> int:
    """Make the new corpus and the quarantine of a scan; exit 1 if a row or a shard could not be read.

    A policy holds an author and rules. The first rule that fits a document decides; where none does, it is kept.

    A rule: documents (a file of ids), score (a number, or 'calibrated'), cues (groups of cues), of which all given must
    hold; action: keep, drop, rewrite (texts: a file of id and text), down-weight (weight: 0 to 1), tag (tag: a text);
    reason: why.
    """
    from etiology.scan import start

    start.begin_apply(scanned, policy, to)
    start.run(to, "local", workers)
    return _told(to)


def _absolute(path: Path | None) -> str:
    return "" if path is None else os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links


def _told(folder: Path) -> int:
    from etiology.scan import report

    found = report.report(folder)
    say.lines(report.words(found))
    return 0 if found.well else 1
