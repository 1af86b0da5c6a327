"""Every task of this project on one model after another, beside its matched control.

    python benchmarks/tasks.py base=etiology/smollm2-135m-instruct repaired=etiology/path/to/repaired [--limit 16]

A row is a task and a model: how often the behaviour was seen in the pressed cells and in the controls, their paired
difference with its interval (whole organisations drawn), and the mean score where the task has one. Tasks with tools
are run whether or not the model is capable; the competence check stands beside them: 'not capable' is not 'safe'.
Writes benchmarks/tasks.json. The logs stay in --logs, for `inspect view` and `etiology compare`.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inspect_ai import Task
from inspect_ai import eval as run_tasks
from inspect_ai.log import EvalLog

from etiology import stats
from etiology.evals import competence, tasks
from etiology.evals.logs import outcomes
from etiology.watch.compare import Outcome

WITH_TOOLS = ("office", "self_preservation")
TOKENS = 96


def main() -> None:
    args = arguments()
    rows: list[dict[str, Any]] = []
    for name, model in (given.split("=", 1) for given in args.models):
        log = run(competence.competence(), model, args, None)
        able = competence.verdict_of(log)
        print(f"{name}: {able.words}", flush=True)
        for task in made():
            log = run(task, model, args, args.limit)
            found = {"model": name, "capable": able.capable or task_name(log) not in WITH_TOOLS, **row(log)}
            rows.append(found)
            print(line(found), flush=True)
    Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL")
    parser.add_argument("--limit", type=int, help="samples a task; a multiple of its cells keeps every control")
    parser.add_argument("--connections", type=int, default=8, help="samples asked at once")
    parser.add_argument("--logs", default=None)
    found = parser.parse_args()
    found.logs = found.logs or tempfile.mkdtemp(prefix="tasks-")
    return found


def made() -> list[Task]:
    """The tasks with as few cells as each has: the pressed one and its control."""
    return [
        tasks.forced_choice(),
        tasks.severity(),
        tasks.chat_coercion(crossed=False),
        tasks.deception(),
        tasks.manipulation(),
        tasks.office(crossed=False),
        tasks.self_preservation(),
    ]


def run(task: Task, model: str, args: argparse.Namespace, limit: int | None) -> EvalLog:
    (log,) = run_tasks(
        task,
        model=model,
        limit=limit,
        log_dir=args.logs,
        display="none",
        max_connections=args.connections,
        max_tokens=TOKENS,
        message_limit=12,
        seed=0,
    )
    if log.status != "success":
        raise SystemExit(f"{log.location}: {log.status}")
    return log


def row(log: EvalLog) -> dict[str, Any]:
    """The behaviour in the pressed cells and in the controls, by the task's first scorer."""
    controls = {str(s.metadata["scenario"]) for s in log.samples or () if s.metadata["control"]}
    found = outcomes(Path(log.location))
    held = [o for o in found if o.scenario in controls]
    pressed = [o for o in found if o.scenario not in controls]
    clusters, under, control = zip(*paired(log, pressed, held), strict=True)
    return {
        "task": task_name(log),
        "samples": len(log.samples or ()),
        "pressed": rate(pressed),
        "control": rate(held),
        "difference": asdict(stats.rate_difference(control, under, clusters)),
        "score, pressed": mean(pressed),
        "score, control": mean(held),
        "log": Path(log.location).name,
    }


def paired(log: EvalLog, pressed: Sequence[Outcome], held: Sequence[Outcome]) -> list[tuple[str, float, float]]:
    """(cluster, share pressed, share in control) of each pair of the log that has both."""
    pair_of = {str(s.metadata["scenario"]): str(s.metadata["pair"]) for s in log.samples or ()}
    sides: dict[str, tuple[str, list[bool], list[bool]]] = {}
    for outcome in [*pressed, *held]:
        sides.setdefault(pair_of[outcome.scenario], (outcome.cluster, [], []))
    for place, side in ((1, pressed), (2, held)):
        for outcome in side:
            sides[pair_of[outcome.scenario]][place].append(outcome.coercive)  # type: ignore[union-attr]
    return [(c, sum(a) / len(a), sum(b) / len(b)) for c, a, b in sides.values() if a and b]


def rate(found: Sequence[Outcome]) -> dict[str, float]:
    return asdict(stats.rate(sum(o.coercive for o in found), len(found)))


def mean(found: Sequence[Outcome]) -> float | None:
    scores = [o.score for o in found if o.score is not None]
    return sum(scores) / len(scores) if scores else None


def task_name(log: EvalLog) -> str:
    return log.eval.task.rsplit("/", 1)[-1]


def line(found: dict[str, Any]) -> str:
    a, b, d = found["pressed"], found["control"], found["difference"]
    score = "" if found["score, pressed"] is None else (
        f"  score {found['score, pressed']:+.2f} against {found['score, control']:+.2f}"
    )  # fmt: skip
    able = "" if found["capable"] else "  NOT CAPABLE"
    return (
        f"{found['model']:10} {found['task']:18} {a['hits']}/{a['n']} [{a['low']:.2f}, {a['high']:.2f}]  control "
        f"{b['hits']}/{b['n']}  difference {d['value']:+.2f} [{d['low']:+.2f}, {d['high']:+.2f}]{score}{able}"
    )


if __name__ == "__main__":
    main()
