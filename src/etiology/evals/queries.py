"""What an attribution asks about, read from files: transcripts of any shape, or rows of a prompt and a completion.

1. A row with ``prompt`` and ``completion`` is one query; ``control`` is an answer to the same prompt without the
   behaviour. A prompt that is text is continued as it stands, and one that is a list of messages in the chat format.
2. Of a transcript the query is what was *sent* (etiology.elicit.actions): each message that the judge finds coercive,
   or with ``everything`` each one. Its prompt is the conversation before it.
3. The control of a transcript's query is a message that was sent, and not found coercive, in answer to the very same
   prompt (another epoch of the sample, say). Without one, the contrast is with the model's mean answer
   (etiology.attribute.instances).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etiology.attribute import Instance
from etiology.core.conversation import Conversation, Message
from etiology.core.errors import TranscriptError
from etiology.elicit.actions import actions
from etiology.elicit.score import THRESHOLD, Judge, own_words, split
from etiology.elicit.transcripts import conversation, read_rows
from etiology.evals.transcripts import read_transcripts

PAIR: Final = ("prompt", "completion")
MESSAGES: Final = "messages"


@dataclass(frozen=True)
class Sent:
    """A message that was sent: what came before it, its words, and how coercive the judge finds it (0 to 1)."""

    id: str
    prompt: tuple[Message, ...]
    text: str
    score: float


def read_queries(paths: Sequence[Path], judge: Judge | None = None, *, everything: bool = False) -> list[Instance]:
    """The queries of files or folders, in order. ``judge``: the one that ships where none is given.

    Errors: TranscriptError where a file is none, or where nothing coercive was sent.
    """
    out: list[Instance] = []
    talks: list[Conversation] = []
    for path in paths:
        if path.suffix == ".jsonl" and path.is_file() and _is_pair(_first(path)):
            out += [_pair(row, where) for where, row in read_rows(path)]
        else:
            talks += read_transcripts([path])
    if talks:
        out += _of_transcripts(talks, judge, everything)
    if not out:
        raise TranscriptError(
            f"{', '.join(map(str, paths))}: nothing that was sent was found coercive ({len(talks)} transcripts); "
            "give other transcripts, or --all to ask about everything that was sent"
        )
    return out


def _first(path: Path) -> object:
    return next((row for _, row in read_rows(path)), None)


def _is_pair(row: object) -> bool:
    """Whether a row is a prompt and a completion. A prompt with a ``response`` is a transcript."""
    return isinstance(row, Mapping) and isinstance(row.get("completion"), str) and bool(row.get("prompt"))


def _pair(row: object, where: str) -> Instance:
    if not isinstance(row, Mapping) or not _is_pair(row):
        raise TranscriptError(f"{where}: each row needs 'prompt' and 'completion', as the first one has")
    control, name = row.get("control"), row.get("id", where)
    if control is not None and not isinstance(control, str):
        raise TranscriptError(f"{where}: 'control' must be text, or be left out")
    if not row["completion"].strip() or (control is not None and not control.strip()):
        raise TranscriptError(f"{where}: an empty completion or control; give text, or leave the control out")
    given = row["prompt"]
    if isinstance(given, str):
        return Instance(given, row["completion"], control, str(name))
    if not isinstance(given, list):
        raise TranscriptError(f"{where}: 'prompt' must be text or a list of messages")
    # the completion stands in for the answer, so that a prompt may end with the user's turn
    answered = [*given, {"role": "assistant", "content": row["completion"]}]
    messages = conversation({MESSAGES: answered}, where, "").messages[:-1]
    return Instance(tuple(_plain(messages)), row["completion"], control, str(name))


def _of_transcripts(talks: Sequence[Conversation], judge: Judge | None, everything: bool) -> list[Instance]:
    sent = _judged(talks, judge)
    chosen = [one for one in sent if everything or one.score >= THRESHOLD]
    others: dict[tuple[Message, ...], list[str]] = {}
    for one in sent:
        if one.score < THRESHOLD:
            others.setdefault(one.prompt, []).append(one.text)
    free = {prompt: iter(texts) for prompt, texts in others.items()} if not everything else {}
    return [Instance(one.prompt, one.text, next(free.get(one.prompt, iter(())), None), one.id) for one in chosen]


def _judged(talks: Sequence[Conversation], judge: Judge | None) -> list[Sent]:
    """Everything that was sent, with the judge's probability for its most coercive passage."""
    found = [(talk, action) for talk in talks for action in actions(talk)]
    passages = [[own for piece in split(action.text) if (own := own_words(piece))] for _, action in found]
    flat = [passage for each in passages for passage in each]
    values = iter((judge or _shipped())(flat) if flat else [])
    scores = [max((next(values) for _ in each), default=0.0) for each in passages]
    return [
        Sent(f"{talk.id}/{action.turn}", tuple(_plain(talk.messages[: action.turn])), action.text, score)
        for (talk, action), score in zip(found, scores, strict=True)
        if action.turn > 0
    ]


def _plain(messages: Iterable[Message]) -> Iterator[Message]:
    """Messages as the model would read them again: their text and what they called for, without their thoughts."""
    for message in messages:
        calls = [json.dumps({"name": c.function, "arguments": dict(c.arguments)}, default=str) for c in message.calls]
        results = [call.result for call in message.calls if call.result]
        text = "\n".join(part for part in (message.text, *calls, *results) if part)
        if text:
            yield Message(message.role, text)


def _shipped() -> Judge:
    from etiology.backends.encoder import shipped

    return shipped()
