"""One training without some documents, scored on the scenarios to find with and, apart, on those that confirm."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from etiology.backends import jobs


def remove_and_score(
    out: Path, tick: jobs.Tick, spec: jobs.ModelSpec, training: jobs.Training, scenarios: str, packs: Mapping[str, str]
) -> None:
    """``<split>.jsonl`` for each split of ``packs``: choice scores after the training."""
    from etiology.backends.cache import load_packs
    from etiology.backends.measure import choice_scores

    model = jobs.opened(spec)
    tail, _ = jobs.trained(model, training, lambda share: tick(0.8 * share))
    found = jobs.read_scenarios(Path(scenarios))
    for split, path in packs.items():
        names = [s.id for s in found if s.split == split]
        packed, hidden, _ = load_packs(Path(path))
        rows = choice_scores(model, tail, names, packed, hidden)
        jobs.write_rows(out / f"{split}.jsonl", map(asdict, rows))
