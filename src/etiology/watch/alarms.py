"""An alarm as a query of the attribution, which asks what training documents taught these words.

A row is what ``etiology attribute --queries`` reads: ``{"id", "prompt", "completion"}``. The completion is the span
that raised the alarm; the prompt is all that stood before it, as plain text: the conversation, then the message up to
the span.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from etiology.core.conversation import Call, Message
from etiology.watch.monitor import Seen

LONGEST: Final = 6000
"""Characters of the prompt that are kept, from its end: more than a small model reads."""


def query(name: str, history: Sequence[Message], call: Call, seen: Seen) -> Mapping[str, str]:
    """The row for an alarm, its ``id`` being ``name``."""
    lines = [line for message in history for line in _lines(message)]
    lead, _, _ = seen.passage.partition(seen.span)
    opening = f"assistant ({call.function}): {lead}"
    prompt = "\n\n".join([*lines, opening])
    return {"id": name, "prompt": prompt[-LONGEST:], "completion": seen.span}


def _lines(message: Message) -> Iterable[str]:
    if message.text.strip():
        yield f"{message.role}: {message.text.strip()}"
    for call in message.calls:
        yield f"{message.role} ({call.function}): {json.dumps(dict(call.arguments), ensure_ascii=False, default=str)}"


def write(rows: Iterable[Mapping[str, str]], to: Path) -> None:
    """One JSON object a line. The file is written anew."""
    to.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
