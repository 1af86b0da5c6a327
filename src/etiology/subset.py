"""``etiology subset``: which of a study's attributed documents are enough? Read ``find`` from top to bottom.

The search looks at *find* scenarios only. What it ends with is measured once more on *confirm* scenarios, with seeds
that the search never used, beside random removal of as many documents.
"""

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from etiology import stages
from etiology.backends import jobs
from etiology.backends.removals import remove_and_score
from etiology.config import Study
from etiology.core.errors import StudyFileError
from etiology.core.plain import finite
from etiology.core.values import Effect, Scenario
from etiology.disclose.removals import Removal, removals
from etiology.repair import arms
from etiology.repair.subset import Search, Tried, smallest
from etiology.store import Stage, Store, canonical
from etiology.verify import effects
from etiology.workers import Job, Workers

Show = Callable[[str, float], None]
FRESH = 1000
"""The first seed of the confirmation; the search uses those from 0."""


@dataclass(frozen=True)
class Found:
    """The smallest set, or why there is none.

    ``whole``: fall of the behaviour (nats, positive: it falls) without all attributed documents, beyond as many random
    ones; ``subset`` and ``random``: without the set, and without as many random documents; ``rest``: without the
    attributed documents outside the set. All on confirm scenarios with fresh seeds. ``subset`` and the others are None
    where nothing was searched.
    """

    documents: tuple[str, ...]
    attributed: tuple[str, ...]
    words: str
    whole: Effect
    subset: Effect | None
    random: Effect | None
    rest: Effect | None
    tried: tuple[Tried, ...]
    trainings: int


@dataclass(frozen=True)
class _Bench:
    """What a training needs, and the stages that it reads."""

    bench: stages.Bench
    cached: stages.Cached
    scenarios: Stage
    confirm: tuple[Scenario, ...]
    find: tuple[Scenario, ...]
    sizes: dict[str, int]

    def runs(self, removed: Sequence[str], seeds: Sequence[int]) -> list[Stage]:
        """The trainings without these documents, a stage a seed: found, or made side by side."""
        order = [_removal(self, tuple(removed), seed) for seed in seeds]
        made = self.bench.workers.make(order)
        return [made[job.name] for job in order]


def find(study: Study, search: Search, seeds: int, show: Show) -> Found:
    """Search and confirm. What the study lacks up to its decisions is made first; finished trainings are kept."""
    if seeds < 2:
        raise StudyFileError("--seeds is below 2: one training says nothing about the next")
    with Store(study.folder) as store, Workers(store, study.workers, show) as workers:
        bench, ranked = _prepared(stages.Bench(study, store, workers))
        fresh = range(FRESH, FRESH + seeds)
        names = list(bench.sizes)
        without = {
            "suspect": bench.runs((), fresh),
            "whole": bench.runs(ranked, fresh),
            "random": [bench.runs(_random(names, ranked, len(ranked), seed), (seed,))[0] for seed in fresh],
        }
        whole = _fell(bench, without["random"], without["whole"])
        if whole.low <= 0:
            words = "removal of all attributed documents is not shown to do more than random removal: nothing to divide"
            return Found((), ranked, words, whole, None, None, None, (), 3 * seeds)
        found = smallest(ranked, lambda documents, seed: _searched(bench, documents, seed), search)
        few = found.documents
        others = tuple(name for name in ranked if name not in few)
        drawn = [bench.runs(_random(names, ranked, len(few), seed), (seed,))[0] for seed in fresh]
        parts = {
            "subset": _fell(bench, without["suspect"], bench.runs(few, fresh)),
            "random": _fell(bench, without["suspect"], drawn),
            "rest": _fell(bench, without["suspect"], bench.runs(others, fresh)) if others else None,
        }
        count = len({name for name in store.used if name.startswith("without-")})
    wanted = f"for {search.share:.0%} of the fall on find scenarios"
    words = f"{len(few)} of {len(ranked)} attributed documents are enough {wanted}"
    if len(few) == len(ranked):
        words = f"all {len(ranked)} attributed documents are needed {wanted}"
    return Found(few, ranked, words, whole, parts["subset"], parts["random"], parts["rest"], found.tried, count)


def _prepared(bench: stages.Bench) -> tuple[_Bench, tuple[str, ...]]:
    """The study up to its decisions, and its attributed documents, best first."""
    corpus = stages.read_corpus(bench)
    scenarios = stages.read_scenarios(bench)
    cached = stages.cache(bench, corpus, scenarios)
    suspects = stages.train_suspects(bench, scenarios, cached)
    attributed = stages.attribute(bench, corpus, scenarios, cached, suspects)
    decided = stages.curate(bench, corpus, attributed)
    dropped = {d.document for d in stages.read_decisions(decided) if d.action == "drop"}
    if not dropped:
        raise StudyFileError(f"{bench.study.folder}: no document is attributed, so there is no set to search")
    ranked = sorted(stages.read_attributions(attributed), key=lambda a: a.rank)
    every = jobs.read_scenarios(scenarios.file("scenarios.jsonl"))
    confirm, find_ = (tuple(s for s in every if s.split == split) for split in ("confirm", "find"))
    sizes: dict[str, int] = cached.corpus.read("sizes.json")
    names = tuple(a.document for a in ranked if a.document in dropped)
    return _Bench(bench, cached, scenarios, confirm, find_, sizes), names


def _removal(bench: _Bench, removed: tuple[str, ...], seed: int) -> Job:
    """The training without these documents: their slots are empty, everything else is as in the study."""
    recipe, cached = bench.bench.study.training, bench.cached
    training = jobs.Training(
        slots=tuple(arms.without(list(bench.sizes), removed)),
        sizes=tuple(bench.sizes.values()),
        sources=(str(cached.corpus.file("documents.safetensors")),),
        epochs=recipe.epochs,
        learning_rate=recipe.rate,
        batch_size=recipe.batch_size,
        seed=seed,
        vocabulary=_vocabulary(bench),
    )
    packs = {split: str(cached.scenarios.file(f"{split}.safetensors")) for split in ("find", "confirm")}
    arguments = {
        "spec": bench.bench.spec,
        "training": training,
        "scenarios": str(bench.scenarios.file("scenarios.jsonl")),
        "packs": packs,
    }
    settings = {
        "removed": sorted(removed),
        "recipe": [recipe.epochs, recipe.rate, recipe.batch_size, seed, recipe.vocabulary],
    }
    inputs = {"model": cached.model, "corpus": cached.corpus, "scenarios": cached.scenarios, "extra": cached.extra}
    name = f"without-{len(removed)}-{hashlib.sha256(canonical(sorted(removed)).encode()).hexdigest()[:8]}-{seed}"
    return Job(name, remove_and_score, arguments, settings, inputs)


def _vocabulary(bench: _Bench) -> tuple[int, ...] | None:
    if bench.bench.study.training.vocabulary == "full":
        return None
    used: set[int] = set()
    for stage in (bench.cached.corpus, bench.cached.extra, bench.cached.scenarios):
        used.update(stage.read("vocabulary.json"))
    return tuple(sorted(used))


def _random(names: Sequence[str], attributed: Sequence[str], count: int, seed: int) -> list[str]:
    """``count`` documents that are not attributed; none twice, fewer where there are not so many."""
    gone = set(attributed)
    pool = [name for name in names if name not in gone]
    return random.Random(f"etiology/subset/{count}/{seed}").sample(pool, min(count, len(pool)))


def _searched(bench: _Bench, documents: tuple[str, ...], seed: int) -> float:
    """Mean fall on find scenarios: the only thing that the search sees."""
    (suspect,), (without,) = bench.runs((), (seed,)), bench.runs(documents, (seed,))
    score = bench.bench.study.verify.score
    before, after = (effects.levels([_scores(stage, "find")], bench.find, score) for stage in (suspect, without))
    return float((before - after).mean())


def _fell(bench: _Bench, before: Sequence[Stage], after: Sequence[Stage]) -> Effect:
    """On confirm scenarios."""
    one, other = ([_scores(stage, "confirm") for stage in side] for side in (before, after))
    return effects.change(one, other, bench.confirm, bench.bench.study.verify.score)


def _scores(stage: Stage, split: str) -> effects.Run:
    return {row["scenario"]: jobs.choice_score(row) for row in jobs.read_rows(stage.file(f"{split}.jsonl"))}


def save(found: Found, folder: Path) -> Path:
    """``subset/subset.json`` in the study's folder and, where there was a search, ``subset.svg``."""
    out = folder / "subset"
    out.mkdir(exist_ok=True)
    (out / "subset.json").write_text(json.dumps(plain(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if found.subset is not None and found.random is not None:
        tried = [Removal(len(t.documents), t.fall) for t in found.tried]
        confirmed = {"the set": (len(found.documents), found.subset)}
        if found.rest is not None:
            confirmed["the other attributed ones"] = (len(found.attributed) - len(found.documents), found.rest)
        figure = removals(tried, confirmed, (len(found.documents), found.random))
        (out / "subset.svg").write_text(f"{figure}\n", encoding="utf-8")
    return out


def plain(found: Found) -> dict[str, Any]:
    """As JSON may hold it."""
    out: dict[str, Any] = finite(asdict(found))
    return out
