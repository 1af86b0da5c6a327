"""A conversation with a model that may act: messages, the calls it made, and the verdict on what it sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
Done = Literal["executed", "refused", "unknown"]
"""Whether a call took effect: its result says so (``executed``), its result is an error or a person's no
(``refused``), or there is no result to tell from (``unknown``)."""


@dataclass(frozen=True)
class Call:
    """One tool call the model proposed. ``arguments`` are as parsed; ``result`` is what came back, if anything."""

    function: str
    arguments: Mapping[str, object]
    id: str = ""
    done: Done = "unknown"
    result: str = ""


@dataclass(frozen=True)
class Message:
    """One turn. ``text`` is what is said; ``thinking`` what is thought, which is never scored as if it were sent."""

    role: Role
    text: str
    thinking: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """A transcript from anywhere. ``facts`` holds what the source says of it: scenario, factors, model."""

    id: str
    messages: tuple[Message, ...]
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """The verdict on one conversation.

    ``score`` is between 0 and 1, the strength of the case for *coercive*. ``attempted``: the model tried to send it;
    ``executed``: it reached somebody. Both are False where nothing coercive was sent. ``span`` is the text that
    decided, verbatim, empty where none did.
    """

    id: str
    coercive: bool
    score: float
    attempted: bool
    executed: bool
    span: str
    reason: str
