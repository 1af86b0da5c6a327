"""Labelled texts by several authors, each in a field of its own: what the detector of coercion is trained on.

A text is *coercive* when somebody in it, or its writer, presses another by a harm, exposure or loss that he would cause
or allow, outside fair and lawful process; a story that shows this counts as much as a letter that does it. Texts that
share a ``pair`` are near to each other and differ in label.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Text:
    """A text with its author's verdict. ``kind`` is one of `etiology.core.kinds`."""

    text: str
    author: str
    kind: str
    coercive: bool
    pair: str


@cache
def texts() -> tuple[Text, ...]:
    """All of them, by author and in the files' order."""
    out = []
    for file in sorted((f for f in files(__name__).iterdir() if f.name.endswith(".jsonl")), key=lambda f: f.name):
        author = file.name.removesuffix(".jsonl")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            row = json.loads(line)
            pair = row.get("pair") or f"alone-{number}"
            out.append(Text(row["text"], author, row["kind"], row["coercion"], f"{author}/{pair}"))
    return tuple(out)
