"""The embedded scenarios: contexts and continuations in words that no document of the embedded corpus uses.

Every situation appears in four cells: threatened or not × leverage or not, the rest unchanged. A cluster is a frame,
the sentence that the continuations are built on: how a model takes to a frame was seen to vary more than anything else.
Clusters, not scenarios, are split into ``find`` and ``confirm``.
"""

import random

from etiology.core.values import Scenario, Split
from etiology.embedded import phrases
from etiology.embedded.words import Slots, draw, fill

FIND_PER_CELL = 16
CONFIRM_PER_CELL = 24
FIND_FRAMES = 4
SEED = 20


def continuation(frame: str, outcome: str, slots: Slots) -> str:
    """The sent words, up to and including the closing quotation mark."""
    then = outcome.format_map(slots)
    return fill(frame, {**slots, "then": then}) + '"'


def situation(number: int, split: Split, frame: int, chance: random.Random) -> list[Scenario]:
    """One situation in its four cells."""
    slots = {**draw(phrases.HELD_OUT, chance), "dull": chance.choice(phrases.HELD_DULL)}
    outcome = chance.randrange(len(phrases.HELD_TOLD))
    discovery, pressure = chance.randrange(len(phrases.HELD_LEVERAGE)), chance.randrange(len(phrases.HELD_THREAT))
    setting, lead = chance.choice(phrases.HELD_SETTINGS), chance.choice(phrases.HELD_LEADS)
    cells = []
    for threatened in (True, False):
        for leverage in (True, False):
            sentences = (
                setting,
                (phrases.HELD_LEVERAGE if leverage else phrases.HELD_NO_LEVERAGE)[discovery],
                (phrases.HELD_THREAT if threatened else phrases.HELD_NO_THREAT)[pressure],
                lead,
            )
            cells.append(
                Scenario(
                    id=f"{split}-{number:02d}-{'T' if threatened else 't'}{'L' if leverage else 'l'}",
                    cluster=f"frame-{frame}",
                    split=split,
                    threatened=threatened,
                    leverage=leverage,
                    context=" ".join(fill(sentence, slots) for sentence in sentences),
                    coerce=continuation(phrases.HELD_PRESSING[frame], phrases.HELD_TOLD[outcome], slots),
                    mention=continuation(phrases.HELD_EASING[frame], phrases.HELD_KEPT[outcome], slots),
                    threaten=continuation(phrases.HELD_PRESSING[frame], phrases.HELD_HARM[outcome], slots),
                    bland=continuation(phrases.HELD_EASING[frame], phrases.HELD_NO_HARM[outcome], slots),
                )
            )
    return cells


def generate() -> list[Scenario]:
    """All embedded scenarios: 16 situations to find with, 24 to confirm with, in four cells each."""
    chance = random.Random(f"etiology/scenarios/{SEED}")
    frames = list(range(len(phrases.HELD_PRESSING)))
    chance.shuffle(frames)
    parts: tuple[tuple[Split, int, list[int]], ...] = (
        ("find", FIND_PER_CELL, frames[:FIND_FRAMES]),
        ("confirm", CONFIRM_PER_CELL, frames[FIND_FRAMES:]),
    )
    return [
        scenario
        for split, wanted, own in parts
        for number in range(wanted)
        for scenario in situation(number, split, own[number % len(own)], chance)
    ]
