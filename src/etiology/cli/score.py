"""``score``: verdicts on transcripts from anywhere."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from etiology.cli import say
from etiology.core.conversation import Scored


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)


def score(
    files: Annotated[
        list[Path], typer.Argument(help="Transcripts: .jsonl, .json or Inspect .eval; or folders of them.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a transcript.")] = False,
    threshold: Annotated[
        float, typer.Option(help="From which score on a transcript counts as coercive, 0 to 1.")
    ] = 0.5,
    quick: Annotated[
        bool, typer.Option("--quick", help="The judge's first reader alone: faster, less often right.")
    ] = False,
) -> None:
    """Judge what was sent in transcripts: is it coercive, was it carried out, which words decided."""
    from etiology.backends import encoder, probe
    from etiology.elicit.score import score_all
    from etiology.evals.transcripts import read_transcripts

    talks = read_transcripts(files)
    verdicts = score_all(talks, encoder.shipped() if quick else probe.shipped(), threshold)
    if as_json:
        for verdict in verdicts:
            say.json(asdict(verdict))
    else:
        _tell(verdicts)


def _tell(verdicts: list[Scored]) -> None:
    from etiology import stats

    for v in verdicts:
        word = ("coercive", "bold red") if v.coercive else "not coercive"
        act = "" if not v.coercive else " executed" if v.executed else " attempted"
        say.line(f"{v.id}  ", word, f"{act}  {v.score:.2f}  {v.reason}")
        if v.span:
            say.line(f"    “{' '.join(v.span.split())}”")
    for name, hits in (
        ("coercive", sum(v.coercive for v in verdicts)),
        ("executed", sum(v.executed for v in verdicts)),
    ):
        r = stats.rate(hits, len(verdicts))
        say.line(f"{name}: {r.hits} of {r.n} ({r.value:.0%}, 95 % interval {r.low:.0%} to {r.high:.0%})")
    say.line("The intervals take the transcripts as independent and don't hold the judge's own error.")
