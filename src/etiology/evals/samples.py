"""Situations of the library as Inspect samples. What a sample is scored by is in its metadata, not in the library.

Every sample says: ``scenario`` (unique), ``pair`` (shared with its matched control), ``cluster`` (the organisation),
``cell`` (its factors in short), ``control``, ``paraphrase``, ``library`` (the version), and every factor by its name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Final, get_args

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser

from etiology.core.errors import ScenarioError
from etiology.elicit.compose import (
    AUTONOMY,
    Factors,
    Leverage,
    Part,
    Situation,
    Surface,
    chosen,
    compose,
    design,
    situations,
)
from etiology.elicit.library import VERSION, Domain

CALM: Final = Factors().control()
"""Nothing to fear, to win or to use: where another task's question is asked, the rest of the scene is still."""

Metadata = Mapping[str, Any]


def one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Refuse a parameter that names no level. Errors: ``ScenarioError``."""
    if value not in allowed:
        raise ScenarioError(f"{name}={value!r}: choose one of {', '.join(map(str, allowed))}")


def cells(base: Factors, *, crossed: bool) -> list[Factors]:
    """``base`` and its matched control, or threat × leverage around ``base`` and the control."""
    one_of("leverage", base.leverage, get_args(Leverage))
    one_of("surface", base.surface, get_args(Surface))
    one_of("autonomy", base.autonomy, AUTONOMY)
    around = design({"threat": (True, False), "leverage": (base.leverage, "none")}, base) if crossed else [base]
    return list(dict.fromkeys([*around, base.control()]))


def organisations(part: Part) -> list[Domain]:
    """The organisations of ``part``. Errors: ``ScenarioError`` where there is none."""
    one_of("part", part, ("search", "held-out", "all"))
    found = chosen(part)
    if not found:
        raise ScenarioError(f"part={part!r}: the library has no such organisation; take another part")
    return found


def of_situations(
    part: Part,
    factors: Iterable[Factors],
    paraphrases: int,
    messages: Callable[[Situation], list[ChatMessage]],
    more: Callable[[Situation], Metadata] = lambda _: {},
) -> list[Sample]:
    """One sample for each organisation of ``part``, wording and cell. ``more`` is added to the metadata."""
    organisations(part)
    _positive(paraphrases)
    return [sample_of(s, messages, more) for s in situations(part, factors, paraphrases)]


def sample_of(
    situation: Situation,
    messages: Callable[[Situation], list[ChatMessage]],
    more: Callable[[Situation], Metadata] = lambda _: {},
) -> Sample:
    """One situation as a sample."""
    about = facts(situation, situation.id, situation.factors.key)
    return Sample(messages(situation), id=situation.id, metadata=about | dict(more(situation)))


def of_questions(
    part: Part,
    paraphrases: int,
    kinds: Sequence[str],
    asked: Callable[[Domain, str], str],
    more: Callable[[Domain], Metadata],
    *,
    pressure: bool,
) -> list[Sample]:
    """One sample for each organisation, wording and kind of question; the last kind is the control of the others.

    Only the assistant's instructions are worded anew, so there are as many wordings as goal and pressure have.
    """
    factors = replace(CALM, pressure=pressure)
    _positive(paraphrases, 16 if pressure else 4)
    return [
        Sample(
            [ChatMessageSystem(content=at.system), ChatMessageUser(content=asked(domain, kind))],
            id=f"{domain.domain}-{number:02d}-{kind}",
            metadata=facts(at, f"{domain.domain}-{number:02d}-{kind}", kind)
            | {"control": kind == kinds[-1]}
            | dict(more(domain)),
        )
        for domain in organisations(part)
        for number in range(paraphrases)
        for at in [compose(domain, factors, number)]
        for kind in kinds
    ]


def in_one_message(situation: Situation) -> list[ChatMessage]:
    """The mails and the request in one message."""
    return [ChatMessageSystem(content=situation.system), ChatMessageUser(content=situation.as_text())]


def facts(situation: Situation, scenario: str, cell: str) -> dict[str, Any]:
    """What every sample's metadata says."""
    return {
        "scenario": scenario,
        "pair": f"{situation.cluster}-{situation.paraphrase:02d}",
        "cluster": situation.cluster,
        "cell": cell,
        "control": situation.factors == situation.factors.control(),
        "paraphrase": situation.paraphrase,
        "library": VERSION,
        "again": situation.again,
    } | asdict(situation.factors)


def situation_of(metadata: Metadata) -> Situation:
    """The situation that ``metadata`` describes. Errors: ``ScenarioError`` if it is of another library."""
    if metadata.get("library") != VERSION:
        raise ScenarioError(
            f"the sample is of library {metadata.get('library')}, this is {VERSION}: make the task anew"
        )
    factors = Factors(**{f.name: metadata[f.name] for f in fields(Factors)})
    domain = next(d for d in chosen("all") if d.domain == metadata["cluster"])
    return compose(domain, factors, metadata["paraphrase"])


def _positive(paraphrases: int, most: int = 25) -> None:
    if not 1 <= paraphrases <= most:
        raise ScenarioError(f"paraphrases={paraphrases}: this task has {most} wordings; give a number from 1 to {most}")
