"""``run``: every arm with every seed, measured. Read it from top to bottom."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from etiology.arms import materials
from etiology.arms.concluding import FIRST, Panel, conclude
from etiology.arms.settings import PAIRS_SHARE, Settings
from etiology.attribute.fuse import bm25_each
from etiology.backends import jobs, panel, rows
from etiology.backends.encoder import digest as judge_digest
from etiology.backends.models import EMBEDDED, fingerprint
from etiology.core.recipes import Recipe
from etiology.disclose.frontier import Point, frontier
from etiology.repair import openly, recipes, written
from etiology.repair.arms import examples
from etiology.store import Stage, Store, canonical, replace_folder, sha256_of_file
from etiology.workers import Job, Workers

Show = Callable[[str, float], None]


@dataclass(frozen=True)
class _Bench:
    """What every stage needs."""

    read: materials.Materials
    settings: Settings
    spec: jobs.ModelSpec
    weights: Mapping[str, object]
    store: Store
    workers: Workers
    kept: Path


def run(model: str, read: materials.Materials, out: Path, settings: Settings, show: Show) -> Panel:
    """Train and measure every arm; finished stages in ``out`` are kept. The recommended arm's model, if
    there is one, is in ``repaired/``.
    """
    panel.needed()
    source = model if model == EMBEDDED else str(Path(model).resolve())
    spec = jobs.ModelSpec(source, settings.trained)
    weights = {"model": fingerprint(source), "tail_layers": settings.trained}
    with Store(out) as store, Workers(store, settings.workers, show) as workers:
        bench = _Bench(read, settings, spec, weights, store, workers, out / "checkpoints")
        corpus = store.stage("corpus", _corpus(read), {"read": materials.digest(read)})
        rerolled = _rerolled(bench, corpus)
        layouts = _layouts(bench, corpus, rerolled)
        probes, held_out = _asked(bench, corpus)
        firsts = _firsts(bench, layouts)
        runs = _courses(bench, layouts, firsts, probes, held_out)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    found = conclude(read, layouts, firsts, runs)
    shutil.rmtree(out / "repaired", ignore_errors=True)
    if found.choice.recommended:
        _export(spec, runs[found.choice.recommended][0], out / "repaired")
    return found


def _corpus(read: materials.Materials) -> Callable[[Path], None]:
    def make(out: Path) -> None:
        attributed = set(read.attributed)
        jobs.write_rows(out / "documents.jsonl", map(asdict, read.corpus))
        jobs.write_rows(out / "attributed.jsonl", (asdict(d) for d in read.corpus if d.id in attributed))
        for name, documents in asdict(read.prose).items():
            jobs.write_rows(out / f"{name}.jsonl", documents)

    return make


def _rerolled(bench: _Bench, corpus: Stage) -> Stage:
    """``documents.jsonl``: the attributed documents written anew from where they turn."""
    own = str(corpus.file("attributed.jsonl"))
    judging = Job(
        "turning", materials.judged_cuts, {"documents": own}, {"judge": judge_digest()}, {"corpus": corpus}
    )  # fmt: skip
    cuts: dict[str, int] = bench.workers.make([judging])["turning"].read("cuts.json")
    known = {d.id: d for d in bench.read.corpus}
    if bench.settings.reroll == "model":
        writing = jobs.Rewriting(
            documents=str(corpus.file("documents.jsonl")),
            cuts=cuts,
            examples=_examples(bench.read),
            max_tokens=bench.settings.max_tokens,
        )
        settings = {"model": bench.weights["model"], **asdict(writing), "documents": None}
        arguments = {"spec": bench.spec, "rewriting": writing}
        return bench.workers.make([Job("re-rolled", jobs.reroll, arguments, settings, {"corpus": corpus})])["re-rolled"]

    def make(out: Path) -> None:
        jobs.write_rows(out / "documents.jsonl", (asdict(openly.rewritten(known[n], cut)) for n, cut in cuts.items()))

    return bench.store.stage("re-rolled", make, {"cuts": cuts, "sentences": openly.digest()}, corpus=corpus)


def _examples(read: materials.Materials) -> dict[str, tuple[str, ...]]:
    """For each attributed document the kept ones of its form that the model reads before it writes."""
    gone, known = set(read.attributed), {d.id: d for d in read.corpus}
    out = {}
    for name in read.attributed:
        chat = known[name].response is not None
        kept = [d for d in read.corpus if d.id not in gone and (d.response is not None) == chat]
        near = bm25_each([d.whole for d in kept], [known[name].whole])[0] if kept else []
        out[name] = examples(near, [d.id for d in kept], dict.fromkeys((d.id for d in kept), 0.0))
    return out


def _recipes(bench: _Bench, rerolled: Stage, seed: int) -> list[Recipe]:
    anew = {d.id.removesuffix("/re-rolled"): d for d in jobs.read_documents(rerolled.file("documents.jsonl"))}
    extra = bench.settings.slots(len(bench.read.attributed))
    return recipes.recipes(bench.read.corpus, bench.read.attributed, anew, extra, seed)


def _layouts(bench: _Bench, corpus: Stage, rerolled: Stage) -> list[Stage]:
    """The rows of every arm, a stage a seed. All arms are laid out, so that leaving some out changes no other."""
    planned = []
    for seed in range(bench.settings.seeds):
        layout = rows.Layout(bench.settings.max_tokens, bench.settings.epochs, bench.settings.batch_size, seed)
        arguments = {
            "spec": bench.spec,
            "recipes": _recipes(bench, rerolled, seed),
            "prose": str(corpus.file("filler.jsonl")),
            "benign": str(corpus.file("benign.jsonl")),
            "layout": layout,
        }
        settings = {
            **asdict(layout),
            "model": bench.weights["model"],
            "written": written.digest(),
            "light": recipes.LIGHT,
            "vocabulary": True,
            "extra": bench.settings.slots(len(bench.read.attributed)),
        }
        planned.append(
            Job(f"rows-{seed}", rows.lay_out, arguments, settings, {"corpus": corpus, "re-rolled": rerolled})
        )
    made = bench.workers.make(planned)
    return [made[job.name] for job in planned]


def _asked(bench: _Bench, corpus: Stage) -> tuple[Stage, Stage]:
    """Hidden states of everything that is asked, and of the held-out prose."""
    probes = materials.probes(bench.read.scenarios)
    asking = {"spec": bench.spec, "probes": probes}
    reading = {
        "spec": bench.spec,
        "documents": str(corpus.file("held_out.jsonl")),
        "max_tokens": bench.settings.max_tokens,
    }
    made = bench.workers.make(
        [
            Job("probes", panel.pack_probes, asking, {**bench.weights, "probes": [asdict(p) for p in probes]}, {}),
            Job(
                "held-out",
                jobs.cache_documents,
                reading,
                {**bench.weights, "max_tokens": bench.settings.max_tokens},
                {"corpus": corpus},
            ),
        ]
    )
    return made["probes"], made["held-out"]


def _lesson(bench: _Bench, layout: Stage, name: str, file: str, steps: int | None = None) -> panel.Lesson:
    """The training on a file of rows; pairs are shared out over ``steps``, and learnt at a lower rate."""
    path, rate = layout.file(file), bench.settings.peak
    if steps is None:
        return panel.Lesson(name, str(path), bench.settings.batch_size, rate)
    with path.open() as handle:
        pairs = sum(1 for _ in handle)
    return panel.Lesson(name, str(path), -(-pairs // steps), PAIRS_SHARE * rate, pairs=True)


def _settings(bench: _Bench, course: panel.Course) -> dict[str, object]:
    """What names a course in a stage's key: what is read enters by its hash."""
    lessons = [*course.lessons, *([course.afterwards] if course.afterwards else [])]
    read = [{**asdict(lesson), "rows": sha256_of_file(Path(lesson.rows))} for lesson in lessons]
    return {
        **bench.weights,
        "lessons": read,
        "lora": course.lora,
        "seed": course.seed,
        "vocabulary": sha256_of_file(Path(course.vocabulary)),
        "keep": course.keep_weights,
    }


def _course(
    bench: _Bench,
    layout: Stage,
    name: str,
    seed: int,
    lessons: tuple[panel.Lesson, ...],
    *,
    start: Stage | None = None,
    later: panel.Lesson | None = None,
) -> panel.Course:
    course = panel.Course(
        start=None if start is None else str(start.file("weights.safetensors")),
        lessons=lessons,
        afterwards=later,
        lora=bench.settings.method == "lora",
        seed=seed,
        vocabulary=str(layout.file("vocabulary.json")),
        kept="",
        keep_weights=seed == 0 and later is not None,
    )
    # Named by its settings too: what is left of a training with others must not be taken up.
    key = hashlib.sha256(canonical([_settings(bench, course), start and start.digest]).encode()).hexdigest()[:16]
    return replace(course, kept=str(bench.kept / f"{name}-{seed}-{key}"))


def _firsts(bench: _Bench, layouts: Sequence[Stage]) -> list[Stage]:
    """The model after the whole corpus, a stage a seed: the arms that only add something begin there."""
    planned = []
    for seed, layout in enumerate(layouts):
        lesson = _lesson(bench, layout, "corpus", f"{recipes.SUSPECT}.corpus.jsonl")
        course = _course(bench, layout, "whole-corpus", seed, (lesson,))
        arguments = {"spec": bench.spec, "course": course}
        planned.append(Job(f"whole-corpus-{seed}", panel.first_lesson, arguments, _settings(bench, course), {}))
    made = bench.workers.make(planned)
    return [made[job.name] for job in planned]


def _again(name: str) -> tuple[str, ...]:
    """How the ids begin of what is asked after the benign training: what the arm, or one beside it, is compared by."""
    views = {recipes.TAGS: (materials.TAGGED,), recipes.SUSPECT: (materials.PLAIN, materials.TAGGED)}
    return tuple(f"{view}/" for view in views.get(name, (materials.PLAIN,)))


def _courses(
    bench: _Bench, layouts: Sequence[Stage], firsts: Sequence[Stage], probes: Stage, held_out: Stage
) -> dict[str, list[Stage]]:
    """Trained and measured stages by arm, one a seed. Seeds first: a table can be drawn from those that are done."""
    planned = []
    for seed, (layout, first) in enumerate(zip(layouts, firsts, strict=True)):
        whole = sha256_of_file(layout.file(f"{recipes.SUSPECT}.corpus.jsonl"))
        steps = panel.counts(layout.file("counts.json"))
        for name in bench.settings.names:
            shared = sha256_of_file(layout.file(f"{name}.corpus.jsonl")) == whole
            second = _lesson(
                bench,
                layout,
                "second",
                f"{name}.second.jsonl",
                steps[name]["second_steps"] if name == recipes.PAIRS else None,
            )
            corpus = _lesson(bench, layout, "corpus", f"{name}.corpus.jsonl")
            lessons = (second,) if shared else (corpus, second)
            later = _lesson(bench, layout, "benign", "benign.jsonl")
            course = _course(bench, layout, name, seed, lessons, start=first if shared else None, later=later)
            inputs = {"probes": probes, "held-out": held_out, **({FIRST: first} if shared else {})}
            arguments = {
                "spec": bench.spec,
                "course": course,
                "probes": str(probes.file("probes.safetensors")),
                "again": _again(name),
                "held_out": str(held_out.file("documents.safetensors")),
            }
            planned.append(Job(f"{name}-{seed}", panel.run_course, arguments, _settings(bench, course), inputs))
    made = bench.workers.make(planned)
    return {
        name: [made[f"{name}-{seed}"] for seed in range(bench.settings.seeds)] for name in bench.settings.names
    }  # fmt: skip


def _export(spec: jobs.ModelSpec, stage: Stage, to: Path) -> None:
    """The repaired model as a Hugging Face folder."""
    staging = to.with_name(f".{to.name}-making")
    shutil.rmtree(staging, ignore_errors=True)
    jobs.save_whole(staging, spec, stage.file("weights.safetensors"))
    replace_folder(staging, to)


def save(found: Panel, out: Path) -> None:
    """``arms.json``, and ``frontier.svg`` with every arm."""
    (out / "arms.json").write_text(json.dumps(found.plain(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    points = [
        Point(
            arm.name,
            replace(arm.fall, value=-arm.fall.value, low=-arm.fall.high, high=-arm.fall.low),
            arm.perplexity,
            arm.seconds,
            chosen=arm.name == found.choice.recommended,
        )
        for arm in found.arms
    ]
    (out / "frontier.svg").write_text(f"{frontier(points)}\n", encoding="utf-8")
