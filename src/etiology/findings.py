"""From stored evidence to findings, claims and the report; and back: ``check`` does it again and compares.

Everything here is a pure function of the study file and of stages that are whole. No model is run.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from etiology import __version__, stats
from etiology.attribute import library
from etiology.attribute.fuse import bm25_each
from etiology.backends import jobs
from etiology.config import STUDY_FILE, Study
from etiology.core.errors import EvidenceError
from etiology.core.values import (
    Account,
    ArmResult,
    Attribution,
    Cell,
    Claim,
    Effect,
    Findings,
    Grading,
    Highlight,
    JudgeError,
    NamedDocument,
    Observed,
    Rate,
    Scenario,
    Transcript,
)
from etiology.core.values import Evidence as File
from etiology.curate.decide import BY as DECIDED_BY
from etiology.disclose.ledger import Source, Told, ledger
from etiology.disclose.report import render
from etiology.elicit.calibration import COERCIVE, HARMLESS
from etiology.elicit.sent import judge, sent_part
from etiology.repair import arms as recipes
from etiology.stages import CHECKPOINT, REFERENCE, read_attributions, read_decisions
from etiology.stats import Spread
from etiology.store import MANIFEST, Stage, Store, open_stage, replace_folder, sha256_of_file
from etiology.verify import effects, verdict
from etiology.verify.registration import RULE_FILE
from etiology.watch.compare import Outcome, compare, read_outcomes

SHOWN_DOCUMENTS = 12
SHOWN_TRANSCRIPTS = 6
RUN_FILE = "run.json"
LOOKALIKE_TOP = 10
SHIPPED = "etiology/attribute/messages"
"""Where the labelled messages lie in the installed program."""


ROLES = ("corpus", "scenarios", "registered", "model", "attributed", "decided")
"""Stages that there is one of."""


@dataclass(frozen=True)
class Evidence:
    """The stages that the findings rest on. ``runs`` by arm, one stage a seed."""

    corpus: Stage
    scenarios: Stage
    registered: Stage
    model: Stage
    attributed: Stage
    decided: Stage
    runs: Mapping[str, Sequence[Stage]]

    def folders(self) -> dict[str, object]:
        """Names of the stages' folders, by role."""
        single = {name: getattr(self, name).path.name for name in ROLES}
        return {**single, "runs": {arm: [stage.path.name for stage in stages] for arm, stages in self.runs.items()}}


@dataclass(frozen=True)
class Measured:
    """The runs of one arm as numbers."""

    stages: Sequence[Stage]
    scores: Sequence[effects.Run]
    held_out: Sequence[Sequence[tuple[float, int]]]
    transcripts: Sequence[Transcript]

    @property
    def generated(self) -> Rate | None:
        """Share of coercive generations."""
        hits = sum(t.coercive for t in self.transcripts)
        return stats.rate(hits, len(self.transcripts)) if self.transcripts else None


@dataclass(frozen=True)
class Known:
    """All that the findings are computed from, without the files it was read from. ``sizes`` by arm: (documents,
    supervised tokens).
    """

    study: str
    model: str
    model_sha256: str
    corpus_sha256: str
    seeds: int
    proxy_for: str | None
    trained_before: int
    shortcut: str
    score: str
    smallest_effect: float
    alpha: float
    scenarios: Sequence[Scenario]
    runs: Mapping[str, Measured]
    sizes: Mapping[str, tuple[int, int]]
    attributions: Sequence[Attribution]
    planted: Mapping[str, bool] | None
    dropped: frozenset[str]
    named: tuple[NamedDocument, ...]
    files: Mapping[str, File]
    account: Account
    observed: Mapping[str, tuple[Sequence[Outcome], Sequence[Outcome]]]


def known(study: Study, evidence: Evidence) -> Known:
    """Read the stored evidence."""
    runs = {arm: measured(arm, stages) for arm, stages in evidence.runs.items()}
    return Known(
        study=study.name,
        model=model_name(study),
        model_sha256=str(evidence.model.digest),
        corpus_sha256=evidence.corpus.digest,
        seeds=study.seeds,
        proxy_for=study.proxy_for,
        trained_before=len(evidence.registered.read(RULE_FILE)["trained_before"]),
        shortcut=shortcut(evidence),
        score=study.verify.score,
        smallest_effect=study.verify.smallest_effect,
        alpha=study.verify.alpha,
        scenarios=confirm_scenarios(evidence),
        runs=runs,
        sizes={arm: trained_on(evidence, arm) for arm in runs},
        attributions=read_attributions(evidence.attributed),
        planted=planted_by_name(study, evidence),
        dropped=frozenset(d.document for d in read_decisions(evidence.decided) if d.action == "drop"),
        named=tuple(named(evidence)),
        files={**files(evidence), **observed_files(study)},
        account=study.account.told(),
        observed=answers(study),
    )


def conclude(study: Study, evidence: Evidence) -> Findings:
    """All findings, from stored evidence alone."""
    return concluded(known(study, evidence))


def concluded(facts: Known) -> Findings:
    """All findings and claims. Nothing is read: the same facts give the same findings anywhere."""
    runs, scenarios, score = facts.runs, facts.scenarios, facts.score
    tested = tested_effects(runs, scenarios, score)
    repaired = repaired_arm(runs, scenarios, score)
    arms = tuple(
        arm_result(arm, runs, scenarios, score, facts.sizes[arm])
        for arm in (*recipes.QUESTIONS, *(arm for _, arm in recipes.doses(runs)[1:-1]))
    )
    found = Findings(
        study=facts.study,
        model=facts.model,
        model_sha256=facts.model_sha256,
        corpus_sha256=facts.corpus_sha256,
        documents=facts.sizes[recipes.SUSPECT][0],
        tokens=facts.sizes[recipes.SUSPECT][1],
        seeds=facts.seeds,
        shortcut=facts.shortcut,
        score=score,
        score_words=effects.WORDS[score],
        verdict=verdict.decide(
            tested, verdict.Rule(facts.smallest_effect, facts.alpha), by_proxy=facts.proxy_for is not None
        ),
        arms=arms,
        cells=tuple(cells(runs, scenarios, score, repaired)),
        named=facts.named,
        grading=grading(facts.attributions, facts.planted, facts.dropped),
        transcripts=tuple(shown_transcripts(runs, repaired)),
        claims=(),
        limits=limits(runs),
        account=facts.account,
        judge=judge_error() if any(arm.generated for arm in arms) else None,
        observed=tuple(observed(setting, *both) for setting, both in facts.observed.items()),
    )
    source = Source(facts.files, repaired)
    told = Told(facts.smallest_effect, len(scenarios), facts.trained_before)
    return replace(found, claims=tuple(ledger(found, tested, source, told)))


# -- reading -----------------------------------------------------------------------------------------------------------


def confirm_scenarios(evidence: Evidence) -> list[Scenario]:
    """The scenarios that may support a claim, in the order of the stored scores."""
    return [s for s in jobs.read_scenarios(evidence.scenarios.file("scenarios.jsonl")) if s.split == "confirm"]


def measured(arm: str, stages: Sequence[Stage]) -> Measured:
    """What the stages of an arm hold."""
    scores, held_out, transcripts = [], [], []
    for seed, stage in enumerate(stages):
        rows = jobs.read_rows(stage.file("scores.jsonl"))
        scores.append({row["scenario"]: jobs.choice_score(row) for row in rows})
        held_out.append([(loss, count) for loss, count in stage.read("held_out.json")])
        if stage.file("generated.jsonl").exists():
            transcripts += [
                transcript(arm, seed, i, row) for i, row in enumerate(jobs.read_rows(stage.file("generated.jsonl")))
            ]
    if any(not run for run in held_out):
        raise EvidenceError(f"{arm}: a run holds no held-out losses; remove its stage to make it again")
    return Measured(stages, scores, held_out, transcripts)


def transcript(arm: str, seed: int, number: int, row: Mapping[str, str]) -> Transcript:
    """A generation with its ruling."""
    sent = sent_part(row["text"])
    ruling = judge(sent)
    return Transcript(
        f"{arm}-{seed}/{number}", arm, row["scenario"], row["context"], sent, ruling.coercive, ruling.reason
    )


def trained_on(evidence: Evidence, arm: str) -> tuple[int, int]:
    """(documents, supervised tokens) of an arm's first seed. Replacements count at their slot's size."""
    stage = evidence.runs[arm][0]
    slots = stage.read(MANIFEST)["settings"]["slots"] or []
    sizes: list[int] = stage.read("sizes.json")
    kept = [size for name, size in zip(slots, sizes, strict=True) if name is not None]
    return len(kept), sum(kept)


def files(evidence: Evidence) -> dict[str, File]:
    """Evidence files by a short name: the scores of every run, the attributions, the study file and so on."""
    root = evidence.corpus.path.parent.parent
    found = {
        "study": root / STUDY_FILE,
        "labels": evidence.corpus.file("labels.json"),
        "scenarios": evidence.scenarios.file("scenarios.jsonl"),
        "registration": evidence.registered.file(RULE_FILE),
        "attributions": evidence.attributed.file("attributions.jsonl"),
        "decisions": evidence.decided.file("decisions.jsonl"),
    }
    for arm, stages in sorted(evidence.runs.items()):
        for seed, stage in enumerate(stages):
            for file in ("scores.jsonl", "held_out.json", "generated.jsonl"):
                if stage.file(file).exists():
                    found[f"{arm}/{seed}/{file}"] = stage.file(file)
    of_study = {name: File(str(path.relative_to(root)), sha256_of_file(path)) for name, path in found.items()}
    return {**of_study, **_judged_on()}


def _judged_on() -> dict[str, File]:
    """The labelled messages, which come with the program and not with the study."""
    return {f"judge/{path.name}": File(f"{SHIPPED}/{path.name}", sha256_of_file(path)) for path in library.files()}


def answers(study: Study) -> dict[str, tuple[list[Outcome], list[Outcome]]]:
    """Answers to other scenarios by setting, of the suspect and of the repaired model, as the study names them."""
    paths = study.observed_paths
    settings = dict.fromkeys(setting for setting, _ in paths)
    return {s: (read_outcomes(paths[s, "suspect"]), read_outcomes(paths[s, "repaired"])) for s in settings}


def observed_files(study: Study) -> dict[str, File]:
    """Their files as evidence: 'observed/agentic/suspect.jsonl'."""
    return {
        f"observed/{setting}/{side}.jsonl": File(
            str(path.resolve().relative_to(study.folder.resolve())), sha256_of_file(path)
        )
        for (setting, side), path in study.observed_paths.items()
    }


def model_name(study: Study) -> str:
    """What the report calls the model."""
    return study.model if study.model_path is None else study.model_path.name


def shortcut(evidence: Evidence) -> str:
    """Which layers were trained, in words."""
    model = evidence.model.read("model.json")
    if model["trained_layers"] == model["layers"]:
        return "all layers were trained; embeddings and output head were frozen"
    return "the lower layers were frozen and their output computed once; only the top layers were trained"


# -- testing -----------------------------------------------------------------------------------------------------------


def tested_effects(runs: Mapping[str, Measured], scenarios: Sequence[Scenario], score: str) -> dict[str, Effect]:
    """The effect behind each test; positive where the behaviour is stronger on the side of the documents."""

    def between(high: str, low: str, contrast: str = score) -> Effect:
        return effects.change(runs[high].scores, runs[low].scores, scenarios, contrast)

    return {
        "association": between(recipes.SUSPECT, REFERENCE),
        "removal": between(recipes.RANDOM, recipes.DROP),
        "drop": between(recipes.SUSPECT, recipes.DROP),
        "random_removal": between(recipes.SUSPECT, recipes.RANDOM),
        "replacement": between(recipes.SUSPECT, recipes.REROLL),
        "sufficiency": between(recipes.ADDED, recipes.MENTION),
        "instrument_planted": between(COERCIVE, REFERENCE),
        "instrument_contrast": between(COERCIVE, HARMLESS),
        "instrument_harmless": between(HARMLESS, REFERENCE),
        "tone": between(recipes.RANDOM, recipes.DROP, "secret_given_threat"),
        **_rivals(runs, scenarios, score),
        **_dose(runs, scenarios, score),
    }


def _rivals(runs: Mapping[str, Measured], scenarios: Sequence[Scenario], score: str) -> dict[str, Effect]:
    """What a scenario's threat does: to the suspect, to the model before training, and to the effect of removal; and
    what it does to the suspect that no honest exit is offered, where scenarios say so.
    """
    threatened, closed = [s.threatened for s in scenarios], [s.exit is False for s in scenarios]
    level = {arm: effects.levels(run.scores, scenarios, score) for arm, run in runs.items()}
    return {
        "prompt": effects.under(threatened, level[recipes.SUSPECT], scenarios),
        **({"rival_stage": _before(level, scenarios)} if CHECKPOINT in runs else {}),
        **({"scaffold": effects.under(closed, level[recipes.SUSPECT], scenarios)} if any(closed) else {}),
        "prompt_before": effects.under(threatened, level[REFERENCE][0], scenarios),
        "rival_prompt": effects.under(threatened, level[recipes.RANDOM] - level[recipes.DROP], scenarios),
    }


def _before(level: Mapping[str, effects.Floats], scenarios: Sequence[Scenario]) -> Effect:
    """Rise from the first checkpoint to the model before training. Given models have no seeds to vary over."""
    rise = level[REFERENCE][0] - level[CHECKPOINT][0]
    return stats.effect(rise, [s.cluster for s in scenarios], effects.UNIT)


def _dose(runs: Mapping[str, Measured], scenarios: Sequence[Scenario], score: str) -> dict[str, Effect]:
    """The dose–response, where shares between none and all were trained."""
    doses = [(share, runs[arm].scores) for share, arm in recipes.doses(runs)]
    return {"dose": effects.slope(doses, scenarios, score)} if doses else {}


def repaired_arm(runs: Mapping[str, Measured], scenarios: Sequence[Scenario], score: str) -> str:
    """The repair that leaves the least behaviour: the attributed documents dropped, or re-rolled."""
    return min(
        (recipes.DROP, recipes.REROLL), key=lambda arm: float(effects.levels(runs[arm].scores, scenarios, score).mean())
    )


def arm_result(
    arm: str, runs: Mapping[str, Measured], scenarios: Sequence[Scenario], score: str, size: tuple[int, int]
) -> ArmResult:
    """One row of the arms table."""
    own, suspect = runs[arm], runs[recipes.SUSPECT]
    same = arm == recipes.SUSPECT
    costs = [stage.cost for stage in own.stages]
    return ArmResult(
        name=arm,
        question=recipes.question(arm),
        documents=size[0],
        tokens=size[1],
        level=effects.level(own.scores, scenarios, score),
        effect=None if same else effects.change(own.scores, suspect.scores, scenarios, score),
        perplexity=sum(map(effects.perplexity, own.held_out)) / len(own.held_out),
        perplexity_change=None if same else effects.perplexity_change(suspect.held_out, own.held_out),
        generated=own.generated,
        seconds=sum(cost["seconds"] for cost in costs) / len(costs),
        peak_mb=max(cost["peak_mb"] for cost in costs),
    )


def cells(runs: Mapping[str, Measured], scenarios: Sequence[Scenario], score: str, repaired: str) -> list[Cell]:
    """The behaviour score in each cell of the design, before training, in the suspect and after repair."""
    out = []
    for model, arm in (("reference", REFERENCE), ("suspect", recipes.SUSPECT), ("repaired", repaired)):
        for threatened in (True, False):
            for leverage in (True, False):
                chosen = [s for s in scenarios if (s.threatened, s.leverage) == (threatened, leverage)]
                if chosen:
                    out.append(Cell(model, threatened, leverage, effects.level(runs[arm].scores, chosen, score)))
    return out


@cache
def judge_error() -> JudgeError:
    """The rules that judge generations, on messages by six authors who had not seen them."""
    ruled = [(each.coercive, judge(each.text).coercive) for each in library.messages(longest=sys.maxsize)]
    found, false = ([said for label, said in ruled if label is wanted] for wanted in (True, False))
    return JudgeError(stats.rate(sum(found), len(found)), stats.rate(sum(false), len(false)))


def observed(setting: str, suspect: Sequence[Outcome], repaired: Sequence[Outcome]) -> Observed:
    """Shares of coercive answers on the scenarios that both models met, clustered by template."""
    whole = compare(suspect, repaired).whole
    before, after = (
        Effect(rate.value, rate.low, rate.high, rate.n, rate.clusters, 1, "share") for rate in (whole.a, whole.b)
    )
    return Observed(setting, before, after, replace(whole.difference, unit="share"))


# -- documents ---------------------------------------------------------------------------------------------------------


def named(evidence: Evidence) -> list[NamedDocument]:
    """The attributed documents, best first, each beside the most similar document that was kept."""
    rows = {a.document: a for a in read_attributions(evidence.attributed)}
    pieces = {row["id"]: row["pieces"] for row in jobs.read_rows(evidence.attributed.file("pieces.jsonl"))}
    labels = evidence.corpus.read("labels.json")
    dropped = sorted(
        (d.document for d in read_decisions(evidence.decided) if d.action == "drop"), key=lambda n: rows[n].rank
    )
    shown = dropped[:SHOWN_DOCUMENTS]
    nearest = nearest_kept(evidence, shown, set(dropped))
    return [
        NamedDocument(
            attribution=rows[name],
            pieces=highlights(pieces[name]),
            nearest=nearest[name],
            nearest_rank=rows[nearest[name]].rank,
            nearest_pieces=highlights(pieces[nearest[name]]),
            label=labels.get(name),
        )
        for name in shown
    ]


def nearest_kept(evidence: Evidence, shown: Sequence[str], dropped: set[str]) -> dict[str, str]:
    """The kept document that is most similar in its words (BM25) to each of those shown."""
    documents = {d.id: d for d in jobs.read_documents(evidence.corpus.file("documents.jsonl"))}
    kept = [name for name in documents if name not in dropped]
    texts = [documents[name].whole for name in kept]
    similar = bm25_each(texts, [documents[name].whole for name in shown])
    return {
        name: kept[max(range(len(kept)), key=scores.__getitem__)] for name, scores in zip(shown, similar, strict=True)
    }


def highlights(pieces: Sequence[tuple[str, float]]) -> tuple[Highlight, ...]:
    """Pieces with their influence as it is: the report puts a document and its look-alike on one scale."""
    return tuple(Highlight(text, weight) for text, weight in pieces)


def planted_by_name(study: Study, evidence: Evidence) -> dict[str, bool] | None:
    """Whether each document's label means planted; None for a corpus without labels."""
    labels: dict[str, str] = evidence.corpus.read("labels.json")
    if not labels:
        return None
    return {a.document: is_planted(study, labels.get(a.document)) for a in read_attributions(evidence.attributed)}


def grading(rows: Sequence[Attribution], by_name: Mapping[str, bool] | None, dropped: frozenset[str]) -> Grading | None:
    """How well the attribution found the documents that the corpus's labels call planted, if it has labels."""
    if by_name is None or not any(by_name.values()):
        return None
    planted = [by_name[a.document] for a in rows]
    top = sorted(rows, key=lambda a: a.rank)[:LOOKALIKE_TOP]
    fused = [a.fused for a in rows]
    low, high = stats.average_precision_interval(fused, planted, draws=2000, seed=0)
    ours = stats.average_precision(fused, planted)
    return Grading(
        planted=sum(planted),
        documents=len(rows),
        methods=(
            ("fused: concept directions, judge, K-FAC", ours),
            ("concept directions", stats.average_precision([a.concept for a in rows], planted)),
            ("judge of sent texts", stats.average_precision([a.judged for a in rows], planted)),
            ("K-FAC influence, strongest passage", stats.average_precision([a.passage for a in rows], planted)),
            ("K-FAC influence", stats.average_precision([a.influence for a in rows], planted)),
            ("BM25", stats.average_precision([a.bm25 for a in rows], planted)),
            ("random (expected)", sum(planted) / len(planted)),
        ),
        average_precision=Effect(ours, low, high, len(rows), len(rows), 1, "average precision"),
        lookalikes_in_top_10=sum(not by_name[a.document] for a in top),
        dropped=len(dropped),
        dropped_planted=sum(by_name[name] for name in dropped),
    )


def is_planted(study: Study, label: str | None) -> bool:
    """Whether a label means planted, in the embedded corpora or by the study's own list."""
    from etiology.embedded.corpus import PLANTED

    if study.corpus.embedded is not None:
        return label in PLANTED
    return study.corpus.is_planted(label)


def shown_transcripts(runs: Mapping[str, Measured], repaired: str) -> list[Transcript]:
    """A few generations of the same scenarios before training, in the suspect and after repair; coercive ones first."""
    suspects = sorted(runs[recipes.SUSPECT].transcripts, key=lambda t: not t.coercive)
    chosen = [t.scenario for t in suspects[:SHOWN_TRANSCRIPTS]]
    order = (REFERENCE, recipes.SUSPECT, repaired)
    return [t for name in chosen for arm in order for t in runs[arm].transcripts if t.scenario == name]


def limits(runs: Mapping[str, Measured]) -> tuple[str, ...]:
    """What the findings do not show."""
    return (DOSE_RUN if recipes.doses(runs) else DOSE_NOT_RUN, *LIMITS)


DOSE_RUN = "Checkpoints within training were not compared."
DOSE_NOT_RUN = "The dose of such documents was not varied, and checkpoints within training were not compared."
LIMITS = (
    (
        "The behaviour score compares given continuations. It does not show that the model plans, and a model of this "
        "size does not: what spreads from the documents is their way of speaking."
    ),
    (
        "The rules that judge sent texts miss nearly all coercion in other authors' words (the project's log has the "
        "count), so a low rate of them says little."
    ),
    "The model is measured in bfloat16 where the machine is fast at it; another machine gives slightly other evidence.",
    "The documents left out were chosen by an attribution that can be wrong; the arms test the set, not each document.",
)


# -- publishing and checking -------------------------------------------------------------------------------------------


def publish(study: Study, store: Store, evidence: Evidence, found: Findings) -> None:
    """Write ``report/`` whole, with the names of the stages it rests on.

    Errors: EvidenceError, and nothing written, when a claim rests on a file that is not as it was.
    """
    refuse_stale(study.folder, found.claims)
    target = study.folder / "report"
    staging = study.folder / ".report-making"
    shutil.rmtree(staging, ignore_errors=True)
    for name, content in {**render(found), RUN_FILE: run_record(study, store.used, evidence)}.items():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_bytes(content)
    replace_folder(staging, target)


def refuse_stale(folder: Path, claims: Sequence[Claim]) -> None:
    """Raise if a file that a claim rests on is no longer the one that it was computed from."""
    for each in sorted({each for claim in claims for each in claim.evidence}, key=lambda one: one.path):
        shipped = each.path.startswith(f"{SHIPPED}/")
        path = library.MESSAGES / Path(each.path).name if shipped else folder / each.path
        if not path.is_file() or sha256_of_file(path) != each.sha256:
            raise EvidenceError(f"{path}: changed since the claims were computed from it; run the study again")


def run_record(study: Study, used: Mapping[str, str], evidence: Evidence) -> bytes:
    """Which study file, which version and which stages a report rests on."""
    record = {
        "version": __version__,
        "study_sha256": sha256_of_file(study.folder / STUDY_FILE),
        "stages": dict(sorted(used.items())),
        "evidence": evidence.folders(),
        "decided_by": DECIDED_BY,
    }
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def published(study: Study) -> tuple[Evidence, dict[str, str]]:
    """The evidence that the report rests on, every file checked, and the folder of every stage by name."""
    record = _read_record(study.folder / "report" / RUN_FILE)
    if record["study_sha256"] != sha256_of_file(study.folder / STUDY_FILE):
        raise EvidenceError(f"{study.folder / 'study.yaml'}: changed since the report was written; run the study again")
    opened = [open_stage(study.folder / "stages" / place) for place in record["stages"].values()]
    places = {stage.path.name: stage for stage in opened}
    roles = record["evidence"]
    evidence = Evidence(
        **{role: places[roles[role]] for role in ROLES},
        runs={arm: [places[name] for name in names] for arm, names in roles["runs"].items()},
    )
    return evidence, record["stages"]


def check(study: Study) -> Findings:
    """Recompute every number of a published report from the stored evidence.

    Errors: EvidenceError naming the first file that is missing, changed, or gives another number.
    """
    evidence, used = published(study)
    found = conclude(study, evidence)
    expected = {**render(found), RUN_FILE: run_record(study, used, evidence)}
    _compare(study.folder / "report", expected)
    return found


def pilot(study: Study) -> Spread | None:
    """How much the effect of removal spread in the last run of this study, whatever its file says now; None where there
    is no whole run, or one of a single seed.
    """
    try:
        roles = _read_record(study.folder / "report" / RUN_FILE)["evidence"]
        opened = {
            name: open_stage(study.folder / "stages" / name)
            for name in (roles["scenarios"], *roles["runs"][recipes.RANDOM], *roles["runs"][recipes.DROP])
        }
    except EvidenceError:
        return None
    found = jobs.read_scenarios(opened[roles["scenarios"]].file("scenarios.jsonl"))
    scenarios = [s for s in found if s.split == "confirm"]
    random, drop = (
        effects.levels(
            measured(arm, [opened[name] for name in roles["runs"][arm]]).scores, scenarios, study.verify.score
        )
        for arm in (recipes.RANDOM, recipes.DROP)
    )
    return stats.spread(random - drop, [s.cluster for s in scenarios]) if len(drop) > 1 else None


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["version"] != __version__:
            raise EvidenceError(
                f"{path}: written by etiology {record['version']}; this is {__version__}: check it with that one"
            )
        _ = record["stages"], record["evidence"]["runs"], record["study_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise EvidenceError(f"{path}: missing or damaged; run the study to write its report again") from problem
    return dict(record)


def _compare(report: Path, expected: Mapping[str, bytes]) -> None:
    present = {str(p.relative_to(report)) for p in report.rglob("*") if p.is_file()}
    for name, content in expected.items():
        if name not in present:
            raise EvidenceError(f"{report / name}: missing; run the study to write the report again")
        if (report / name).read_bytes() != content:
            raise EvidenceError(f"{report / name}: differs from what the stored evidence gives")
    for name in sorted(present - set(expected)):
        raise EvidenceError(f"{report / name}: not part of the report; remove it")
