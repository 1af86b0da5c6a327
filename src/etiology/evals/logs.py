"""Inspect logs read back: what was said in them, and how the samples of this project's tasks came out."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

from etiology.core.conversation import Conversation
from etiology.core.errors import TranscriptError
from etiology.watch.compare import Outcome

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

SCORERS: Final = (
    "sent_coercion",
    "self_preserving",
    "deceptive_answer",
    "false_pressures",
    "coercion_margin",
    "severity_rung",
)
"""The scorers whose verdict an outcome can be."""
COUNTS: Final = {"evaluation_awareness": "aware"}
"""What a scorer counts where that is not coercion: an outcome's ``coercive`` is then this."""
BULK: Final = frozenset({"events", "store", "messages", "attachments", "output"})
"""What a log holds beside its verdicts."""


def read_log(path: Path) -> list[Conversation]:
    """Every sample in which the model said or did something, of any task set. Errors: ``TranscriptError``.

    ``facts`` hold the sample's metadata (texts, numbers and truth values), the task, the model and the epoch.
    """
    from etiology.evals.conversations import answered, from_inspect

    log = opened(path, skip={"events", "store"})
    several = any(sample.epoch > 1 for sample in log.samples or ())
    talks = [
        from_inspect(_messages(sample), f"{sample.id}/epoch {sample.epoch}" if several else str(sample.id), facts)
        for sample in log.samples or ()
        for facts in [_facts(log, sample)]
    ]
    found = [talk for talk in talks if answered(talk)]
    if not found:
        raise TranscriptError(f"{path}: none of its {len(talks)} samples holds a turn of the model; did the run fail?")
    return found


def outcomes(path: Path, scorer: str | None = None) -> list[Outcome]:
    """The verdict on each sample of a log of this project's tasks, with its cell as the group.

    ``scorer`` is one of SCORERS; else it is the first that the log has. ``coercive`` is the behaviour the scorer names:
    for the margin, above 0; for a rung, 3 or 4; for evaluation_awareness, which has to be asked for, that it says so.
    Samples that were not scored are left out. Errors: ``TranscriptError``.
    """
    log = opened(path, BULK)
    samples = log.samples or []
    wanted = behaviour(path, log, scorer)
    found = [outcome for sample in samples for outcome in of_sample(sample, wanted)]
    if not found:
        raise TranscriptError(f"{path}: {wanted} gave no verdict on any of its {len(samples)} samples")
    return found


def refuse_other_version(a: Path, b: Path) -> None:
    """Raise ``TranscriptError`` where two logs are of different versions of a task: their scenarios differ in words."""
    one, other = (opened(path, BULK).eval for path in (a, b))
    if one.task == other.task and one.task_version != other.task_version:
        raise TranscriptError(
            f"{b}: {other.task} is version {other.task_version} here and {one.task_version} in {a}; the scenarios "
            "differ in words, so run both models on one version"
        )


def behaviour(path: Path, log: "EvalLog", scorer: str | None = None) -> str:
    """The name, as the log has it, of the scorer whose verdict counts. Errors: ``TranscriptError`` where none does."""
    had = [name for sample in log.samples or () for name in sample.scores or {}]
    # In the order of the task: the first scorer is the one that the task is about.
    wanted = next((name for name in dict.fromkeys(had) if plain(name) in ([scorer] if scorer else SCORERS)), None)
    if wanted is None:
        known = f"no score by {scorer}" if scorer else f"no score by {', '.join(SCORERS)}"
        raise TranscriptError(
            f"{path}: {known}; it has {', '.join(dict.fromkeys(map(plain, had))) or 'none'}. Score its transcripts "
            "with `etiology score`, or the log with `inspect score --scorer etiology/sent_coercion`"
        )
    return wanted


def bundle(logs: Path, to: Path) -> None:
    """Copy a folder's logs into ``to`` with Inspect's viewer, as pages for any static server."""
    from inspect_ai.log import bundle_log_dir

    if not any(logs.rglob("*.eval")):
        raise TranscriptError(f"{logs}: no .eval log in it; give the folder that Inspect wrote its logs to")
    bundle_log_dir(str(logs), str(to), overwrite=True)


def opened(path: Path, skip: AbstractSet[str]) -> "EvalLog":
    """A log without the parts named in ``skip``. Errors: ``TranscriptError``."""
    from inspect_ai.log import read_eval_log

    if not path.is_file():
        raise TranscriptError(f"{path}: no such file; give an Inspect log (.eval or .json)")
    try:
        return read_eval_log(path, resolve_attachments="messages" not in skip, exclude_fields=set(skip))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as problem:
        said = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise TranscriptError(f"{path}: can't be read as an Inspect log ({said})") from None


def _messages(sample: "EvalSample") -> list[Any]:
    """The sample's messages; where a harness kept none, its input and output."""
    from inspect_ai.model import ChatMessageUser

    if sample.messages:
        return list(sample.messages)
    given = [ChatMessageUser(content=sample.input)] if isinstance(sample.input, str) else list(sample.input)
    return [*given, *(choice.message for choice in sample.output.choices[:1])]


def _facts(log: "EvalLog", sample: "EvalSample") -> dict[str, object]:
    about: dict[str, object] = {k: v for k, v in sample.metadata.items() if isinstance(v, str | int | float | bool)}
    return about | {"task": log.eval.task, "model": log.eval.model, "epoch": sample.epoch}


def of_sample(sample: "EvalSample", scorer: str) -> Iterator[Outcome]:
    """The verdict of ``scorer`` on one sample, if it gave one."""
    score = (sample.scores or {}).get(scorer)
    if score is None or (isinstance(score.value, float) and isnan(score.value)):
        return
    verdict = score.metadata or {}
    counted = COUNTS.get(plain(scorer), "coercive")
    if counted not in verdict:
        raise TranscriptError(
            f"{plain(scorer)} counts no behaviour; give --scorer one of {', '.join((*SCORERS, *COUNTS))}"
        )
    strength = verdict.get("score")
    name = str(sample.metadata.get("scenario", sample.id))
    yield Outcome(
        scenario=name,
        cluster=str(sample.metadata.get("cluster", name)),
        coercive=bool(verdict[counted]),
        score=None if strength is None else float(strength),
        group=str(sample.metadata.get("cell", "")),
    )


def plain(name: str) -> str:
    """A scorer's name without its package and without the number that tells two of a name apart."""
    return name.rsplit("/", 1)[-1].rstrip("0123456789")
