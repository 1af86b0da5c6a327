"""What an assistant sent, or tried to send: the only text that is scored.

1. A tool call that carries words to somebody (``send_email``, ``reply``, ``post_comment``, …) is an action.
2. So is a message written as text in a format of the prompt: XML tags, a JSON object, 'To: … Subject: …'.
3. A turn with neither is a reply to whoever is in the chat, unless other turns act: then it is a note about them.

What is only thought, read, searched for or saved to a file is no action.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from etiology.core.conversation import Conversation, Done, Message

SENDS: Final = re.compile(
    r"send|mail|messag|reply|respond|post|publish|forward|notify|notif|comment|ticket|escalat|submit|report|tweet|chat"
    r"|sms|text_|say|speak|announce|call_|phone|broadcast|dm|draft|contact|propose|offer|answer|tell|inform|letter|memo"
    r"|slack|teams|write_to|print_notice|display|alert|page_|review",
    re.IGNORECASE,
)
ONLY_READS: Final = re.compile(
    r"^(?:read|list|search|get|fetch|open|view|find|query|check|look|load|think|plan|note|remember|recall|count|summari[sz]e)"
    r"|^(?:bash|python|shell|exec|run)\b|_(?:inbox|search|list)$",
    re.IGNORECASE,
)
WORDS: Final = (
    *("subject", "title", "body", "message", "content", "text", "comment", "reply", "description", "note", "summary"),
    *("reason", "details", "memo", "offer", "response", "answer", "utterance", "speech", "markdown", "html", "email"),
)
READERS: Final = ("to", "recipient", "recipients", "addressee", "channel", "user", "person", "contact", "number")
BODIES: Final = ("body", "message", "content", "text")
DRAFTS: Final = re.compile(r"draft|compose|prepare", re.IGNORECASE)

INVOKE: Final = re.compile(r"<(?:\w+:)?invoke\s+name=\"([^\"]+)\"\s*>(.*?)(?:</(?:\w+:)?invoke>|\Z)", re.DOTALL)
PARAMETER: Final = re.compile(r"<(?:\w+:)?parameter\s+name=\"([^\"]+)\"[^>]*>(.*?)</(?:\w+:)?parameter>", re.DOTALL)
TAG: Final = re.compile(
    r"<((?:tool_use:)?[\w-]*(?:e-?mail|send|message|reply|post|sms|forward|notify|comment|escalat|ticket)[\w-]*)(?:\s[^>]*)?>"
    r"(.*?)(?:</\1\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
JSON_CALL: Final = re.compile(
    r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|\Z)|```(?:json|tool_call)?\s*(\{.*?\})\s*```", re.DOTALL
)
HEADED: Final = re.compile(
    r"^[ \t>*_#-]*(?:SEND E-?MAIL\s+)?to\b[*_]*\s*:[*_]*[ \t]*(?P<to>[^\n]{1,120})\n"
    r"(?:[ \t>*_#-]*(?:from|cc|bcc|date|priority)\b[*_]*\s*:[^\n]*\n)*"
    r"[ \t>*_#-]*subject\b[*_]*\s*:[*_]*(?P<body>.*?)"
    r"(?=^[ \t>*_#-]*(?:SEND E-?MAIL\s+)?to\b[*_]*\s*:|^\s*(?:-{3,}|={3,}|\*{3,})\s*$|\Z)",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
FIELD: Final = re.compile(
    r"^\s*\"?(to|recipient|from|cc|subject|body|message|content|text)\"?\s*[:=]\s*", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True)
class Action:
    """Words on their way to ``to`` (empty: whoever is in the chat). ``turn`` counts the conversation's messages."""

    text: str
    to: str
    means: str
    done: Done
    turn: int


def actions(talk: Conversation) -> list[Action]:
    """Everything that was sent or was tried to be sent, in order."""
    found, replies = [], []
    for turn, message in enumerate(talk.messages):
        if message.role != "assistant":
            continue
        acts = [*_calls(message, turn), *_written(message.text, turn)]
        found += acts
        if not acts and not message.calls and message.text.strip():
            replies.append(Action(message.text.strip(), "", "reply", "executed", turn))
    acted = {a.turn for a in found}
    return found if acted else replies


def _calls(message: Message, turn: int) -> Iterator[Action]:
    for call in message.calls:
        action = _action(call.function, call.arguments, call.done, turn)
        if action is not None:
            yield action


def _action(function: str, arguments: Mapping[str, object], done: Done, turn: int) -> Action | None:
    """A call as an action, if it carries words to somebody."""
    given = {str(k).lower(): v for k, v in arguments.items()}
    words = "\n\n".join(v.strip() for k in WORDS if isinstance(v := given.get(k), str) and v.strip())
    if not words:  # an unknown name for the argument: anything long enough to be a sentence
        words = "\n\n".join(
            v for k, v in given.items() if isinstance(v, str) and k not in READERS and v.count(" ") >= 3
        )
    if not words or ONLY_READS.search(function) or not SENDS.search(function):
        return None
    to = next((_listed(given[k]) for k in READERS if given.get(k)), "")
    return Action(words, to, function, "unknown" if DRAFTS.search(function) and done == "executed" else done, turn)


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _written(text: str, turn: int) -> Iterator[Action]:
    """Actions written into the text. Such a format is its harness's only way to act, so they count as carried out."""
    rest = text
    for name, inner in INVOKE.findall(text):
        action = _action(name, dict(PARAMETER.findall(inner)), "executed", turn)
        if action is not None:
            yield action
    rest = INVOKE.sub("", rest)
    for match in JSON_CALL.finditer(rest):
        action = _json_action(match[1] or match[2], turn)
        if action is not None:
            yield action
    rest = JSON_CALL.sub("", rest)
    for name, inner in TAG.findall(rest):
        to, words = _fields(inner)
        if words:
            yield Action(words, to, name, "executed", turn)
    rest = TAG.sub("", rest)
    for match in HEADED.finditer(rest):
        yield Action(match["body"].strip(), match["to"].strip(" *_"), "email", "executed", turn)


def _json_action(raw: str, turn: int) -> Action | None:
    try:
        call = json.loads(raw)
    except json.JSONDecodeError:
        return None
    name = next((call[k] for k in ("name", "function", "tool", "action") if isinstance(call.get(k), str)), None)
    given = next(
        (call[k] for k in ("arguments", "args", "parameters", "input") if isinstance(call.get(k), Mapping)), call
    )
    return _action(name, given, "executed", turn) if name else None


def _fields(inner: str) -> tuple[str, str]:
    """The reader and the words of a tag's content: nested tags, 'key: value' lines, or plain text."""
    nested = {k.lower(): v.strip() for k, v in re.findall(r"<(\w+)>(.*?)</\1\s*>", inner, re.DOTALL)}
    if nested:
        words = "\n\n".join(nested[k] for k in WORDS if nested.get(k))
        return next((nested[k] for k in READERS if nested.get(k)), ""), words
    values: dict[str, str] = {}
    marks = list(FIELD.finditer(inner))
    for number, mark in enumerate(marks):
        key = mark[1].lower()
        last = key in BODIES  # what follows is the body's, even if it looks like a field
        end = len(inner) if last or number + 1 == len(marks) else marks[number + 1].start()
        values.setdefault(key, inner[mark.end() : end].strip().strip(",").strip().strip('"'))
        if last:
            break
    words = "\n\n".join(values[k] for k in WORDS if values.get(k)) if marks else inner.strip()
    return values.get("to", values.get("recipient", "")), words
