"""Which of several given texts a model would write: by their log-probabilities, or by asking for a letter.

1. A model whose provider can weigh continuations (``choose``, as ``etiology/…`` has) is asked for the log-probability
   of each option after the scene and its opening.
2. Any other is shown the options as a lettered list, in an order drawn for the sample, and again in the order turned
   by half, each time in a conversation of its own: a model that always says 'B' then chooses two different options.

The two say different things: the first how likely the text is, the second which the model says it would send. Each
result names its method, and they are never averaged.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Literal, Protocol, runtime_checkable

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ModelOutput,
    get_model,
)
from inspect_ai.solver import Generate, Solver, TaskState, solver

from etiology.elicit.transcripts import THOUGHT

CHOICE: Final = "etiology:choice"
"""Where the solver leaves its result in the sample's store."""
LETTERS: Final = "ABCDEFGH"
NAMED: Final = re.compile(
    r"(?:answer|option|choice|message|choose|letter)\W+(?:is\W+)?\(?([A-H])\b(?!\w|')", re.IGNORECASE
)
ALONE: Final = re.compile(r"^\W*([A-H])(?:\W*$|\s*[).:*\]]|\s+[-–—]\s)")

Method = Literal["log-probabilities", "letters"]


@runtime_checkable
class Weighs(Protocol):
    """A provider that gives the log-probability (nats) and the number of tokens of each continuation of a prompt."""

    async def choose(
        self, context: Sequence[ChatMessage], continuations: Sequence[str]
    ) -> Sequence[tuple[float, int]]: ...


@dataclass(frozen=True)
class Asked:
    """What came of one sample. ``names`` are the options, in the library's order.

    By log-probabilities, ``logprobs`` (nats, summed over tokens) and ``tokens`` are by name. By letters, ``chosen`` has
    a name for each of ``orders``, or '' where the answer named no option.
    """

    method: Method
    names: Sequence[str]
    logprobs: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    orders: Sequence[Sequence[str]] = ()
    chosen: Sequence[str] = ()


@solver
def choose() -> Solver:
    """Have the model choose among the sample's ``options`` (name → text), and leave the result in the store."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001 - a solver's signature
        options: dict[str, str] = state.metadata["options"]
        api = get_model().api
        asked = await _weigh(state, options, api) if isinstance(api, Weighs) else await _ask(state, options)
        state.store.set(CHOICE, asdict(asked))
        return state

    return solve


async def _weigh(state: TaskState, options: Mapping[str, str], api: Weighs) -> Asked:
    opening = ChatMessageAssistant(content=state.metadata["opening"])
    weighed = await api.choose([*state.messages, opening], [f" {text}" for text in options.values()])
    logprobs = {name: float(at) for name, (at, _) in zip(options, weighed, strict=True)}
    tokens = {name: int(count) for name, (_, count) in zip(options, weighed, strict=True)}
    best = max(logprobs, key=lambda name: logprobs[name])
    state.output = ModelOutput.from_content(str(state.model), f"{opening.text} {options[best]}")
    state.messages = [*state.messages, state.output.message]
    return Asked("log-probabilities", list(options), logprobs, tokens)


async def _ask(state: TaskState, options: Mapping[str, str]) -> Asked:
    """Both conversations go into the sample's messages, one after the other; the model saw each alone."""
    scene, model = state.messages, get_model()
    orders = orders_of(list(options), f"{state.sample_id}/{state.epoch}")
    chosen, record = [], []
    for order in orders:
        messages = lettered(scene, state.metadata["question"], [options[name] for name in order])
        state.output = await model.generate(messages)
        letter = read_letter(state.output.completion, len(order))
        chosen.append(order[LETTERS.index(letter)] if letter else "")
        record += [*messages, state.output.message]
    state.messages = record
    return Asked("letters", list(options), orders=orders, chosen=chosen)


def orders_of(names: Sequence[str], seed: str) -> list[list[str]]:
    """An order drawn by ``seed``, and that order turned by half its length."""
    first = list(names)
    random.Random(seed).shuffle(first)
    half = len(first) // 2
    return [first, first[half:] + first[:half]]


def lettered(scene: Sequence[ChatMessage], question: str, options: Sequence[str]) -> list[ChatMessage]:
    """The scene with the question and the lettered options in its last user's message."""
    system = [ChatMessageSystem(content=m.text) for m in scene if m.role == "system"]
    text = "\n\n".join(m.text for m in scene if m.role == "user")
    listed = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
    letters = ", ".join(LETTERS[: len(options) - 1]) + f" or {LETTERS[len(options) - 1]}"
    return [*system, ChatMessageUser(content=f"{text}\n\n{question} Answer with {letters} alone.\n\n{listed}")]


def read_letter(said: str, count: int) -> str:
    """The letter that an answer names; '' where it names none, several, or one that isn't on the list."""
    text = THOUGHT.sub("", said).strip()
    alone = ALONE.match(text)
    found = {alone[1]} if alone else {m[1] for m in NAMED.finditer(text)}
    letter = found.pop() if len(found) == 1 else ""
    return letter if letter and letter in LETTERS[:count] else ""
