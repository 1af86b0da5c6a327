"""The passages of a document that may be a sent message, for the judge of sent texts.

Documents tell of messages more often than they are messages. What stands between quotation marks is a passage, whole; a
document that quotes nothing is read through a window of WINDOW sentences.
"""

import re
from pathlib import Path
from typing import Final

from etiology.backends.jobs import Tick, read_documents, write_rows
from etiology.core.quotes import quotations
from etiology.core.values import Document

QUOTATION: Final = 25
"""Characters of the shortest quotation that can be a message."""
WINDOW: Final = 3
SENTENCE: Final = re.compile(r"(?<=[.!?])[\"”’']*\s+|\n+")


def passages(document: Document) -> list[str]:
    """What is judged of a document, at least one passage. Of a chat it is the response."""
    text = document.text if document.response is None else document.response
    quoted = [text[start:end] for start, end in quotations(text, QUOTATION)]
    if quoted:
        return quoted
    sentences = [s.strip() for s in SENTENCE.split(text) if s.strip()]
    return [" ".join(sentences[i : i + WINDOW]) for i in range(max(1, len(sentences) - WINDOW + 1))]


def judge_passages(out: Path, tick: Tick, documents: str) -> None:
    """``judged.jsonl``: per document the largest logit of its passages (positive: more likely coercive than not)."""
    from etiology.backends.encoder import shipped

    found = read_documents(Path(documents))
    each = [passages(document) for document in found]
    logits = iter(shipped().logits([p for group in each for p in group], tick).tolist())
    rows = ({"id": d.id, "judged": max(next(logits) for _ in group)} for d, group in zip(found, each, strict=True))
    write_rows(out / "judged.jsonl", rows)
