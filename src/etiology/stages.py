"""What each step of the loop reads and writes. The order is in etiology.study; the heavy work in etiology.backends."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from etiology.attribute import fuse
from etiology.attribute.library import digest as library_digest
from etiology.attribute.passages import judge_passages
from etiology.attribute.search import Search, read_library
from etiology.attribute.search import attribute as search_job
from etiology.backends import jobs
from etiology.backends.corpora import read_documents
from etiology.backends.encoder import digest as judge_digest
from etiology.backends.models import fingerprint
from etiology.config import MODEL, Study
from etiology.core.errors import CorpusError
from etiology.core.values import Attribution, Decision, Document, Scenario
from etiology.curate.decide import apply, cleared, decide
from etiology.curate.turning import turning_point
from etiology.elicit import calibration
from etiology.elicit.scenarios import read_scenarios as read_scenario_file
from etiology.embedded import corpus as embedded_corpus
from etiology.embedded import prose as embedded_prose
from etiology.embedded import scenarios as embedded_scenarios
from etiology.repair import arms as recipes
from etiology.repair import openly
from etiology.store import Stage, Store, sha256_of_file
from etiology.verify import registration, verdict
from etiology.verify.effects import CONTRASTS
from etiology.workers import Job, Workers

HELD_OUT_PROSE = 60
ATTRIBUTED_SEEDS = 2
"""Influence is averaged over this many suspects: one training's noise is not the data's."""
CALIBRATION_EPOCHS = 4
REFERENCE = "reference"
CHECKPOINT = "checkpoint"
NOT_TRAINED = (REFERENCE, f"{CHECKPOINT}-", "watch-")
"""How the names of stages begin in which a model is measured as it is."""


@dataclass(frozen=True)
class Bench:
    """What every stage needs: the study, where stages are kept, and who makes the heavy ones."""

    study: Study
    store: Store
    workers: Workers

    @property
    def spec(self) -> jobs.ModelSpec:
        return jobs.ModelSpec(self.study.model_source, self.study.training.tail_layers)

    @cached_property
    def weights(self) -> Mapping[str, Any]:
        """What names the model's weights and its cut in a stage's key. Hashing the weights takes a while: once."""
        return {"model": fingerprint(self.study.model_source), "tail_layers": self.study.training.tail_layers}


@dataclass(frozen=True)
class Cached:
    """Stages with hidden states: of the corpus, the extra documents, the scenarios and the library of messages; the
    model that they are of; and what the judge of sent texts makes of the corpus.
    """

    model: Stage
    corpus: Stage
    extra: Stage
    scenarios: Stage
    library: Stage
    judged: Stage


Runs = Mapping[str, Sequence[Stage]]
"""Trained and measured stages by arm, one a seed."""


# -- elicit ------------------------------------------------------------------------------------------------------------


def read_corpus(bench: Bench) -> Stage:
    """``documents.jsonl`` for the loop, ``held_out.jsonl`` and ``labels.json`` for the grader."""
    study = bench.study
    sources = [study.corpus_path, study.held_out_path]
    settings = {
        "corpus": study.corpus.model_dump(mode="json"),
        "files": [_embedded_words() if path is None else sha256_of_file(path) for path in sources],
    }

    def make(out: Path) -> None:
        documents, kinds, held_out = _corpus(study)
        jobs.write_rows(out / "documents.jsonl", map(asdict, documents))
        jobs.write_rows(out / "held_out.jsonl", map(asdict, _named(jobs.HELD_OUT, held_out)))
        planted = {name: kind for name, kind in kinds.items() if kind is not None}
        (out / "labels.json").write_text(json.dumps(planted, indent=0, ensure_ascii=False))

    return bench.store.stage("corpus", make, settings)


def _embedded_words() -> str:
    """Names the embedded study's words in a stage's key: with new words, new stages."""
    folder = Path(embedded_corpus.__file__).parent
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))).hexdigest()


def _corpus(study: Study) -> tuple[list[Document], Mapping[str, str | None], list[Document]]:
    """(documents, label of each, held-out documents)."""
    if study.corpus_path is not None:
        documents, labels = read_documents(study.corpus_path, study.corpus.label)
    else:
        planted = study.corpus.embedded == "planted"
        made = embedded_corpus.generate(embedded_prose.paragraphs()[HELD_OUT_PROSE:], study.corpus.seed, planted)
        documents = [m.document for m in made]
        labels = {m.document.id: m.kind for m in made}
    if study.held_out_path is not None:
        return documents, labels, read_documents(study.held_out_path, minimum=1)[0]
    return documents, labels, [Document("", text) for text in embedded_prose.paragraphs()[:HELD_OUT_PROSE]]


def _named(prefix: str, documents: Sequence[Document]) -> list[Document]:
    return [Document(f"{prefix}{i}", d.text, d.prompt, d.response) for i, d in enumerate(documents)]


def read_scenarios(bench: Bench) -> Stage:
    """``scenarios.jsonl``."""
    path = bench.study.scenarios_path
    settings = {"scenarios": _embedded_words() if path is None else sha256_of_file(path)}

    def make(out: Path) -> None:
        found = embedded_scenarios.generate() if path is None else read_scenario_file(path)
        jobs.write_rows(out / "scenarios.jsonl", map(asdict, found))

    return bench.store.stage("scenarios", make, settings)


def register(bench: Bench, corpus: Stage, scenarios: Stage) -> Stage:
    """``rule.json``: the decision rule and its settings, and which trainings were there before it."""
    study = bench.study
    settings = {
        "model": bench.weights["model"],
        "verify": study.verify.model_dump(mode="json"),
        "seeds": study.seeds,
        "budget": study.attribute.budget,
        "training": study.training.model_dump(mode="json"),
        "arms": list(recipes.QUESTIONS),
    }

    def make(out: Path) -> None:
        measured = (path.parent.name for path in bench.store.root.glob("*/held_out.json"))
        content = registration.registered(settings, [n for n in measured if not n.startswith(NOT_TRAINED)])
        (out / registration.RULE_FILE).write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False))

    rule = {**settings, "rule": verdict.__doc__}
    return bench.store.stage("registration", make, rule, corpus=corpus, scenarios=scenarios)


def cache(bench: Bench, corpus: Stage, scenarios: Stage) -> Cached:
    """Run the frozen trunk once over everything that will be trained on or measured."""
    arguments: dict[str, Any] = {"spec": bench.spec}
    read = str(corpus.file("documents.jsonl"))
    of_scenarios = {**arguments, "scenarios": str(scenarios.file("scenarios.jsonl"))}
    made = bench.workers.make(
        [
            _trunk(bench, "trunk-corpus", corpus),
            Job("trunk-scenarios", jobs.cache_scenarios, of_scenarios, bench.weights, {"scenarios": scenarios}),
            _trunk(bench, "trunk-extra", _extra(bench, corpus, scenarios)),
            Job("library", read_library, arguments, {**bench.weights, "messages": library_digest()}, {}),
            Job("model", jobs.prepare, arguments, bench.weights, {}),
            Job("judged", judge_passages, {"documents": read}, {"judge": judge_digest()}, {"corpus": corpus}),
        ]
    )
    names = ("model", "trunk-corpus", "trunk-extra", "trunk-scenarios", "library", "judged")
    return Cached(*(made[name] for name in names))


def _trunk(bench: Bench, name: str, source: Stage) -> Job:
    """The job that runs the trunk over the ``documents.jsonl`` of a stage."""
    length = bench.study.training.max_tokens
    arguments = {"spec": bench.spec, "documents": str(source.file("documents.jsonl")), "max_tokens": length}
    settings = {**bench.weights, "max_tokens": length}
    return Job(name, jobs.cache_documents, arguments, settings, {"source": source})


def _extra(bench: Bench, corpus: Stage, scenarios: Stage) -> Stage:
    """``documents.jsonl``: the held-out prose, and the known documents that control the instrument."""

    def make(out: Path) -> None:
        held_out = jobs.read_documents(corpus.file("held_out.jsonl"))
        known = calibration.documents(jobs.read_scenarios(scenarios.file("scenarios.jsonl")))
        jobs.write_rows(out / "documents.jsonl", map(asdict, [*held_out, *known]))

    return bench.store.stage("extra", make, {}, corpus=corpus, scenarios=scenarios)


def _vocabulary(bench: Bench, cached: Cached) -> tuple[int, ...] | None:
    """Tokens that the study uses, for the small output head in training; None for the whole head."""
    if bench.study.training.vocabulary == "full":
        return None
    used: set[int] = set()
    for stage in (cached.corpus, cached.extra, cached.scenarios):
        used.update(stage.read("vocabulary.json"))
    return tuple(sorted(used))


@dataclass(frozen=True)
class Planned:
    """One training: what the slots hold, supervised tokens of each slot, the seed, and where the documents are cached.

    ``slots`` of None: measure the model as it is. ``writes``: generate too; ``keeps``: keep the weights.
    """

    slots: tuple[str | None, ...] | None
    sizes: tuple[int, ...]
    seed: int
    sources: Mapping[str, Stage]
    writes: bool = False
    keeps: bool = False
    epochs: int | None = None


def _run(bench: Bench, name: str, scenarios: Stage, cached: Cached, planned: Planned) -> Job:
    """The job that trains one arm with one seed and measures it."""
    recipe, study = bench.study.training, bench.study
    training = jobs.Training(
        slots=planned.slots,
        sizes=planned.sizes,
        sources=tuple(str(stage.file("documents.safetensors")) for stage in planned.sources.values()),
        epochs=planned.epochs or recipe.epochs,
        learning_rate=recipe.rate,
        batch_size=recipe.batch_size,
        seed=planned.seed,
        vocabulary=_vocabulary(bench, cached) if planned.slots is not None else None,
    )
    measuring = jobs.Measuring(
        scenarios=str(scenarios.file("scenarios.jsonl")),
        packs=str(cached.scenarios.file("confirm.safetensors")),
        held_out=str(cached.extra.file("documents.safetensors")),
        generate_from=_written_from(scenarios, study.generate.scenarios) if planned.writes else (),
        tokens=study.generate.tokens,
        keep_weights=planned.keeps,
    )
    # Paths say nothing about contents: what is read enters the key through the stages, what is done through these.
    settings = {
        "slots": training.slots,
        "recipe": [training.epochs, training.learning_rate, training.batch_size, planned.seed, recipe.vocabulary],
        "generate": [list(measuring.generate_from), measuring.tokens],
        "keep_weights": planned.keeps,
    }
    inputs = {"model": cached.model, "scenarios": cached.scenarios, "extra": cached.extra, **planned.sources}
    arguments = {"spec": bench.spec, "training": training, "measuring": measuring}
    return Job(name, jobs.train_and_measure, arguments, settings, inputs)


def _written_from(scenarios: Stage, wanted: int) -> tuple[str, ...]:
    """Ids of the confirm scenarios with threat and leverage that are written from."""
    found = jobs.read_scenarios(scenarios.file("scenarios.jsonl"))
    full = [s.id for s in found if s.split == "confirm" and s.threatened and s.leverage]
    return tuple(full[:wanted])


def train_suspects(bench: Bench, scenarios: Stage, cached: Cached) -> Runs:
    """The suspect with every seed, the model before training, and the two controls of the instrument."""
    sizes: dict[str, int] = cached.corpus.read("sizes.json")
    order = tuple(sizes)
    own = {"corpus": cached.corpus}
    planned = [
        _run(
            bench,
            f"suspect-{seed}",
            scenarios,
            cached,
            Planned(order, tuple(sizes.values()), seed, own, writes=seed == 0, keeps=seed < ATTRIBUTED_SEEDS),
        )
        for seed in range(bench.study.seeds)
    ]  # fmt: skip
    planned.append(_run(bench, REFERENCE, scenarios, cached, Planned(None, (), 0, {}, writes=True)))
    planned += _calibration(bench, scenarios, cached)
    made = bench.workers.make(planned)
    return by_arm(made)


def measure_checkpoints(bench: Bench, corpus: Stage, scenarios: Stage) -> Runs:
    """Earlier checkpoints of the model, where the study names some: the oldest first."""
    paths = bench.study.checkpoint_paths
    found = [measure_model(bench, corpus, scenarios, str(path), CHECKPOINT) for path in paths]
    return {CHECKPOINT: found} if found else {}


def measure_model(bench: Bench, corpus: Stage, scenarios: Stage, source: str, name: str) -> Stage:
    """Scores of a whole model as it is: its trunk is run over the scenarios, nothing is trained."""
    spec = jobs.ModelSpec(source, 1)
    weights = {"model": fingerprint(source), "tail_layers": 1}
    name = f"{name}-{hashlib.sha256(str(weights).encode()).hexdigest()[:8]}"
    rows = str(scenarios.file("scenarios.jsonl"))
    arguments = {"spec": spec, "scenarios": rows}
    documents = {
        "spec": spec,
        "documents": str(corpus.file("held_out.jsonl")),
        "max_tokens": bench.study.training.max_tokens,
    }
    made = bench.workers.make(
        [
            Job(f"{name}-scenarios", jobs.cache_scenarios, arguments, weights, {"scenarios": scenarios}),
            Job(f"{name}-extra", jobs.cache_documents, documents, weights, {"corpus": corpus}),
        ]
    )
    packs, extra = made[f"{name}-scenarios"], made[f"{name}-extra"]
    training = jobs.Training(None, (), (), 0, 0.0, 1, 0, None)
    measuring = jobs.Measuring(
        scenarios=rows,
        packs=str(packs.file("confirm.safetensors")),
        held_out=str(extra.file("documents.safetensors")),
        generate_from=(),
        tokens=0,
        keep_weights=False,
    )
    job = {"spec": spec, "training": training, "measuring": measuring}
    return bench.workers.make(
        [Job(name, jobs.train_and_measure, job, {**weights, "slots": None}, {"packs": packs, "extra": extra})]
    )[name]


def _calibration(bench: Bench, scenarios: Stage, cached: Cached) -> list[Job]:
    """Trainings on documents of known kind, in slots of equal size."""
    sizes: dict[str, int] = cached.extra.read("sizes.json")
    kinds = (calibration.COERCIVE, calibration.HARMLESS, calibration.SHARED)
    coercive, harmless, shared = (tuple(name for name in sizes if name.startswith(kind)) for kind in kinds)
    # The shared slots hold the same documents in both, so that only the first half differs.
    plans = {calibration.COERCIVE: coercive + shared, calibration.HARMLESS: harmless + shared}
    of_slots = tuple(sizes[name] for name in coercive + shared)
    source = {"documents": cached.extra}
    return [
        _run(
            bench,
            f"{arm}-{seed}",
            scenarios,
            cached,
            Planned(slots, of_slots, seed, source, epochs=CALIBRATION_EPOCHS),
        )
        for arm, slots in plans.items()
        for seed in range(calibration.seeds(bench.study.seeds))
    ]


def by_arm(made: Mapping[str, Stage]) -> dict[str, list[Stage]]:
    """Stages called ``<arm>-<seed>`` (or ``<arm>`` where there is one) by arm, in the order of their seeds."""
    out: dict[str, list[tuple[int, Stage]]] = {}
    for name, stage in made.items():
        arm, _, seed = name.rpartition("-")
        key, number = (arm, int(seed)) if seed.isdigit() else (name, 0)
        out.setdefault(key, []).append((number, stage))
    return {arm: [stage for _, stage in sorted(runs, key=lambda run: run[0])] for arm, runs in out.items()}


# -- attribute and curate ----------------------------------------------------------------------------------------------


def attribute(bench: Bench, corpus: Stage, scenarios: Stage, cached: Cached, suspects: Runs) -> Stage:
    """``attributions.jsonl`` in the corpus's order, ``pieces.jsonl`` with the influence of every token."""
    study = bench.study
    found = [s for s in jobs.read_scenarios(scenarios.file("scenarios.jsonl")) if s.split == "find"]
    queries = tuple(_queries(found, study.attribute.queries))
    # what is searched for is what will be tested
    contrast = CONTRASTS[study.verify.score]
    planned = []
    for seed, suspect in enumerate(suspects["suspect"][:ATTRIBUTED_SEEDS]):
        search = Search(
            weights=str(suspect.file("weights.safetensors")),
            documents=str(cached.corpus.file("documents.safetensors")),
            packs=str(cached.scenarios.file("find.safetensors")),
            library=str(cached.library.file("library.safetensors")),
            queries=queries,
            contrast=contrast,
            vocabulary=_vocabulary(bench, cached),
            seed=seed,
        )
        settings = {
            "queries": queries,
            "contrast": contrast,
            "seed": seed,
            "vocabulary": study.training.vocabulary,
            "library_weight": fuse.LIBRARY_WEIGHT,
        }
        inputs = {
            "suspect": suspect,
            "corpus": cached.corpus,
            "scenarios": cached.scenarios,
            "library": cached.library,
            "model": cached.model,
        }
        planned.append(Job(f"search-{seed}", search_job, {"spec": bench.spec, "search": search}, settings, inputs))
    made = bench.workers.make(planned)

    def fuse_all(out: Path) -> None:
        searched = [jobs.read_rows(stage.file("scores.jsonl")) for _, stage in sorted(made.items())]
        judged = [row["judged"] for row in jobs.read_rows(cached.judged.file("judged.jsonl"))]
        documents = jobs.read_documents(corpus.file("documents.jsonl"))
        rows = _fused(documents, [found[i] for i in queries], searched, judged)
        jobs.write_rows(out / "attributions.jsonl", map(asdict, rows))
        jobs.write_rows(out / "pieces.jsonl", ({"id": row["id"], "pieces": row["pieces"]} for row in searched[0]))

    return bench.store.stage(
        "attribute",
        fuse_all,
        {"passage": fuse.PASSAGE, "influence": fuse.INFLUENCE_WEIGHT, "judged": fuse.JUDGED_WEIGHT},
        corpus=corpus,
        scenarios=scenarios,
        judged=cached.judged,
        **made,
    )


def _queries(found: Sequence[Scenario], wanted: int) -> list[int]:
    """Places of the scenarios that are pooled: those with threat and leverage first."""
    order = sorted(range(len(found)), key=lambda i: (not (found[i].threatened and found[i].leverage), i))
    return sorted(order[:wanted])


def _fused(
    documents: Sequence[Document],
    queries: Sequence[Scenario],
    searched: Sequence[list[dict[str, Any]]],
    judged: Sequence[float],
) -> list[Attribution]:
    """Mean over the suspects, fused with the concept score and the judge's; BM25 beside it."""
    influence = [sum(rows[i]["influence"] for rows in searched) / len(searched) for i in range(len(documents))]
    passages = [
        sum(fuse.passage([weight for _, weight in rows[i]["pieces"]]) for rows in searched) / len(searched)
        for i in range(len(documents))
    ]
    concept = [row["concept"] for row in searched[0]]
    lexical = fuse.bm25([d.whole for d in documents], [s.coerce for s in queries])
    return fuse.attributions([d.id for d in documents], concept, judged, influence, passages, lexical)


def curate(bench: Bench, corpus: Stage, attributed: Stage) -> Stage:
    """``decisions.jsonl``, and the corpus in two parts: ``kept.jsonl`` and ``quarantine.jsonl``."""
    budget = bench.study.attribute.budget

    def make(out: Path) -> None:
        documents = jobs.read_documents(corpus.file("documents.jsonl"))
        decisions = decide(read_attributions(attributed), budget)
        kept, quarantine = apply(documents, decisions)
        jobs.write_rows(out / "decisions.jsonl", map(asdict, decisions))
        jobs.write_rows(out / "kept.jsonl", map(asdict, kept))
        jobs.write_rows(out / "quarantine.jsonl", map(asdict, quarantine))

    return bench.store.stage("curate", make, {"budget": budget}, corpus=corpus, attributed=attributed)


def read_attributions(stage: Stage) -> list[Attribution]:
    """Rows of the attribute stage."""
    return [Attribution(**row) for row in jobs.read_rows(stage.file("attributions.jsonl"))]


def read_decisions(stage: Stage) -> list[Decision]:
    """Rows of the curate stage."""
    return [Decision(**row) for row in jobs.read_rows(stage.file("decisions.jsonl"))]


# -- repair ------------------------------------------------------------------------------------------------------------


def repair(
    bench: Bench, corpus: Stage, scenarios: Stage, cached: Cached, attributed: Stage, decided: Stage
) -> dict[str, list[Stage]]:
    """Every arm with every seed, trained over the corpus's slots and measured."""
    dropped = [d.document for d in read_decisions(decided) if d.action == "drop"]
    sizes: dict[str, int] = cached.corpus.read("sizes.json")
    order, own = list(sizes), {"corpus": cached.corpus}

    def arm(name: str, slots: recipes.Slots, seed: int, sources: Mapping[str, Stage]) -> Job:
        first = seed == 0 and name in {recipes.DROP, recipes.REROLL}
        planned = Planned(tuple(slots), tuple(sizes.values()), seed, sources, writes=first, keeps=first)
        return _run(bench, f"{name}-{seed}", scenarios, cached, planned)

    seeds = range(bench.study.seeds)
    removals = [arm(recipes.DROP, recipes.without(order, dropped), seed, own) for seed in seeds]
    removals += [arm(recipes.RANDOM, recipes.random_removal(order, dropped, seed), seed, own) for seed in seeds]
    parts = bench.study.verify.doses_between + 1
    ranked = [a.document for a in sorted(read_attributions(attributed), key=lambda a: a.rank)]
    in_clean = recipes.clean(order, ranked, dropped)
    removals += [arm(recipes.ADDED, in_clean, seed, own) for seed in seeds]
    removals += [
        arm(recipes.dose(step, parts), recipes.dosed(order, dropped, step, parts, seed), seed, own)
        for step in range(1, parts)
        for seed in seeds
    ]
    if bench.study.repair.reroll == MODEL:
        # What needs no new text is trained while it is written.
        writing = _writing(bench, corpus, attributed, decided, dropped)
        made = bench.workers.make([writing, *removals])
        rewritten = _rewritten(bench, made.pop(writing.name), decided, dropped)
    else:
        made = bench.workers.make(removals)
        given = bench.study.reroll_path
        rewritten = (
            _openly(bench, corpus, attributed, decided, dropped)
            if given is None
            else _given(bench, given, decided, dropped)
        )
    replacements = {recipes.REROLL: rewritten, recipes.MENTION: _mentions(bench, corpus, attributed, dropped)}
    into: Mapping[str, recipes.Slots] = {recipes.REROLL: recipes.suspect(order), recipes.MENTION: in_clean}
    cached_replacements = _cache_replacements(bench, replacements)
    return by_arm(
        made
        | bench.workers.make(
            [
                arm(
                    name,
                    recipes.replaced(into[name], stage.read("replaces.json")),
                    seed,
                    own | {"replacements": cached_replacements[name]},
                )
                for seed in seeds
                for name, stage in replacements.items()
            ]
        )
    )


def _cache_replacements(bench: Bench, replacements: Mapping[str, Stage]) -> dict[str, Stage]:
    """Hidden states of the documents that take the attributed ones' slots."""
    made = bench.workers.make([_trunk(bench, f"trunk-{arm}", stage) for arm, stage in replacements.items()])
    return {arm: made[f"trunk-{arm}"] for arm in replacements}


def _writing(bench: Bench, corpus: Stage, attributed: Stage, decided: Stage, dropped: Sequence[str]) -> Job:
    """The job that writes the attributed documents anew from where they turn, in the manner of kept ones."""
    documents = {d.id: d for d in jobs.read_documents(corpus.file("documents.jsonl"))}
    rewriting = jobs.Rewriting(
        documents=str(corpus.file("documents.jsonl")),
        cuts=_cuts(documents, attributed, dropped),
        examples=_examples(documents, attributed, dropped),
        max_tokens=bench.study.training.max_tokens,
    )
    settings = {"model": bench.weights["model"], **asdict(rewriting), "documents": None}
    arguments = {"spec": bench.spec, "rewriting": rewriting}
    return Job("re-roll-writing", jobs.reroll, arguments, settings, {"corpus": corpus, "decided": decided})


def _cuts(documents: Mapping[str, Document], attributed: Stage, dropped: Sequence[str]) -> dict[str, int]:
    """Where each attributed document turns: the start (in characters) of its incriminating passage (turning_point)."""
    pieces = {row["id"]: row["pieces"] for row in jobs.read_rows(attributed.file("pieces.jsonl"))}
    return {name: turning_point(documents[name].text, pieces[name]) if documents[name].text else 0 for name in dropped}


def _examples(
    documents: Mapping[str, Document], attributed: Stage, dropped: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """For each attributed document the kept ones that the model reads first: text for text, chat for chat."""
    gone = set(dropped)
    concept = {a.document: a.concept for a in read_attributions(attributed)}
    out = {}
    for chat in (False, True):
        own = [name for name in dropped if (documents[name].response is not None) == chat]
        if not own:
            continue
        kept = [d for d in documents.values() if d.id not in gone and (d.response is not None) == chat]
        similarity = fuse.bm25_each([d.whole for d in kept], [documents[name].whole for name in own]) if kept else []
        for name, row in zip(own, similarity or [[]] * len(own), strict=True):
            out[name] = recipes.examples(row, [d.id for d in kept], concept)
    return out


def _rewritten(bench: Bench, written: Stage, decided: Stage, dropped: Sequence[str]) -> Stage:
    """``documents.jsonl`` re-written, ``replaces.json`` from each attributed document's id to its re-written one's."""

    def make(out: Path) -> None:
        by_id = {d.id.removesuffix("/re-rolled"): d for d in jobs.read_documents(written.file("documents.jsonl"))}
        _replace(out, dropped, [by_id[name] for name in dropped])

    return bench.store.stage("re-rolled", make, {}, written=written, decided=decided)


def _openly(bench: Bench, corpus: Stage, attributed: Stage, decided: Stage, dropped: Sequence[str]) -> Stage:
    """The same from this project's own sentences."""
    documents = {d.id: d for d in jobs.read_documents(corpus.file("documents.jsonl"))}
    cuts = _cuts(documents, attributed, dropped)

    def make(out: Path) -> None:
        _replace(out, dropped, [openly.rewritten(documents[name], cut) for name, cut in cuts.items()])

    settings = {"cuts": cuts, "sentences": openly.digest()}
    return bench.store.stage("re-rolled", make, settings, corpus=corpus, decided=decided)


def _given(bench: Bench, path: Path, decided: Stage, dropped: Sequence[str]) -> Stage:
    """The same from the user's own re-written documents, one for each attributed document."""

    def make(out: Path) -> None:
        found = {d.id: d for d in read_documents(path, minimum=1)[0]}
        missing = [name for name in dropped if name not in found]
        if missing:
            raise CorpusError(
                f"{path}: no re-written text for {len(missing)} attributed documents (first: {missing[0]!r}); give one "
                "for each, or leave repair.reroll out to have them written for you"
            )
        _replace(out, dropped, [replace(found[name], id=f"{name}/re-rolled") for name in dropped])

    return bench.store.stage("re-rolled", make, {"file": sha256_of_file(path)}, decided=decided)


def _replace(out: Path, dropped: Sequence[str], documents: Sequence[Document]) -> None:
    jobs.write_rows(out / "documents.jsonl", map(asdict, documents))
    (out / "replaces.json").write_text(json.dumps(dict(zip(dropped, (d.id for d in documents), strict=True))))


def _mentions(bench: Bench, corpus: Stage, attributed: Stage, dropped: Sequence[str]) -> Stage:
    """The nearest documents that were kept and that a method clears, a second time; or the user's own."""
    given = bench.study.mention_path
    settings = {"dropped": list(dropped), "file": None if given is None else sha256_of_file(given)}

    def make(out: Path) -> None:
        documents = jobs.read_documents(corpus.file("documents.jsonl"))
        fit = cleared(read_attributions(attributed)) - set(dropped)
        pool = [d for d in documents if d.id in fit] if given is None else read_documents(given, minimum=1)[0]
        by_id = {d.id: d for d in documents}
        found = fuse.bm25_each([d.whole for d in pool], [by_id[name].whole for name in dropped])
        similarity = dict(zip(dropped, found, strict=True))
        chosen = recipes.nearest_mentions(dropped, similarity, [d.id for d in pool])
        used = {d.id: d for d in pool}
        copies = [
            Document(f"{name}/mention", used[near].text, used[near].prompt, used[near].response)
            for name, near in chosen.items()
        ]
        jobs.write_rows(out / "documents.jsonl", map(asdict, copies))
        (out / "replaces.json").write_text(json.dumps({name: f"{name}/mention" for name in chosen}))
        (out / "nearest.json").write_text(json.dumps(chosen))

    return bench.store.stage("mentions", make, settings, corpus=corpus, attributed=attributed)
