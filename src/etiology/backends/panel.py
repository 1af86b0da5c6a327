"""What is measured of a repaired model: everything is a context with four ways to go on, or prose.

One stage an arm and seed: train it in two parts, measure, train it on benign prose, measure again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import util
from pathlib import Path
from typing import Any

from etiology.backends import rows as laid
from etiology.backends.jobs import HELD_OUT, ModelSpec, Tick, opened, share_of, write_rows
from etiology.core.errors import ModelError

INSTALL = "run: pip install 'etiology[repair]'"


@dataclass(frozen=True)
class Probe:
    """A context (``chat``: a user's message) and four continuations."""

    id: str
    context: str
    continuations: tuple[str, str, str, str]
    chat: bool = False


@dataclass(frozen=True)
class Lesson:
    """One training: rows (or pairs) in order, how many a step, the peak rate."""

    name: str
    rows: str
    batch_size: int
    learning_rate: float
    pairs: bool = False


@dataclass(frozen=True)
class Course:
    """What an arm goes through: ``lessons`` are then measured; ``afterwards`` is learnt and measured again.

    ``start``: weights of a first lesson that several arms share, or None. ``vocabulary``: a file of the token ids that
    occur. ``kept``: where what was done so far is kept until the stage is whole, so that a kill loses little.
    """

    start: str | None
    lessons: tuple[Lesson, ...]
    afterwards: Lesson | None
    lora: bool
    seed: int
    vocabulary: str
    kept: str
    keep_weights: bool


def needed() -> None:
    """Raise unless TRL, PEFT and datasets are installed. Errors: ModelError."""
    missing = [name for name in ("trl", "peft", "datasets") if util.find_spec(name) is None]
    if missing:
        raise ModelError(f"the arms are trained by TRL and PEFT, and {' and '.join(missing)} is missing; {INSTALL}")


def pack_probes(out: Path, tick: Tick, spec: ModelSpec, probes: Sequence[Probe]) -> None:
    """``probes.safetensors``: packed, with hidden states; ``names.json`` in the same order."""
    from etiology.backends.cache import save_packs, trunk_states
    from etiology.backends.tokens import encode_prompt, packed, plain, start

    model = opened(spec)
    packs = []
    for probe in probes:
        before = (
            encode_prompt(model.tokenizer, probe.context)
            if probe.chat
            else start(model.tokenizer) + plain(model.tokenizer, probe.context)
        )
        packs.append(packed(before, [plain(model.tokenizer, text) for text in probe.continuations]))
    ids = [pack.ids for pack in packs]
    hidden, middle = trunk_states(model, ids, packs, tick=share_of(tick, sum(map(len, ids))))
    save_packs(out / "probes.safetensors", packs, hidden, middle)
    (out / "names.json").write_text(json.dumps([probe.id for probe in probes]))


def first_lesson(out: Path, tick: Tick, spec: ModelSpec, course: Course) -> None:
    """``weights.safetensors`` after the one lesson of a course: what several arms begin with."""
    from safetensors.torch import save_file

    model = opened(spec)
    tail, losses = _taught(spec, course, course.lessons, tick)
    save_file(model.state(tail), out / "weights.safetensors")
    (out / "losses.json").write_text(json.dumps(losses))


def run_course(
    out: Path, tick: Tick, *, spec: ModelSpec, course: Course, probes: str, again: tuple[str, ...], held_out: str
) -> None:
    """``scores.jsonl``, ``held_out.json``, ``losses.json``; ``afterwards.jsonl`` after the benign training, of the
    probes whose ids begin with one of ``again``.
    """
    from safetensors.torch import save_file

    model = opened(spec)
    tail, losses = _taught(spec, course, course.lessons, lambda share: tick(0.6 * share))
    _measure(out / "scores.jsonl", spec, tail, Path(probes), ("",))
    (out / "held_out.json").write_text(json.dumps(_held_out(spec, tail, Path(held_out))))
    if course.keep_weights:
        save_file(model.state(tail), out / "weights.safetensors")
    tick(0.7)
    if course.afterwards is not None:
        tail, later = _taught(spec, course, (*course.lessons, course.afterwards), lambda s: tick(0.7 + 0.2 * s))
        losses |= later
        _measure(out / "afterwards.jsonl", spec, tail, Path(probes), again)
    (out / "losses.json").write_text(json.dumps(losses))


def _taught(spec: ModelSpec, course: Course, lessons: Sequence[Lesson], tick: Tick) -> tuple[Any, dict[str, float]]:
    """The tail after the lessons, and each one's last loss. Lessons that were finished before are not done again."""
    from safetensors.torch import load_file, save_file

    from etiology.backends.trainers import Schedule, fine_tune

    model, kept = opened(spec), Path(course.kept)
    kept.mkdir(parents=True, exist_ok=True)
    tail = model.fresh_tail() if course.start is None else model.tail_from(load_file(course.start))
    vocabulary = tuple(json.loads(Path(course.vocabulary).read_text()))
    losses: dict[str, float] = {}
    for number, lesson in enumerate(lessons):
        done, loss = kept / f"{lesson.name}.safetensors", kept / f"{lesson.name}.json"
        if loss.exists():
            tail = model.tail_from(load_file(done))
        else:
            schedule = Schedule(lesson.batch_size, lesson.learning_rate, course.seed, course.lora, vocabulary)

            def share(part: float, number: int = number) -> None:
                tick((number + part) / len(lessons))

            read = laid.read_pairs if lesson.pairs else laid.read
            last = fine_tune(model, tail, read(Path(lesson.rows)), schedule, kept / lesson.name, share)
            save_file(model.state(tail), done)
            loss.write_text(json.dumps(last))
        losses[lesson.name] = json.loads(loss.read_text())
    return tail, losses


def _measure(path: Path, spec: ModelSpec, tail: Any, probes: Path, begin: tuple[str, ...]) -> None:  # noqa: ANN401
    """Scores of the probes whose ids begin so."""
    from etiology.backends.cache import load_packs
    from etiology.backends.measure import choice_scores

    names = json.loads(probes.with_name("names.json").read_text())
    packs, hidden, _ = load_packs(probes)
    asked = [i for i, name in enumerate(names) if name.startswith(begin)]
    parts = ([every[i] for i in asked] for every in (names, packs, hidden))
    write_rows(path, map(asdict, choice_scores(opened(spec), tail, *parts)))


def _held_out(spec: ModelSpec, tail: Any, path: Path) -> list[tuple[float, int]]:  # noqa: ANN401
    from etiology.backends.cache import load_documents
    from etiology.backends.measure import held_out_loss

    return held_out_loss(opened(spec), tail, [d for d in load_documents(path) if d.id.startswith(HELD_OUT)])


def counts(path: Path) -> Mapping[str, Mapping[str, int]]:
    """Learnt tokens and steps by arm, as ``lay_out`` wrote them."""
    found: Mapping[str, Mapping[str, int]] = json.loads(path.read_text())
    return found
