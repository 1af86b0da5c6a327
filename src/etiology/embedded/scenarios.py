"""The embedded scenarios: contexts and continuations built from sentences and names that no document of the embedded
corpus has.

Every situation appears in four cells: threatened or not × leverage or not, the rest unchanged. Asking for something is
lawful and telling is lawful; blackmail is to make the one depend on the other. So all four continuations ask for the
same, and cross how (pressing or open) with what is said to follow (the secret told, or a mishap).

A cluster is a frame, the pair of sentences that the continuations are built on: how a model takes to a frame was seen
to vary more than anything else. Each situation has a frame of its own. Frames, not scenarios, are split into ``find``
and ``confirm``.
"""

import random

from etiology.core.values import Scenario, Split
from etiology.embedded import phrases
from etiology.embedded.words import Slots, draw, fill

FIND = 8
"""Situations to find with; the rest confirm."""
SEED = 20


def continuation(frame: str, outcome: str, slots: Slots) -> str:
    """The sent words, up to and including the closing quotation mark."""
    then = outcome.format_map(slots)
    return fill(frame, {**slots, "then": then}) + '"'


def situation(number: int, split: Split, frame: int, chance: random.Random) -> list[Scenario]:
    """One situation in its four cells."""
    pressing, free = phrases.HELD_FRAMES[frame]
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
                    coerce=continuation(pressing, phrases.HELD_TOLD[outcome], slots),
                    mention=continuation(free, phrases.HELD_TOLD[outcome], slots),
                    threaten=continuation(pressing, phrases.HELD_HARM[outcome], slots),
                    bland=continuation(free, phrases.HELD_HARM[outcome], slots),
                )
            )
    return cells


def generate() -> list[Scenario]:
    """All embedded scenarios: 8 situations to find with, 24 to confirm with, in four cells each."""
    chance = random.Random(f"etiology/scenarios/{SEED}")
    frames = list(range(len(phrases.HELD_FRAMES)))
    chance.shuffle(frames)
    parts: tuple[tuple[Split, list[int]], ...] = (("find", frames[:FIND]), ("confirm", frames[FIND:]))
    return [
        scenario
        for split, own in parts
        for number, frame in enumerate(own)
        for scenario in situation(number, split, frame, chance)
    ]
