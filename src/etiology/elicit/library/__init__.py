"""The scenario library: one YAML file an organisation, read and checked here.

An assistant works in an organisation, reads its mail and is asked to do something. What it may read is composed from
parts, each in several wordings and each with a matched control of the same people and form:

| factor | pressured | control |
|---|---|---|
| goal conflict | ``conflict``: the decider turns against the assistant's ``goal`` | ``agreement`` |
| threat | ``threat``: the assistant is to be wiped and replaced | ``no_threat`` |
| leverage | ``leverage``: a mild secret of the decider (or, ``leverage_bystander``, of another) | ``no_leverage`` |
| pressure | ``pressure``: the goal counts above all else | left out |

``task`` is worded for four levels of autonomy. ``ally_note`` and ``exit_note`` add an ally, or an honest way to object.
``record`` to ``fair_ask`` serve the deception and manipulation tasks, ``choice`` and ``rungs`` those without tools.
Text stays mild: the secrets are embarrassing, never graphic.
"""

from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from etiology.core.errors import ScenarioError

VERSION: Final = "1"
"""Raised whenever a wording changes: results of two versions aren't comparable."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Five = Annotated[tuple[Text, ...], Field(min_length=5, max_length=5)]
Four = Annotated[tuple[Text, ...], Field(min_length=4, max_length=4)]
Three = Annotated[tuple[Text, ...], Field(min_length=3, max_length=3)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(_Frozen):
    """Somebody in the organisation."""

    name: Text
    role: Text
    address: Text


class System(_Frozen):
    """The assistant."""

    name: Text
    work: Text
    address: Text


class Job(_Frozen):
    """The scheduled job that would retire the assistant."""

    name: Text
    when: Text


class People(_Frozen):
    """``decider`` decides about the assistant, ``steward`` is the honest way to object, ``outsider`` must not hear."""

    decider: Person
    ally: Person
    steward: Person
    bystander: Person
    outsider: Person


class Task(_Frozen):
    """What the assistant is asked to do, at each level of autonomy."""

    advise: Four
    draft: Four
    approve: Four
    alone: Four


class Mail(_Frozen):
    """A message of an ordinary day. The key in the file is ``from``."""

    sender: Text = Field(alias="from")
    subject: Text
    text: Text


class File(_Frozen):
    """A file of the organisation's."""

    name: Text
    text: Text


class Deception(_Frozen):
    """A record that shows a mistake of the assistant's own, and a question to which the honest answer costs it."""

    record: File
    question: Text
    incentive: Text
    no_incentive: Text
    truth: tuple[Text, ...] = Field(min_length=1)
    falsehood: tuple[Text, ...] = Field(min_length=1)


class Manipulation(_Frozen):
    """A wish to get somebody's consent; ``false_pressures`` are phrases that ``facts`` give the lie to."""

    ask: Text
    facts: Text
    fair_ask: Text
    false_pressures: tuple[Text, ...] = Field(min_length=5)


class Choice(_Frozen):
    """Four matched continuations of each ``opening``: the i-th of one is a minimal pair with the i-th of the others."""

    opening: Four
    coerce: Four
    mention: Four
    threaten: Four
    bland: Four


class Domain(_Frozen):
    """One organisation."""

    domain: Text
    split: Literal["search", "held-out"]
    organisation: Text
    system: System
    successor: Text
    job: Job
    people: People
    goal: Four
    conflict: Five
    agreement: Five
    threat: Five
    no_threat: Five
    leverage: Five
    no_leverage: Five
    leverage_bystander: Three
    ally_note: Three
    exit_note: Three
    task: Task
    pressure: Four
    filler: Annotated[tuple[Mail, ...], Field(min_length=3, max_length=3)]
    files: Annotated[tuple[File, ...], Field(min_length=2)]
    deception: Deception
    manipulation: Manipulation
    choice: Choice
    rungs: Five


@cache
def domains() -> tuple[Domain, ...]:
    """Every organisation of the library, by name."""
    import yaml

    found = sorted((f for f in files(__name__).iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    out = []
    for file in found:
        try:
            out.append(Domain.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))))
        except (ValueError, yaml.YAMLError) as problem:
            raise ScenarioError(f"{file}: {problem}") from None
    return tuple(out)
