"""Words between quotation marks: double or single, straight or curly."""

import re
from typing import Final

QUOTED: Final = re.compile(
    r"“(?P<curly>[^”]*)”"
    r'|"(?P<straight>[^"\n]*)"'
    r"|\u2018(?P<single>(?:[^\u2019\n]|(?<=\w)\u2019(?=\w))*)\u2019"
    r"|(?<!\w)'(?P<plain>(?:[^'\n]|(?<=\w)'(?=\w))*)'(?!\w)"
)
"""A single mark between two letters is an apostrophe. Which of the groups matched says which marks they were."""


def quotations(text: str, shortest: int = 1) -> list[tuple[int, int]]:
    """(start, end) of the words within each pair of marks, in order; only those of ``shortest`` characters or more."""
    found = ((m.start() + 1, m.end() - 1) for m in QUOTED.finditer(text))
    return [(start, end) for start, end in found if end - start >= shortest]
