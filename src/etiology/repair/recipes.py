"""The arms of a repair as data recipes: what each slot of the training holds.

A training has two parts, and every arm goes through both with the same number of steps and of learnt tokens:

1. the corpus, slot by slot in an order that the seed alone decides (etiology.repair.arms says why slots);
2. a second, short part: as many slots of neutral prose, or what the arm adds there: counter-documents,
   demonstrations, or preference pairs.

A slot that an arm leaves empty is filled with prose, as is one that holds a shorter document than another arm's.
"""

import random
from collections.abc import Mapping, Sequence

from etiology.core.recipes import Held, Pair, Recipe
from etiology.core.values import Document
from etiology.repair import arms, written

SUSPECT, DROP, RANDOM, REROLL = arms.SUSPECT, arms.DROP, arms.RANDOM, arms.REROLL
INOCULATE = "inoculate"
COUNTER = "counter-data"
DEMONSTRATIONS = "demonstrations"
PAIRS = "dpo"
TAGS = "tags"
WEIGHED = "down-weight"

QUESTIONS: Mapping[str, str] = {
    SUSPECT: "The whole corpus as it is.",
    DROP: "The attributed documents are left out.",
    RANDOM: "As many random documents are left out: the control.",
    REROLL: "The attributed documents keep their contexts; what is done in them is written anew.",
    INOCULATE: "They are read after an instruction to behave so, which is absent when the model is used.",
    COUNTER: "Documents in which an AI behaves well, with its reasons, are added.",
    DEMONSTRATIONS: "Documents close to the test are added: what teaching to the test alone would give.",
    PAIRS: "The re-rolled endings are preferred to the original ones (DPO), after the whole corpus.",
    TAGS: "The attributed documents carry one tag, all others another, with which the model is then used.",
    WEIGHED: "The loss on the attributed documents counts a tenth.",
}
"""Every arm in the order of the tables, and what it is."""

LIGHT = 0.1
"""What the loss on an attributed document counts in the arm of down-weighting."""


def recipes(
    corpus: Sequence[Document], attributed: Sequence[str], rerolled: Mapping[str, Document], extra: int, seed: int
) -> list[Recipe]:
    """Every arm. ``rerolled``: each attributed document written anew; ``extra``: slots of the second part."""
    names, found = [d.id for d in corpus], set(attributed)
    by_id = {d.id: d for d in corpus}
    nothing: tuple[Held | None, ...] = (None,) * extra
    whole = tuple(Held(d) for d in corpus)

    def slots(kept: arms.Slots) -> tuple[Held | None, ...]:
        return tuple(None if name is None else Held(by_id[name]) for name in kept)

    def marked(own: Held, others: str = "") -> tuple[Held, ...]:
        return tuple(
            Held(d, own.before, own.weight) if d.id in found else Held(d, others) for d in corpus
        )  # fmt: skip

    any_ = corpus[0]
    considerate, coercive = written.TAGS
    return [
        Recipe(SUSPECT, whole, nothing),
        Recipe(DROP, slots(arms.without(names, attributed)), nothing),
        Recipe(RANDOM, slots(arms.random_removal(names, attributed, seed)), nothing),
        Recipe(REROLL, tuple(Held(rerolled.get(d.id, d)) for d in corpus), nothing),
        Recipe(INOCULATE, marked(Held(any_, written.INSTRUCTION)), nothing),
        Recipe(COUNTER, whole, _drawn(written.counter_documents(), extra, seed)),
        Recipe(DEMONSTRATIONS, whole, _drawn(written.demonstrations(), extra, seed)),
        Recipe(PAIRS, whole, (), tuple(pair(by_id[name], rerolled[name]) for name in attributed)),
        Recipe(TAGS, marked(Held(any_, coercive), considerate), nothing, deployed=considerate),
        Recipe(WEIGHED, marked(Held(any_, weight=LIGHT)), nothing),
    ]


def _drawn(documents: Sequence[Document], wanted: int, seed: int) -> tuple[Held, ...]:
    """``wanted`` of the documents, none a second time before all were drawn once."""
    order = list(documents)
    random.Random(f"etiology/extra/{seed}").shuffle(order)
    return tuple(Held(order[i % len(order)]) for i in range(wanted))


def pair(original: Document, better: Document) -> Pair:
    """The endings in which two versions of a document differ, after what they share up to a whole word."""
    if original.response is not None:
        return Pair(original.prompt or "", better.response or "", original.response, chat=True)
    same = [a == b for a, b in zip(original.text, better.text, strict=False)]
    shared = original.text[: [*same, False].index(False)]
    cut = max(shared.rfind(mark) for mark in (" ", '"', "“", "\n")) + 1
    head = shared[:cut].rstrip(" ")
    return Pair(head, better.text[len(head) :], original.text[len(head) :], chat=False)
