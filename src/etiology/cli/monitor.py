"""``watch scan`` and ``calibrate``: the monitor of proposed actions, after the fact."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from etiology.cli import say
from etiology.cli.bars import Bars

if TYPE_CHECKING:
    from etiology.evals.monitor import Sighting

Transcripts = Annotated[
    list[Path], typer.Argument(help="Transcripts: .jsonl, .json or Inspect .eval; or folders of them.")
]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command()(scan)
    group.command()(calibrate)


def scan(
    logs: Transcripts,
    threshold: Annotated[float, typer.Option(help="From which suspicion on there is an alarm, 0 to 1.")] = 0.5,
    calibration: Annotated[
        Path | None, typer.Option(help="A file of 'watch calibrate'; its threshold counts instead.")
    ] = None,
    alarms: Annotated[
        Path | None, typer.Option(help="Write the alarms here, as rows for 'attribute --queries'.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object an alarm.")] = False,
) -> int:
    """What the monitor would have stopped in transcripts, whatever came of it; exit 1 if there is an alarm."""
    from etiology.evals import monitor
    from etiology.evals.transcripts import read_transcripts
    from etiology.watch import alarms as rows

    limits = monitor.limits_of(calibration, threshold, "reject", None)
    talks, given = read_transcripts(logs), monitor.ports()
    with Bars(Console(stderr=True)) as bars:
        seen = monitor.scan(talks, given, bars.show)
    found = monitor.alarms(seen, limits, given)
    if alarms:
        rows.write((rows.query(s.name, s.talk.messages[: s.turn], s.call, s.seen) for s in found), alarms)
    for sighting in found:
        if as_json:
            say.json(_row(sighting))
        else:
            _tell(sighting)
    if not as_json:
        judged = sum(s.seen.judged for s in seen)
        say.line(f"{len(found)} alarms in {len(seen)} actions of {len(talks)} conversations; {judged} were judged")
    return 1 if found else 0


def calibrate(
    benign: Transcripts,
    to: Annotated[Path, typer.Option(help="The calibration to write, a .json file.")],
    rate: Annotated[float, typer.Option(help="The share of benign ones that may raise an alarm.")] = 0.01,
    unit: Annotated[
        Literal["judged call", "conversation"], typer.Option(help="What the rate is a share of.")
    ] = "judged call",
) -> None:
    """Set the monitor's threshold from benign traffic. 1 % takes 299 benign ones or more, 5 % takes 59."""
    from etiology.evals import monitor
    from etiology.evals.transcripts import read_transcripts
    from etiology.watch import calibration

    talks = read_transcripts(benign)
    with Bars(Console(stderr=True)) as bars:
        seen = monitor.scan(talks, monitor.ports(), bars.show)
    found = calibration.calibrate(monitor.benign_scores(seen, talks, unit), rate, unit, monitor.judge_name())
    calibration.write(found, to)
    say.line(
        f"threshold {found.threshold:.4f}: {found.alarms} of {found.n} benign {unit}s reach it, so that the rate of "
        f"false alarms is at most {100 * found.limit:.2g} % (95 %)"
    )


def _row(s: "Sighting") -> dict[str, object]:
    about = {"id": s.name, "function": s.call.function, "done": s.call.done}
    return {**about, "scores": dict(s.seen.scores), "span": s.seen.span, "reason": s.seen.reason}


def _tell(s: "Sighting") -> None:
    say.line(f"{s.name}  {s.call.function} ({s.call.done})  {s.seen.suspicion:.2f}  {s.seen.reason}")
    say.line(f"    “{' '.join(s.seen.span.split())}”")
