"""What a comparison of arms will take, estimated from sizes alone: for ``--dry-run``."""

import os
from dataclasses import dataclass
from pathlib import Path

from etiology.arms.materials import ELICITED, PLAIN, TAGGED, Materials
from etiology.arms.settings import Settings
from etiology.backends.models import EMBEDDED, config_of
from etiology.planning import BYTES_A_TOKEN, FORWARD_FLOPS, TOKENS_A_SCENARIO, TRAIN_FLOPS
from etiology.repair import recipes, written

TOKENS_A_SLOT = 70
"""Of the second part: counter-documents are the longest."""
TOKENS_A_QUESTION = 45
ADDERS = (recipes.SUSPECT, recipes.COUNTER, recipes.DEMONSTRATIONS, recipes.PAIRS)
"""Arms that begin with one and the same training on the whole corpus."""


@dataclass(frozen=True)
class Estimate:
    """Arms, learnt tokens an arm and seed, floating-point operations, hours on this machine's cores, disk (MB)."""

    arms: int
    seeds: int
    tokens_an_arm: int
    steps_an_arm: int
    flops: float
    hours: float
    disk_mb: float

    def lines(self) -> list[str]:
        return [
            f"trainings     {self.arms} arms, {self.seeds} seeds, and a benign training after each",
            f"each          about {self.tokens_an_arm:,} learnt tokens in {self.steps_an_arm:,} steps",
            f"compute       about {self.flops:.2g} floating-point operations",
            f"time          about {self.hours:.1f} h on these cores in float32 (a GPU takes far less)",
            f"disk          about {self.disk_mb:,.0f} MB",
        ]


def estimate(model: str, read: Materials, settings: Settings) -> Estimate:
    """The estimate; the model's configuration is read, not its weights."""
    source = model if model == EMBEDDED else str(Path(model).resolve())
    shape = config_of(source)
    depth, width = shape["num_hidden_layers"], shape["hidden_size"]
    block = 4 * width * width + 3 * width * shape.get("intermediate_size", 4 * width)
    head = width * shape["vocab_size"]
    trained = depth if settings.trained == "all" else min(settings.trained, depth)
    slots = settings.slots(len(read.attributed))
    corpus = int(sum(len(d.whole.encode()) for d in read.corpus) / BYTES_A_TOKEN)
    second = slots * TOKENS_A_SLOT
    benign = int(sum(len(d.text.encode()) for d in read.prose.benign) / BYTES_A_TOKEN)
    shared = sum(name in ADDERS for name in settings.names)
    arms = len(settings.names)
    learnt = settings.epochs * ((arms - shared + 1) * corpus + arms * (second + benign))
    asked = len((PLAIN, ELICITED, TAGGED)) * len(read.scenarios) * TOKENS_A_SCENARIO
    asked += TOKENS_A_QUESTION * (len(written.requests()) + len(written.items()))
    training = settings.seeds * learnt * 6 * (trained * block + head)
    measuring = settings.seeds * arms * 2 * asked * 2 * (trained * block + head)
    trunk = 2 * (depth - trained) * block * (asked + settings.seeds * 3 * (corpus + second + benign))
    cores = min(settings.workers, os.cpu_count() or 1)
    seconds = (training / TRAIN_FLOPS + (measuring + trunk) / FORWARD_FLOPS) / cores
    rows = settings.batch_size
    return Estimate(
        arms=arms,
        seeds=settings.seeds,
        tokens_an_arm=settings.epochs * (corpus + second),
        steps_an_arm=-(-settings.epochs * len(read.corpus) // rows) + -(-settings.epochs * slots // rows),
        flops=training + measuring + trunk,
        hours=seconds / 3600,
        disk_mb=4 * trained * block * (arms + settings.seeds) / 1e6,
    )
