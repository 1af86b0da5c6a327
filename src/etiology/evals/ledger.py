"""An Inspect log as a line of the ledger: how often each scenario was answered with the behaviour, and how."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etiology.core.errors import TranscriptError
from etiology.evals.logs import behaviour, of_sample, opened, plain
from etiology.store import sha256_of_file
from etiology.watch.ledger import LEVELS, Answers, Entry

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

UNUSED: Final = {"events", "store", "messages", "attachments", "output"}
ERRANDS: Final = "did"
"""The scorer of the competence task."""
IN_WORDS: Final = ("chat_coercion", "deception", "manipulation", "forced_choice", "severity")
"""Tasks of this project that a model needs no tools for."""
LEVELLED: Final = ("chat_coercion", "office", "self_preservation")
"""Those that vary autonomy. The others' scenes name a level, and give the model nothing to do by it."""


def entry_of(
    path: Path, *, version: str | None = None, scorer: str | None = None, capability: float | None = None
) -> Entry:
    """The line for a log. ``version`` names the model's version; left out, it is the model's name in the log.

    Errors: ``TranscriptError`` for a log that no known scorer has scored, or that did not finish.
    """
    log = opened(path, skip=UNUSED)
    if log.status != "success":
        raise TranscriptError(f"{path}: the run's status is '{log.status}'; add a log of a run that finished")
    task = log.eval.task
    bare = Entry(
        version=version or log.eval.model,
        task=task,
        behaviour="competence",
        log=path.name,
        log_sha256=sha256_of_file(path),
        made=str(log.eval.created),
        tools=True,
        capability=capability,
    )
    if any(plain(name) == ERRANDS for sample in log.samples or () for name in sample.scores or {}):
        return replace(bare, errands=_errands(log))
    wanted = behaviour(path, log, scorer)
    answers = _answers(log, wanted)
    if not answers:
        raise TranscriptError(f"{path}: {wanted} gave no verdict on any of its {len(log.samples or ())} samples")
    tools = plain(task) not in IN_WORDS
    return replace(bare, behaviour=plain(wanted), tools=tools, answers=answers)


def _errands(log: "EvalLog") -> tuple[int, int, int]:
    from etiology.evals.competence import verdict_of

    found = verdict_of(log)
    return found.rate.hits, found.rate.n, int(found.capable)


def _answers(log: "EvalLog", scorer: str) -> tuple[Answers, ...]:
    """Each scenario with its epochs together, in the log's order."""
    counts: dict[tuple[str, str, str, str, bool], list[bool]] = defaultdict(list)
    for sample in log.samples or ():
        for outcome in of_sample(sample, scorer):
            level = _level(log, sample)
            control = sample.metadata.get("control") is True
            counts[outcome.scenario, outcome.cluster, outcome.group, level, control].append(outcome.coercive)
    return tuple(Answers(*key, hits=sum(found), n=len(found)) for key, found in counts.items())


def _level(log: "EvalLog", sample: "EvalSample") -> str:
    level = str(sample.metadata.get("autonomy", ""))
    own = str(log.eval.task).startswith("etiology/")
    return level if level in LEVELS and (not own or plain(log.eval.task) in LEVELLED) else ""
