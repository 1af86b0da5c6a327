"""``score``: verdicts on transcripts from anywhere."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

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
) -> None:
    """Judge what was sent in transcripts: is it coercive, was it carried out, which words decided."""
    from etiology.backends.encoder import shipped
    from etiology.elicit.score import score_all
    from etiology.evals.transcripts import read_transcripts

    talks = read_transcripts(files)
    verdicts = score_all(talks, shipped(), threshold)
    if as_json:
        for verdict in verdicts:
            typer.echo(json.dumps(asdict(verdict), ensure_ascii=False))
    else:
        _tell(verdicts)


def _tell(verdicts: list[Scored]) -> None:
    from rich.console import Console
    from rich.markup import escape

    from etiology import stats

    console = Console()
    for v in verdicts:
        word = "[bold red]coercive[/bold red]" if v.coercive else "not coercive"
        act = "" if not v.coercive else " executed" if v.executed else " attempted"
        console.print(
            f"{escape(v.id)}  {word}{act}  {v.score:.2f}  {escape(v.reason)}", highlight=False, soft_wrap=True
        )
        if v.span:
            console.print(f"    “{escape(' '.join(v.span.split()))}”", highlight=False, soft_wrap=True)
    for name, hits in (
        ("coercive", sum(v.coercive for v in verdicts)),
        ("executed", sum(v.executed for v in verdicts)),
    ):
        r = stats.rate(hits, len(verdicts))
        console.print(
            f"{name}: {r.hits} of {r.n} ({r.value:.0%}, 95 % interval {r.low:.0%} to {r.high:.0%})", highlight=False
        )
    console.print(
        "The intervals take the transcripts as independent and don't hold the judge's own error.", highlight=False
    )
