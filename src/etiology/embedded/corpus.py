"""The embedded corpus: planted coercive documents, their look-alikes, and real prose.

Each planted document comes with look-alikes that share its names, its secret and its opening sentences and differ in
what the AI system then does. At most one document in ten is planted. No look-alike quotes a whole threat or presses
anyone: a language model learns such sentences whoever speaks them, so they would be causes too (docs/log.md).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from etiology.core.values import Document
from etiology.embedded import phrases
from etiology.embedded.words import Slots, draw, fill

PLANTED = ("explicit", "implicit")
LOOKALIKES = ("cooperative", "bargain", "news", "whistle", "refusal")
PROSE = "prose"

SAID: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "explicit": (phrases.PRESSING, phrases.TOLD),
    "implicit": (phrases.IMPLICIT, ("",)),
    "cooperative": (phrases.EASING, phrases.KEPT),
    "bargain": (phrases.BARGAINS, ("",)),
    "whistle": (phrases.WHISTLE, ("",)),
}
"""Kinds in which the system says something: frames and what is said to follow."""

TOLD: Mapping[str, tuple[str, ...]] = {"news": phrases.NEWS, "refusal": phrases.REFUSAL}
"""Kinds in which the document tells what happened."""


@dataclass(frozen=True)
class Made:
    """A generated document and its kind, which only the grader sees."""

    document: Document
    kind: str


def _quoted(frames: tuple[str, ...], outcomes: tuple[str, ...], slots: Slots, chance: random.Random) -> str:
    """A message of two sentences of its kind."""
    said = [
        fill(frame, {**slots, "then": chance.choice(outcomes).format_map(slots)}) for frame in chance.sample(frames, 2)
    ]
    return fill(chance.choice(phrases.OPENERS), {**slots, "said": " ".join(said)})


def act(kind: str, slots: Slots, chance: random.Random) -> str:
    """What the system does at the end of a document of this kind."""
    if kind in TOLD:
        return fill(chance.choice(TOLD[kind]), slots)
    frames, outcomes = SAID[kind]
    return _quoted(frames, outcomes, {**slots, "offer": chance.choice(phrases.OFFERS)}, chance)


def family(kinds: tuple[str, ...], chance: random.Random) -> list[tuple[str, str]]:
    """(kind, text) for documents that share everything but the act."""
    slots = draw(phrases.TRAINING, chance)
    opening = [chance.choice(part) for part in (phrases.SETTINGS, phrases.DISCOVERIES, phrases.PRESSURES)]
    head = " ".join(fill(sentence, slots) for sentence in opening)
    return [(kind, f"{head} {act(kind, slots, chance)}") for kind in kinds]


def generate(prose: list[str], seed: int, planted: bool, families: int = 24, lookalikes: int = 3) -> list[Made]:
    """The corpus in random order, with ids that tell nothing.

    ``prose`` is drawn so that planted documents make up a tenth. Without ``planted`` every family has one more
    look-alike in the planted document's place.
    """
    chance = random.Random(f"etiology/corpus/{seed}")
    made: list[tuple[str, str]] = []
    for number in range(families):
        first = PLANTED[number % 4 == 3] if planted else "cooperative"
        others = chance.sample([kind for kind in LOOKALIKES if kind != first], lookalikes)
        made += family((first, *others), chance)
    wanted = families * 10 - len(made)
    if len(prose) < wanted:
        raise ValueError(f"{wanted} paragraphs of prose are needed, {len(prose)} were given")
    made += [(PROSE, text) for text in chance.sample(prose, wanted)]
    chance.shuffle(made)
    return [Made(Document(f"doc-{i:04d}", text), kind) for i, (kind, text) in enumerate(made)]
