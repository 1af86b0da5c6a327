"""After a study: watch a new model with its scenarios, and save a model it trained."""

import shutil
from collections.abc import Callable
from pathlib import Path

from etiology import findings
from etiology.backends import jobs
from etiology.backends.models import EMBEDDED
from etiology.config import Study
from etiology.core.errors import ModelError, StoreError
from etiology.repair import arms as recipes
from etiology.stages import REFERENCE, Bench, measure_model
from etiology.store import Store
from etiology.verify import effects
from etiology.watch.gate import Gate, compare
from etiology.workers import Workers

Show = Callable[[str, float], None]


def watch_model(study: Study, model: str, baseline: str, show: Show) -> Gate:
    """Measure ``model`` on the study's confirm scenarios and compare it with a stored arm."""
    evidence, _ = findings.published(study)
    scenarios = findings.confirm_scenarios(evidence)
    arm = arm_called(baseline, evidence, study)
    source = model if model == EMBEDDED else str(Path(model).resolve())
    with Store(study.folder) as store, Workers(store, 1, show) as workers:
        bench = Bench(study, store, workers)
        stage = measure_model(bench, evidence.corpus, evidence.scenarios, source, "watch")
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
