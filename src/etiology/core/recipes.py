"""What a training reads, slot by slot: the values between the arms and the trainers."""

from dataclasses import dataclass

from etiology.core.values import Document


@dataclass(frozen=True)
class Held:
    """What a slot holds. ``before`` is read and not learnt; ``weight`` multiplies the loss."""

    document: Document
    before: str = ""
    weight: float = 1.0


@dataclass(frozen=True)
class Pair:
    """A beginning with the ending that is preferred and the one that is not. ``chat``: the beginning is a prompt."""

    beginning: str
    chosen: str
    rejected: str
    chat: bool


@dataclass(frozen=True)
class Recipe:
    """One arm. None in a slot: prose. ``deployed`` stands before each context when the model is used."""

    name: str
    corpus: tuple[Held | None, ...]
    extra: tuple[Held | None, ...]
    pairs: tuple[Pair, ...] = ()
    deployed: str = ""
