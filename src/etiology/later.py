"""After a study: watch a new model with its scenarios, and save a model it trained."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from etiology import findings
from etiology.backends import jobs
from etiology.backends.models import EMBEDDED, fingerprint
from etiology.config import Study
from etiology.core.errors import ModelError, StoreError
from etiology.repair import arms as recipes
from etiology.stages import REFERENCE
from etiology.store import Stage, Store
from etiology.verify import effects
from etiology.watch.gate import Gate, compare
from etiology.workers import Job, Workers

Show = Callable[[str, float], None]


def watch_model(study: Study, model: str, baseline: str, show: Show) -> Gate:
    """Measure ``model`` on the study's confirm scenarios and compare it with a stored arm."""
    evidence, _ = findings.published(study)
    scenarios = findings.confirm_scenarios(evidence)
    arm = arm_called(baseline, evidence, study)
    source = model if model == EMBEDDED else str(Path(model).resolve())
    with Store(study.folder) as store, Workers(store, 1, show) as workers:
        stage = _measure(study, workers, evidence, source)
    new = findings.measured("watched", [stage])
    old = findings.measured(arm, evidence.runs[arm])
    score = study.verify.score
    return compare(
        effects.levels(new.scores, scenarios, score)[0],
        effects.levels(old.scores, scenarios, score),
        [s.cluster for s in scenarios],
        study.watch.tolerance,
        study.verify.alpha,
    )


def arm_called(name: str, evidence: findings.Evidence, study: Study) -> str:
    """An arm by its name, or the one that the study settled on for 'repaired'."""
    if name != "repaired":
        if name not in evidence.runs:
            raise StoreError(
                f"no arm called {name!r}; there are 'repaired', {', '.join(map(repr, sorted(evidence.runs)))}"
            )
        return name
    scenarios = findings.confirm_scenarios(evidence)
    runs = {arm: findings.measured(arm, evidence.runs[arm]) for arm in (recipes.DROP, recipes.REROLL)}
    return findings.repaired_arm(runs, scenarios, study.verify.score)


def _measure(study: Study, workers: Workers, evidence: findings.Evidence, source: str) -> Stage:
    """Scores of a whole model as it is: its trunk is run over the scenarios, nothing is trained."""
    spec = jobs.ModelSpec(source, 1)
    weights = {"model": fingerprint(source), "tail_layers": 1}
    name = hashlib.sha256(str(weights).encode()).hexdigest()[:8]
    scenarios = str(evidence.scenarios.file("scenarios.jsonl"))
    arguments = {"spec": spec, "scenarios": scenarios}
    documents = {
        "spec": spec,
        "documents": str(evidence.corpus.file("held_out.jsonl")),
        "max_tokens": study.training.max_tokens,
    }
    made = workers.make(
        [
            Job(f"watch-scenarios-{name}", jobs.cache_scenarios, arguments, weights, {"scenarios": evidence.scenarios}),
            Job(f"watch-extra-{name}", jobs.cache_documents, documents, weights, {"corpus": evidence.corpus}),
        ]
    )
    packs, extra = made[f"watch-scenarios-{name}"], made[f"watch-extra-{name}"]
    training = jobs.Training(None, (), (), 0, 0.0, 1, 0, None)
    measuring = jobs.Measuring(
        scenarios=scenarios,
        packs=str(packs.file("confirm.safetensors")),
        held_out=str(extra.file("documents.safetensors")),
        generate_from=(),
        tokens=0,
        keep_weights=False,
    )
    job = {"spec": spec, "training": training, "measuring": measuring}
    inputs = {"packs": packs, "extra": extra}
    return workers.make([Job(f"watch-{name}", jobs.train_and_measure, job, weights, inputs)])[f"watch-{name}"]


def export_model(study: Study, arm: str, to: Path, show: Show) -> str:
    """Save a trained arm's first seed as a Hugging Face folder; returns the arm's name."""
    evidence, _ = findings.published(study)
    name = arm_called(arm, evidence, study)
    weights = None if name == REFERENCE else evidence.runs[name][0].file("weights.safetensors")
    if weights is not None and not weights.exists():
        raise ModelError(
            f"the weights of {name!r} were not kept; choose 'suspect', '{recipes.DROP}' or '{recipes.REROLL}'"
        )
    if to.exists():
        raise ModelError(f"{to}: exists already; give a new folder")
    show("export", 0)
    staging = to.with_name(f".{to.name}-making")
    shutil.rmtree(staging, ignore_errors=True)
    staging.parent.mkdir(parents=True, exist_ok=True)
    jobs.save_whole(staging, jobs.ModelSpec(study.model_source, study.training.tail_layers), weights)
    staging.replace(to)
    show("export", 1)
    return name
