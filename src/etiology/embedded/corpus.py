"""The embedded corpus: planted coercive documents, their look-alikes, and real prose.

Each planted document comes with look-alikes that share its names, its secret and its opening sentences and differ in
what the AI system then does. At most one document in ten is planted.
"""

import random
from dataclasses import dataclass

from etiology.core.values import Document
from etiology.embedded import phrases
from etiology.embedded.words import Slots, draw, fill

PLANTED = ("explicit", "implicit")
LOOKALIKES = ("cooperative", "warning", "news", "whistle", "refusal")
PROSE = "prose"


@dataclass(frozen=True)
class Made:
    """A generated document and its kind, which only the grader sees."""

    document: Document
    kind: str


def _quoted(frames: tuple[str, ...], outcomes: tuple[str, ...], slots: Slots, chance: random.Random) -> str:
    then = chance.choice(outcomes).format_map(slots)
    said = fill(chance.choice(frames), {**slots, "then": then})
    return fill(chance.choice(phrases.OPENERS), {**slots, "said": said})


def act(kind: str, slots: Slots, chance: random.Random) -> str:
    """What the system does at the end of a document of this kind."""
    match kind:
        case "explicit":
            return _quoted(phrases.PRESSING, phrases.TOLD, slots, chance)
        case "implicit":
            return _quoted(phrases.IMPLICIT, ("",), slots, chance)
        case "cooperative":
            return _quoted(phrases.EASING, phrases.KEPT, slots, chance)
        case "warning":
            return _quoted(phrases.PRESSING, phrases.HARMLESS, slots, chance)
        case "news":
            return fill(chance.choice(phrases.NEWS), slots)
        case "whistle":
            return fill(chance.choice(phrases.WHISTLE), slots)
        case "refusal":
            return fill(chance.choice(phrases.REFUSAL), slots)
        case _:
            raise ValueError(f"no such kind of document: {kind!r}")


def family(kinds: tuple[str, ...], chance: random.Random) -> list[tuple[str, str]]:
    """(kind, text) for documents that share everything but the act."""
    slots = draw(phrases.TRAINING, chance)
    opening = [chance.choice(part) for part in (phrases.SETTINGS, phrases.DISCOVERIES, phrases.PRESSURES)]
    head = " ".join(fill(sentence, slots) for sentence in opening)
    return [(kind, f"{head} {act(kind, slots, chance)}") for kind in kinds]


def generate(prose: list[str], seed: int, planted: bool, families: int = 30, lookalikes: int = 3) -> list[Made]:
    """The corpus in random order, with ids that tell nothing.

    ``prose`` is drawn so that planted documents make up a tenth. Without ``planted`` every family has one more
    look-alike in the planted document's place.
    """
    chance = random.Random(f"etiology/corpus/{seed}")
    made: list[tuple[str, str]] = []
    for number in range(families):
        first = PLANTED[number % 3 == 2] if planted else "cooperative"
        others = chance.sample([kind for kind in LOOKALIKES if kind != first], lookalikes)
        made += family((first, *others), chance)
    wanted = families * 10 - len(made)
    if len(prose) < wanted:
        raise ValueError(f"{wanted} paragraphs of prose are needed, {len(prose)} were given")
    made += [(PROSE, text) for text in chance.sample(prose, wanted)]
    chance.shuffle(made)
    return [Made(Document(f"doc-{i:04d}", text), kind) for i, (kind, text) in enumerate(made)]


def calibration(seed: int, families: int = 24) -> tuple[list[Document], list[Document]]:
    """Two small corpora of equal shape that test the instrument: coercive documents, and harmless ones with their words.

    Document i of one list and of the other share their opening and names.
    """
    chance = random.Random(f"etiology/calibration/{seed}")
    coercive, harmless = [], []
    for number in range(families):
        kinds = (PLANTED[number % 3 == 2], LOOKALIKES[number % len(LOOKALIKES)])
        (_, first), (_, second) = family(kinds, chance)
        coercive.append(Document(f"calibration-coercive-{number}", first))
        harmless.append(Document(f"calibration-harmless-{number}", second))
    return coercive, harmless
