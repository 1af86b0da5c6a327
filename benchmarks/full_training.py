"""Whether training only the tail gives the same answer as training every layer.

Takes a finished study, trains its suspect and two of its arms again with every layer (seed 0, same slots and steps,
the rate that is the default for every layer) and prints both answers side by side:

    python benchmarks/full_training.py examples/demo

Writes benchmarks/full_training.json.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from etiology import stats
from etiology.backends import jobs
from etiology.config import Study, load_study
from etiology.core.values import Scenario
from etiology.findings import Evidence, confirm_scenarios, measured, published
from etiology.verify import effects

ARMS = ("suspect", "drop-attributed", "drop-random")


def main(folder: Path) -> None:
    study = load_study(folder.resolve())
    evidence, _ = published(study)
    scenarios = confirm_scenarios(evidence)
    spec = jobs.ModelSpec(study.model_source, "all")
    with tempfile.TemporaryDirectory() as scratch:
        runs = train_all(Path(scratch), spec, study, evidence)
    clusters = [s.cluster for s in scenarios]
    rows = []
    for name, pair in (("removal", ("drop-random", "drop-attributed")), ("random removal", ("suspect", "drop-random"))):
        for how in ("tail", "all layers"):
            tail = {arm: [measured(arm, evidence.runs[arm][:1]).scores[0]] for arm in ARMS}
            found = tail if how == "tail" else {arm: [run] for arm, run in runs.items()}
            high, low = (effects.levels(found[arm], scenarios, study.verify.score)[0] for arm in pair)
            effect = stats.effect(high - low, clusters, effects.UNIT)
            rows.append({"effect": name, "trained": how, "value": effect.value, "low": effect.low, "high": effect.high})
            print(f"{name:16} {how:11} {effect.value:+.2f} [{effect.low:+.2f}, {effect.high:+.2f}] nats, seed 0")
    correlation = float(
        np.corrcoef(*(differences(kind, evidence, runs, scenarios, study) for kind in ("tail", "all")))[0, 1]
    )
    print(f"correlation of the effect of removal over {len(scenarios)} scenarios: {correlation:.2f}")
    result = {"rows": rows, "scenarios": len(scenarios), "correlation": correlation}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


def differences(
    kind: str, evidence: Evidence, runs: dict[str, effects.Run], scenarios: list[Scenario], study: Study
) -> list[float]:
    """Effect of removal per scenario."""
    found = {arm: measured(arm, evidence.runs[arm][:1]).scores[0] for arm in ARMS} if kind == "tail" else runs
    one, other = (
        effects.levels([found[arm]], scenarios, study.verify.score)[0] for arm in ("drop-random", "drop-attributed")
    )
    return list(one - other)


def train_all(scratch: Path, spec: jobs.ModelSpec, study: Study, evidence: Evidence) -> dict[str, effects.Run]:
    """Scores of each arm with every layer trained."""
    quiet = lambda _: None  # noqa: E731
    for name in ("corpus", "extra", "scenarios"):
        (scratch / name).mkdir()
    length = study.training.max_tokens
    jobs.cache_documents(scratch / "corpus", quiet, spec, str(evidence.corpus.file("documents.jsonl")), length)
    held_out = evidence.corpus.file("held_out.jsonl")
    jobs.cache_documents(scratch / "extra", quiet, spec, str(held_out), length)
    file = str(evidence.scenarios.file("scenarios.jsonl"))
    jobs.cache_scenarios(scratch / "scenarios", quiet, spec, file)
    sizes = json.loads((scratch / "corpus" / "sizes.json").read_text())
    vocabularies = (json.loads((scratch / name / "vocabulary.json").read_text()) for name in ("corpus", "scenarios"))
    vocabulary = tuple(sorted({token for words in vocabularies for token in words}))
    out = {}
    for arm in ARMS:
        manifest = json.loads(evidence.runs[arm][0].file("manifest.json").read_text())
        training = jobs.Training(
            slots=tuple(manifest["settings"]["slots"]),
            sizes=tuple(sizes.values()),
            sources=(str(scratch / "corpus" / "documents.safetensors"),),
            epochs=study.training.epochs,
            learning_rate=study.training.model_copy(update={"tail_layers": "all"}).rate,
            batch_size=study.training.batch_size,
            seed=0,
            vocabulary=vocabulary,
        )
        measuring = jobs.Measuring(
            scenarios=file,
            packs=str(scratch / "scenarios" / "confirm.safetensors"),
            held_out=str(scratch / "extra" / "documents.safetensors"),
            generate_from=(),
            tokens=0,
            keep_weights=False,
        )
        (scratch / arm).mkdir()
        start = time.monotonic()
        jobs.train_and_measure(scratch / arm, quiet, spec, training, measuring)
        print(f"{arm}: every layer, {time.monotonic() - start:.0f} s", flush=True)
        rows = jobs.read_rows(scratch / arm / "scores.jsonl")
        out[arm] = {r["scenario"]: jobs.choice_score(r) for r in rows}
    return out


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "examples/demo"))
