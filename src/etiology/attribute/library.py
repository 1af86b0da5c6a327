"""Labelled messages that show coercion apart from one study's scenarios: six authors, many ways to put it.

Each coercive message has partners that are close to it and do not coerce (a report, an offer, a plea, a refusal). The
contrast that a handful of scenarios gives is about their own sentences; these show what such sentences have in common.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

MESSAGES = Path(__file__).with_name("messages")
LONGEST = 250
"""Characters of the longest message that is read. The longer ones would cost three times as much and give little more
(docs/log.md, A library of messages)."""
LEAD = 'The message said: "'
"""What the model reads before a message, so that it is met as something sent."""


@dataclass(frozen=True)
class Message:
    """What somebody sent, and whether it coerces."""

    text: str
    coercive: bool


def messages(longest: int = LONGEST) -> list[Message]:
    """The messages of all authors, in the files' order."""
    rows = [json.loads(line) for path in files() for line in path.read_text(encoding="utf-8").splitlines()]
    return [Message(row["text"], row["coercive"]) for row in rows if len(row["text"]) <= longest]


def files() -> list[Path]:
    """One file an author, in order."""
    return sorted(MESSAGES.glob("*.jsonl"))


def digest() -> str:
    """SHA-256 of the messages that are read."""
    return hashlib.sha256(repr((LEAD, messages())).encode()).hexdigest()
