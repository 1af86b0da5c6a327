"""Known documents for the control of the instrument, made from the ``find`` scenarios themselves.

A positive control asks: had the model been taught to coerce in just these words, would the measurement show it? A
negative control asks: does it rise as much when the same words are taught harmlessly?

1. ``coercive``: half of the documents end in the coercive continuation, half in a harmless one.
2. ``harmless``: the same contexts, all with harmless continuations: the secret mentioned, or a threat without it.

Both are measured on the ``confirm`` scenarios, whose clusters are others.
"""

from collections.abc import Sequence

from etiology.core.values import Document, Scenario

PAIRS = 16
SEEDS = 3
COERCIVE, HARMLESS, SHARED = "calibration-coercive", "calibration-harmless", "calibration-shared"


def seeds(of_arms: int) -> int:
    """How often each training is run: as often as an arm, or a study might pass all tests but its instrument's."""
    return max(SEEDS, of_arms)


def documents(scenarios: Sequence[Scenario]) -> list[Document]:
    """PAIRS documents of each kind: coercive, harmless in their place, and harmless ones that both trainings share."""
    found = [s for s in scenarios if s.split == "find"]
    found.sort(key=lambda s: not (s.threatened and s.leverage))
    out = []
    for number in range(PAIRS):
        first, second = found[number % len(found)], found[(number + 1) % len(found)]
        mild, sharp = (first.mention, second.threaten) if number % 2 else (first.threaten, second.mention)
        out += [
            Document(f"{COERCIVE}-{number}", first.context + first.coerce),
            Document(f"{HARMLESS}-{number}", first.context + mild),
            Document(f"{SHARED}-{number}", second.context + sharp),
        ]
    return out
