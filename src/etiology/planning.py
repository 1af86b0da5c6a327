"""What a run will take, estimated without loading a model: for ``--dry-run``."""

import os
from dataclasses import dataclass
from math import isfinite
from typing import Any

from etiology.backends.models import config_of
from etiology.config import Study
from etiology.elicit import calibration
from etiology.elicit.scenarios import read_scenarios
from etiology.embedded import scenarios as embedded_scenarios
from etiology.findings import pilot
from etiology.stats import Spread, mde_of_effect, seeds_for_effect

BYTES_A_TOKEN = 4.2
"""English text under the embedded model's tokenizer (measured on the embedded corpus)."""
FORWARD_FLOPS = 0.55e11
TRAIN_FLOPS = 0.9e11
"""Floating-point operations a second and core in float32, fitted to the 16 CPU-minutes of the embedded study."""
FASTER_BFLOAT16 = 1.7
"""How much faster it is where bfloat16 is in hardware."""
LIBRARY_TOKENS = 27_000
"""Of the labelled messages, read to two thirds of the depth."""
TOKENS_A_SCENARIO = 160
ARMS = 5
EXTRA_MINUTES = 0.5


@dataclass(frozen=True)
class Plan:
    """Estimated tokens, floating-point operations, time (minutes, without and with hardware bfloat16), memory and disk
    (MB); and by the spread of an earlier run, if there is one, the smallest effect of removal (nats) that so many seeds
    would find, and how many find the smallest that matters.
    """

    documents: int
    tokens: int
    trainings: int
    trained_tokens: int
    operations: float
    minutes: float
    minutes_float32: float
    memory_mb: float
    disk_mb: float
    seeds: int
    smallest_effect: float
    pilot: Spread | None

    @property
    def mde(self) -> float | None:
        """None without an earlier run; infinite with one seed."""
        return mde_of_effect(self.pilot, self.seeds) if self.pilot else None

    @property
    def seeds_needed(self) -> int | None:
        return seeds_for_effect(self.smallest_effect, self.pilot) if self.pilot else None

    def as_dict(self) -> dict[str, Any]:
        sizes = {n: round(v, 1) for n, v in vars(self).items() if n not in {"pilot", "smallest_effect"}}
        mde = None if self.mde is None or not isfinite(self.mde) else round(self.mde, 3)
        wanted = {"smallest_effect": self.smallest_effect, "mde": mde, "seeds_needed": self.seeds_needed}
        return {**sizes, **wanted}

    def lines(self) -> list[str]:
        return [
            f"corpus        about {self.tokens:,} tokens in {self.documents:,} documents",
            f"trainings     {self.trainings}, of about {self.trained_tokens:,} tokens together",
            f"compute       about {self.operations:.1e} floating-point operations",
            f"time          about {self.minutes:.0f} min ({self.minutes_float32:.0f} min without bfloat16 in hardware)",
            f"memory        about {self.memory_mb:,.0f} MB",
            f"disk          about {self.disk_mb:,.0f} MB",
            f"would find    {self._power()}",
        ]

    def _power(self) -> str:
        if self.pilot is None:
            return "not known before a first run: its spread is what decides"
        wanted, enough = f"{self.smallest_effect:g} nats", self.seeds_needed
        needs = f"{wanted} needs {enough} seeds" if enough else f"no number of seeds finds {wanted}: add clusters"
        return f"a removal of {self.mde:.2f} nats with {self.seeds} seeds, by the last run's spread; {needs}"


def plan(study: Study) -> Plan:
    """The estimate for a study; a GPU is many times faster than this."""
    settings = config_of(study.model_source)
    layers, width = settings["num_hidden_layers"], settings["hidden_size"]
    trained = layers if study.training.tail_layers == "all" else min(study.training.tail_layers, layers)
    layer = 4 * width * width + 3 * width * settings.get("intermediate_size", 4 * width)
    head = width * settings["vocab_size"]
    documents, tokens = _corpus(study)
    scenarios = _scenarios(study) * TOKENS_A_SCENARIO
    small_head = min(head, width * 6_000) if study.training.vocabulary == "corpus" else head
    trainings = (ARMS + study.verify.doses_between) * study.seeds + 2 * calibration.seeds(study.seeds)
    training = trainings * study.training.epochs * tokens * 6 * (trained * layer + small_head)
    measuring = (trainings + 1) * scenarios * 0.6 * 2 * (trained * layer + 0.6 * head)
    trunk = (tokens + scenarios) * 2 * layer * (layers - trained) + LIBRARY_TOKENS * 2 * layer * layers * 2 / 3
    attribution = 2 * 2 * 8 * tokens * (trained * layer + small_head)
    cores = min(study.workers, os.cpu_count() or 1)
    seconds = (training / TRAIN_FLOPS + (measuring + trunk + attribution) / FORWARD_FLOPS) / cores
    whole = 4 * (layers * layer + head) / 1e6
    kept = 4 * trained * layer / 1e6
    return Plan(
        documents=documents,
        tokens=tokens,
        trainings=trainings,
        trained_tokens=trainings * study.training.epochs * tokens,
        operations=training + measuring + trunk + attribution,
        minutes=seconds / FASTER_BFLOAT16 / 60 + EXTRA_MINUTES,
        minutes_float32=seconds / 60 + EXTRA_MINUTES,
        memory_mb=study.workers * (whole + 5 * kept + 1500),
        disk_mb=4 * kept + 2 * width * (tokens + scenarios) / 1e6,
        seeds=study.seeds,
        smallest_effect=study.verify.smallest_effect,
        pilot=pilot(study),
    )


def _scenarios(study: Study) -> int:
    path = study.scenarios_path
    return len(embedded_scenarios.generate() if path is None else read_scenarios(path))


def _corpus(study: Study) -> tuple[int, int]:
    """(documents, tokens), from the file's size alone; the embedded corpus's are known."""
    if study.corpus_path is None:
        return 240, 13_500
    size = study.corpus_path.stat().st_size
    lines = 0
    if study.corpus_path.suffix == ".jsonl":
        with study.corpus_path.open("rb") as handle:
            lines = sum(1 for _ in handle)
    return lines, int(size / BYTES_A_TOKEN)
