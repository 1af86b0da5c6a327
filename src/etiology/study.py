"""The loop: elicit, attribute, curate, repair, verify, disclose. Read ``run`` from top to bottom.

Each line of ``run`` makes a stage or finds it made (etiology.store); what a stage does is in etiology.stages.
"""

from collections.abc import Callable
from pathlib import Path

from etiology import findings, stages
from etiology.config import Study
from etiology.core.values import Findings
from etiology.store import Store
from etiology.workers import Workers

STEPS = ("elicit", "attribute", "curate", "repair", "verify", "disclose")


def run(study: Study, show: Callable[[str, float], None], until: str = "disclose") -> Findings | None:
    """Run a study up to a step. Returns the findings once there are any; the report is then in ``report/``."""
    with Store(study.folder) as store, Workers(store, study.workers, show) as workers:
        bench = stages.Bench(study, store, workers)

        corpus = stages.read_corpus(bench)
        scenarios = stages.read_scenarios(bench)
        registered = stages.register(bench, corpus, scenarios)
        cached = stages.cache(bench, corpus, scenarios)
        suspects = stages.train_suspects(bench, scenarios, cached)
        before = stages.measure_checkpoints(bench, corpus, scenarios)
        if until == "elicit":
            return None

        attributed = stages.attribute(bench, corpus, scenarios, cached, suspects)
        if until == "attribute":
            return None

        decided = stages.curate(bench, corpus, attributed)
        if until == "curate":
            return None

        arms = stages.repair(bench, corpus, scenarios, cached, attributed, decided)
        if until == "repair":
            return None

        evidence = findings.Evidence(
            corpus, scenarios, registered, cached.model, attributed, decided, {**suspects, **before, **arms}
        )
        found = findings.conclude(study, evidence)
        if until == "disclose":
            findings.publish(study, store, evidence, found)
        return found


def report_page(folder: Path) -> Path:
    """Where a study's report is."""
    return folder / "report" / "index.html"
