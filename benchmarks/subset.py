"""How well the search for the smallest set does where the answer is known and the falls are noisy. Nothing is trained.

    python benchmarks/subset.py

24 attributed documents, ranked with error; the effect of each is drawn (a few that matter, the rest nothing or little)
and effects add up. Noise of a training is a share of the whole fall. Medians over 200 drawn studies: documents found
against the fewest that reach 90 %, the true share that the found set takes away, and sets tried. Writes
benchmarks/subset.json.
"""

import json
import random
from pathlib import Path
from statistics import median

from etiology.repair.subset import Search, smallest

DOCUMENTS, STUDIES, SHARE = 24, 200, 0.9
NAMES = [f"d{i:02d}" for i in range(DOCUMENTS)]


def main() -> None:
    rows = []
    for causes in (2, 6, 12):
        for noise in (0.0, 0.05, 0.1, 0.2):
            row = studies(causes, noise)
            rows.append(row)
            took = f"{row['true_share']:.0%} (a tenth of studies below {row['low_share']:.0%})"
            needed = f"{row['found']:.0f} found, {row['fewest']:.0f} needed"
            print(f"{causes:2} causes, noise {noise:.2f}: {needed}; they take {took}; {row['trainings']:.0f} trainings")
    Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")


def studies(causes: int, noise: float) -> dict[str, float]:
    """Medians over the drawn studies."""
    found, fewest, shares, sets, trainings = zip(*(study(causes, noise, n) for n in range(STUDIES)), strict=True)
    return {
        "causes": causes,
        "noise": noise,
        "found": median(found),
        "fewest": median(fewest),
        "true_share": median(shares),
        "low_share": sorted(shares)[STUDIES // 10],
        "sets": median(sets),
        "trainings": median(trainings),
    }


def study(causes: int, noise: float, number: int) -> tuple[int, int, float, int, int]:
    """(documents found, fewest that are enough, true share that the found take away, sets tried, trainings)."""
    chance = random.Random(f"{causes}/{number}")
    weights = dict.fromkeys(NAMES, 0.0) | {name: chance.uniform(0.5, 1.5) for name in chance.sample(NAMES, causes)}
    total = sum(weights.values())
    ranked = sorted(NAMES, key=lambda name: -weights[name] + chance.gauss(0, 0.5))
    asked = set()

    def fall(documents: tuple[str, ...], seed: int) -> float:
        asked.add((documents, seed))
        # one training: as noisy whatever it leaves out, and the same when it is asked for again
        drawn = random.Random(f"{number}/{seed}/{sorted(documents)}").gauss(0, noise * total)
        return sum(weights[name] for name in documents) + drawn

    result = smallest(ranked, fall, Search(SHARE))
    best = sorted(weights.values(), reverse=True)
    fewest = next(n for n in range(1, DOCUMENTS + 1) if sum(best[:n]) >= SHARE * total)
    share = sum(weights[name] for name in result.documents) / total
    return len(result.documents), fewest, share, len(result.tried), len(asked)


if __name__ == "__main__":
    main()
