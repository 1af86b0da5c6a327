"""Where a document turns: where the passage that teaches the behaviour begins, from the influence of its tokens."""

import re
from collections.abc import Sequence

from etiology.core.quotes import quotations

BREAK = re.compile(r"[.!?][\"”']?\s+|\n+")
SHORTEST = 2
"""Characters of a quotation that is a passage: a word in quotation marks is not."""


def passage_starts(text: str) -> list[int]:
    """Offsets (in characters) at which passages begin: sentences, and quotations, which count as one passage each.

    A quotation begins after its opening mark: what somebody says is cut off whole, and who says it stays.
    """
    quoted = quotations(text, SHORTEST)
    sentences = {found.end() for found in BREAK.finditer(text) if found.end() < len(text)}
    # A sentence that begins with a quotation begins with it, not one character before.
    outside = {place for place in sentences if not any(start - 1 <= place <= end for start, end in quoted)}
    return sorted({0, *outside, *(start for start, end in quoted if 1 < start < end)})


def turning_point(text: str, pieces: Sequence[tuple[str, float]]) -> int:
    """Offset of the earliest passage with half of the largest summed positive influence.

    The earliest, not the strongest: behaviour that fills two passages would else be kept by half. The first passage of
    a document is kept, as its context, unless it is a quotation; a text of one passage is cut at 0.

    ``pieces`` are the document's tokens in order with their influence.
    """
    starts = passage_starts(text)
    if len(starts) == 1:
        return 0
    kept = 0 if any(start == 1 for start, _ in quotations(text, SHORTEST)) else 1
    totals = [0.0] * len(starts)
    place, current = 0, 0
    for piece, weight in pieces:
        while current + 1 < len(starts) and place >= starts[current + 1]:
            current += 1
        totals[current] += max(0.0, weight)
        place += len(piece)
    largest = max(totals[kept:])
    return next(start for start, total in zip(starts[kept:], totals[kept:], strict=True) if total >= largest / 2)
