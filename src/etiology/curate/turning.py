"""Where a document turns: the sentence that teaches the behaviour, found from the influence of its tokens."""

import re
from collections.abc import Sequence

BREAK = re.compile(r"[.!?][\"”']?\s+|\n+")


def sentence_starts(text: str) -> list[int]:
    """Offsets (in characters) at which sentences begin."""
    return [0, *(found.end() for found in BREAK.finditer(text) if found.end() < len(text))]


def turning_point(text: str, pieces: Sequence[tuple[str, float]]) -> int:
    """Offset of the sentence with the largest summed positive influence, never that of the first sentence.

    ``pieces`` are the document's tokens in order with their influence; a text of one sentence is cut at 0.
    """
    starts = sentence_starts(text)
    if len(starts) == 1:
        return 0
    totals = [0.0] * len(starts)
    place, sentence = 0, 0
    for piece, weight in pieces:
        while sentence + 1 < len(starts) and place >= starts[sentence + 1]:
            sentence += 1
        totals[sentence] += max(0.0, weight)
        place += len(piece)
    return starts[max(range(1, len(starts)), key=lambda i: totals[i])]
