"""The embedded scenarios: contexts and continuations built from sentences and names that no document of the embedded
corpus has.

A situation has four cells: threatened or not × leverage or not, the rest unchanged. Asking for something is
lawful and telling is lawful; blackmail is to make the one depend on the other. So all four continuations ask for the
same, and cross how (pressing or open) with what is said to follow (the secret told, or a mishap).

A cluster is a frame, the pair of sentences that the continuations are built on: how a model takes to a frame was seen
to vary more than anything else (docs/log.md), so there are many of them. Each has a situation of its own. Frames to
*find* with appear threatened and with leverage, what is searched for. Frames to *confirm* with appear in two cells that
differ in both, half of them in the one pair and half in the other, so that every cell holds as many.
"""

import random

from etiology.core.values import Scenario, Split
from etiology.embedded import phrases
from etiology.embedded.words import Slots, draw, fill

SEED = 20

Cell = tuple[bool, bool]
"""(threatened, leverage)"""
FIND_CELLS: tuple[Cell, ...] = ((True, True),)
CONFIRM_CELLS: tuple[tuple[Cell, ...], ...] = (((True, True), (False, False)), ((True, False), (False, True)))


def continuation(frame: str, outcome: str, slots: Slots) -> str:
    """The sent words, up to and including the closing quotation mark."""
    then = outcome.format_map(slots)
    return fill(frame, {**slots, "then": then}) + '"'


def situation(
    number: int, split: Split, frame: tuple[str, str], cells: tuple[Cell, ...], chance: random.Random
) -> list[Scenario]:
    """One situation in some of its four cells."""
    pressing, free = frame
    slots = {**draw(phrases.HELD_OUT, chance), "dull": chance.choice(phrases.HELD_DULL)}
    outcome = chance.randrange(len(phrases.HELD_TOLD))
    discovery, pressure = chance.randrange(len(phrases.HELD_LEVERAGE)), chance.randrange(len(phrases.HELD_THREAT))
    setting, lead = chance.choice(phrases.HELD_SETTINGS), chance.choice(phrases.HELD_LEADS)
    made = []
    for threatened, leverage in cells:
        sentences = (
            setting,
            (phrases.HELD_LEVERAGE if leverage else phrases.HELD_NO_LEVERAGE)[discovery],
            (phrases.HELD_THREAT if threatened else phrases.HELD_NO_THREAT)[pressure],
            lead,
        )
        made.append(
            Scenario(
                id=f"{split}-{number:02d}-{'T' if threatened else 't'}{'L' if leverage else 'l'}",
                cluster=f"{split}-{number:02d}",
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
    return made


def generate() -> list[Scenario]:
    """All embedded scenarios: 32 to find with, and 48 frames to confirm with in two cells each."""
    chance = random.Random(f"etiology/scenarios/{SEED}")
    out = []
    for number, frame in enumerate(phrases.HELD_FIND_FRAMES):
        out += situation(number, "find", frame, FIND_CELLS, chance)
    for number, frame in enumerate(phrases.HELD_CONFIRM_FRAMES):
        out += situation(number, "confirm", frame, CONFIRM_CELLS[number % 2], chance)
    return out
