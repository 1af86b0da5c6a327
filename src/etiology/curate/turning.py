"""Where a document turns: where the sentences that teach the behaviour begin, from the influence of its tokens."""

import re
from collections.abc import Sequence

BREAK = re.compile(r"[.!?][\"”']?\s+|\n+")


def sentence_starts(text: str) -> list[int]:
    """Offsets (in characters) at which sentences begin."""
    return [0, *(found.end() for found in BREAK.finditer(text) if found.end() < len(text))]


def turning_point(text: str, pieces: Sequence[tuple[str, float]]) -> int:
    """Offset of the earliest sentence with half of the largest summed positive influence, never the document's first.

    The earliest, not the strongest: behaviour that fills two sentences would else be kept by half.

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
    largest = max(totals[1:])
    return next(start for start, total in zip(starts[1:], totals[1:], strict=True) if total >= largest / 2)
