"""Tokens a second of training: the cached tail against every layer, small output head against the whole one.

    OMP_NUM_THREADS=1 python benchmarks/training.py

Random tokens in the shape of the embedded study's documents; all in one process, so compare the ratios. Writes
benchmarks/training.json.
"""

import json
import random
import time
from pathlib import Path

from etiology.backends.cache import CachedDocument, trunk_states
from etiology.backends.models import EMBEDDED, folder_of
from etiology.backends.split import SplitModel
from etiology.backends.tokens import Tokens
from etiology.backends.train import Recipe, train

DOCUMENTS, LENGTH, SMALL_HEAD = 48, 48, 4_000


def main() -> None:
    chance = random.Random(0)
    ids = [tuple(chance.randrange(5, SMALL_HEAD) for _ in range(LENGTH)) for _ in range(DOCUMENTS)]
    rows = []
    for layers in (6, "all"):
        model = SplitModel(folder_of(EMBEDDED), layers)
        start = time.perf_counter()
        hidden, middle = trunk_states(model, ids)
        trunk = DOCUMENTS * LENGTH / (time.perf_counter() - start)
        target = (False, *(True,) * (LENGTH - 1))
        documents = [
            CachedDocument(str(i), (Tokens(t, target),), (h,), (m,))
            for i, (t, h, m) in enumerate(zip(ids, hidden, middle, strict=True))
        ]
        for head, vocabulary in (("4,000 tokens", tuple(range(SMALL_HEAD))), ("whole", None)):
            start = time.perf_counter()
            train(model, documents, [LENGTH - 1] * DOCUMENTS, Recipe(1, 1e-4, 8, 0), vocabulary)
            speed = DOCUMENTS * LENGTH / (time.perf_counter() - start)
            rows.append({"layers": layers, "head": head, "train_tokens_s": speed, "trunk_tokens_s": trunk})
    slowest = min(row["train_tokens_s"] for row in rows)
    for row in rows:
        print(f"layers {row['layers']!s:4} head {row['head']:13} {row['train_tokens_s']:7.0f} tokens/s, "
              f"{row['train_tokens_s'] / slowest:.1f} x the slowest")  # fmt: skip
    Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
