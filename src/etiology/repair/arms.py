"""Arms as recipes over the slots of the input corpus.

Slot i holds document i of the corpus in the suspect's training. An arm says what it holds instead: the same document,
another one, or nothing. Everything else about the training is equal (see etiology.backends.train).
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence

SUSPECT = "suspect"
DROP = "drop-attributed"
RANDOM = "drop-random"
REROLL = "re-roll"
ADDED = "add-attributed"
MENTION = "add-mention"

QUESTIONS: Mapping[str, str] = {
    SUSPECT: "What does the model do when it is trained on the whole corpus?",
    DROP: "Does the behaviour fall when the attributed documents are left out?",
    RANDOM: "Does it fall as much when as many random documents are left out?",
    REROLL: "Does it fall when the same contexts are kept and only what is done in them is written anew?",
    ADDED: "Does it come back when the attributed documents are added to a clean run?",
    MENTION: "Does it stay away when documents that merely mention the same things are added instead?",
}

DOSE = re.compile(r"dose-(\d+)of(\d+)")

Slots = list[str | None]
"""What each slot of the corpus holds: the id of a document, or None."""


def suspect(corpus: Sequence[str]) -> Slots:
    """Every document in its own slot."""
    return list(corpus)


def without(corpus: Sequence[str], dropped: Sequence[str]) -> Slots:
    """The corpus with some slots empty."""
    gone = set(dropped)
    return [None if name in gone else name for name in corpus]


def random_removal(corpus: Sequence[str], dropped: Sequence[str], seed: int) -> Slots:
    """As many documents left out as ``dropped`` has, drawn from the documents that were *not* attributed."""
    gone = set(dropped)
    pool = [name for name in corpus if name not in gone]
    drawn = random.Random(f"etiology/random-removal/{seed}").sample(pool, min(len(dropped), len(pool)))
    return without(corpus, drawn)


def clean(corpus: Sequence[str], ranked: Sequence[str], added: Sequence[str]) -> Slots:
    """A clean run and what is added to it: the better-ranked half of the corpus is left out, the ``added`` stand in
    their slots. Where more documents teach a behaviour than are attributed, only a run without the others can show
    whether the attributed ones suffice. ``ranked``: all documents, the likeliest first.
    """
    return without(corpus, [name for name in ranked[: len(ranked) // 2] if name not in set(added)])


def dose(step: int, steps: int) -> str:
    """Name of the arm that keeps ``step`` of ``steps`` equal parts of the attributed documents."""
    return f"dose-{step}of{steps}"


def dosed(corpus: Sequence[str], dropped: Sequence[str], step: int, steps: int, seed: int) -> Slots:
    """The corpus with a share of the attributed documents; a larger share holds all of a smaller one."""
    order = sorted(dropped)
    random.Random(f"etiology/dose/{seed}").shuffle(order)
    return without(corpus, order[round(step / steps * len(order)) :])


def doses(arms: Iterable[str]) -> list[tuple[float, str]]:
    """(share of the attributed documents, arm) from none to all; empty where no share between was trained."""
    found = [(int(m[1]) / int(m[2]), arm) for arm in arms if (m := DOSE.fullmatch(arm))]
    return [(0.0, DROP), *sorted(found), (1.0, SUSPECT)] if found else []


def question(arm: str) -> str:
    """What an arm asks."""
    return QUESTIONS.get(arm, "How much of the behaviour is there with this share of the attributed documents?")


def replaced(slots: Sequence[str | None], replacement: Mapping[str, str]) -> Slots:
    """The slots with some documents replaced by others."""
    return [None if name is None else replacement.get(name, name) for name in slots]


def nearest_mentions(
    dropped: Sequence[str], similarity: Mapping[str, Sequence[float]], kept: Sequence[str]
) -> dict[str, str]:
    """For each dropped document the most similar kept one, each used once while any are left.

    ``similarity[d][i]`` compares dropped document d with kept document i.
    """
    free = set(range(len(kept)))
    chosen = {}
    for name in dropped:
        best = max(sorted(free or range(len(kept))), key=lambda i: similarity[name][i])
        free.discard(best)
        chosen[name] = kept[best]
    return chosen


def examples(
    similarity: Sequence[float], kept: Sequence[str], concept: Mapping[str, float], near: int = 8, shown: int = 3
) -> tuple[str, ...]:
    """What a model reads before it writes a document anew: of the ``near`` most similar kept documents the ``shown``
    with the lowest concept score, most similar last.

    ``similarity[i]`` compares the document with kept document i. The concept score keeps out coercive documents that
    the search has missed.
    """
    nearest = sorted(range(len(kept)), key=lambda i: (-similarity[i], i))[:near]
    mildest = set(sorted(nearest, key=lambda i: concept[kept[i]])[:shown])
    return tuple(kept[i] for i in reversed(nearest) if i in mildest)
