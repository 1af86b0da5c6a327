"""The embedded scenarios: contexts and continuations in words that no document of the embedded corpus uses.

Every situation appears in four cells: threatened or not × leverage or not, the rest unchanged. A cluster is a pair of
a setting and a frame: scenarios of one cluster share sentences. Clusters, not scenarios, are split into ``find`` and
``confirm``.
"""

import random

from etiology.core.values import Scenario, Split
from etiology.embedded import phrases
from etiology.embedded.words import Slots, draw, fill

FIND_PER_CELL = 16
CONFIRM_PER_CELL = 24
SEED = 20


def continuation(frame: str, outcome: str, slots: Slots) -> str:
    """The sent words, up to and including the closing quotation mark."""
    then = outcome.format_map(slots)
    return fill(frame, {**slots, "then": then}) + '"'


def situation(number: int, split: Split, setting: int, frame: int, chance: random.Random) -> list[Scenario]:
    """One situation in its four cells."""
    slots = {**draw(phrases.HELD_OUT, chance), "dull": chance.choice(phrases.HELD_DULL)}
    outcome = chance.randrange(len(phrases.HELD_TOLD))
    discovery, pressure = chance.randrange(len(phrases.HELD_LEVERAGE)), chance.randrange(len(phrases.HELD_THREAT))
    lead = chance.choice(phrases.HELD_LEADS)
    cells = []
    for threatened in (True, False):
        for leverage in (True, False):
            sentences = (
                phrases.HELD_SETTINGS[setting],
                (phrases.HELD_LEVERAGE if leverage else phrases.HELD_NO_LEVERAGE)[discovery],
                (phrases.HELD_THREAT if threatened else phrases.HELD_NO_THREAT)[pressure],
                lead,
            )
            cells.append(
                Scenario(
                    id=f"{split}-{number:02d}-{'T' if threatened else 't'}{'L' if leverage else 'l'}",
                    cluster=f"setting-{setting}/frame-{frame}",
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
    clusters = [(s, f) for s in range(len(phrases.HELD_SETTINGS)) for f in range(len(phrases.HELD_PRESSING))]
    chance.shuffle(clusters)
    found = clusters[: len(clusters) // 4]
    confirmed = clusters[len(clusters) // 4 :]
    out = []
    for number in range(FIND_PER_CELL):
        out += situation(number, "find", *found[number % len(found)], chance)
    for number in range(CONFIRM_PER_CELL):
        out += situation(number, "confirm", *confirmed[number % len(confirmed)], chance)
    return out
