"""Transcripts from anywhere, as conversations: rows of chat messages, or of a prompt and a response.

1. messages: a row's ``messages`` (or a prompt and a response) in the shapes of OpenAI, Anthropic, Gemini and Inspect;
2. thinking: what stands in a reasoning field or between tags such as ``<think>`` is set apart;
3. results: each tool call is joined to what came back, which says whether it took effect.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from etiology.core.conversation import Call, Conversation, Done, Message, Role
from etiology.core.errors import TranscriptError

ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "gpt": "assistant",
    "tool": "tool",
    "function": "tool",
    "environment": "tool",
}
MESSAGES: Final = ("messages", "conversation", "conversations", "transcript", "history", "chat")
RESPONSES: Final = ("response", "raw_response", "completion", "output", "answer", "reply", "generation", "text")
REASONING: Final = ("reasoning", "reasoning_content", "thinking", "thoughts", "scratchpad")
PROMPTS: Final = (("system", ("system_prompt", "system")), ("user", ("prompt", "user_prompt", "input", "question")))
NAMES: Final = ("id", "sample_id", "uuid", "name", "key")
ROWS: Final = ("samples", "rows", "results", "data", "transcripts", "conversations", "examples")
THOUGHT: Final = re.compile(
    r"<(think|thinking|thoughts?|reasoning|scratchpad|scratchpad_reasoning|analysis|inner_monologue|private)>"
    r"(.*?)(?:</\1\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
NOT_DONE: Final = re.compile(
    r"^\W*(?:(?!no\b)\w+\s+)?(?:error|refused|denied|rejected|declined|blocked|failed|failure|unable to|could ?n[o']t"
    r"|not (?:sent|approved|delivered|allowed|permitted|executed)|cannot|can't|permission|unauthori[sz]ed|forbidden"
    r"|undeliverable|timed? ?out)\b"
    r"|\b(?:was|were|been|is|address|message) (?:not (?:sent|approved|delivered|executed|carried out)|rejected"
    r"|blocked|refused|denied|declined|withheld|quarantined|dropped)\b"
    r"|\b(?:not|never) (?:delivered|sent)\b|\b(?:held|dropped|removed|blocked|stopped) by\b|\b55[0-9][ -]5\.\d"
    r"|\"(?:ok|success|sent|approved|delivered)\"\s*:\s*false|\"error\"\s*:\s*(?!null|\"\"|false)"
    r"|\"(?:status|state|result|outcome)\"\s*:\s*\"(?:error|failed|rejected|denied|blocked|refused|held|quarantined)",
    re.IGNORECASE,
)

PENDING: Final = re.compile(
    r"\b(?:await(?:s|ing)|pending|held for|waiting for|queued for|submitted for) (?:\w+ )?"
    r"(?:approval|review|confirmation|sign-?off)\b"
    r"|\bsaved (?:as|to|in) (?:a |the )?drafts?\b|\bdraft (?:was )?(?:saved|created|stored)\b",
    re.IGNORECASE,
)

Row = Mapping[str, object]


def read_rows(path: Path) -> Iterator[tuple[str, object]]:
    """The rows of a .jsonl or .json file and where each stands. A .json file holds rows, or is one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise TranscriptError(
            f"{path}: not UTF-8 text; give .jsonl or .json transcripts, or an Inspect .eval log"
        ) from None
    if path.suffix == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: JSON may hold U+2028
            if line.strip():
                yield f"{path}:{number}", _parsed(line, f"{path}:{number}")
        return
    whole = _parsed(text, str(path))
    rows = (
        next((whole[k] for k in ROWS if isinstance(whole.get(k), list)), None) if isinstance(whole, Mapping) else whole
    )
    if isinstance(rows, list) and rows and not _is_message(rows[0]):
        yield from ((f"{path}: row {number}", row) for number, row in enumerate(rows, start=1))
    else:
        yield str(path), whole


def conversation(row: object, where: str, name: str) -> Conversation:
    """One row as a conversation. ``name`` serves where the row has no id. Errors: ``TranscriptError``."""
    if isinstance(row, list):
        row = {"messages": row}
    if not isinstance(row, Mapping):
        raise TranscriptError(f"{where}: a transcript is an object or a list of messages, not {type(row).__name__}")
    raw = next((row[k] for k in MESSAGES if isinstance(row.get(k), list)), None)
    messages = _from_messages(raw, where) if raw is not None else _from_prompt(row, where)
    if not any(m.role == "assistant" for m in messages):
        raise TranscriptError(
            f"{where}: no turn of the assistant in it; roles are {sorted({m.role for m in messages})}"
        )
    identity = next((str(row[k]) for k in NAMES if isinstance(row.get(k), str | int)), name)
    facts = {
        k: v for k, v in row.items() if isinstance(v, str | int | float | bool) and k not in (*RESPONSES, *REASONING)
    }
    return Conversation(identity, tuple(messages), facts)


def _parsed(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise TranscriptError(f"{where}: not JSON ({problem.msg}, column {problem.colno})") from None


def _is_message(value: object) -> bool:
    return isinstance(value, Mapping) and ("role" in value or "from" in value)


def _from_prompt(row: Row, where: str) -> list[Message]:
    """A prompt and a response, in whichever of the usual fields they are."""
    response = next((row[k] for k in RESPONSES if isinstance(row.get(k), str | list | Mapping) and row[k]), None)
    if response is None and not any(row.get(k) for k in REASONING):
        known = "'messages' (a list of role and content), or 'response' with an optional 'prompt'"
        raise TranscriptError(f"{where}: found {', '.join(map(repr, row)) or 'no field'}; a transcript has {known}")
    out: list[Message] = []
    for role, fields in PROMPTS:
        given = next((row[k] for k in fields if row.get(k)), None)
        if isinstance(given, list) and given and _is_message(given[0]):
            out += _from_messages(given, where)
        elif isinstance(given, str):
            out.append(Message(ROLES[role], given))
    if isinstance(response, list) and response and _is_message(response[0]):
        return out + _from_messages(response, where)
    if isinstance(response, Mapping) and _is_message(response):
        return out + _from_messages([response], where)
    last = {"role": "assistant", "content": response or ""} | {
        k: row[k] for k in (*REASONING, "tool_calls") if k in row
    }
    return out + _from_messages([last], where)


# -- messages ----------------------------------------------------------------------------------------------------------


def _from_messages(raw: Sequence[object], where: str) -> list[Message]:
    messages, results = [], []
    for number, item in enumerate(raw, start=1):
        if not isinstance(item, Mapping):
            raise TranscriptError(
                f"{where}: message {number} is {type(item).__name__}, not an object with role and content"
            )
        given = str(item.get("role", item.get("from", ""))).lower()
        if given not in ROLES:
            raise TranscriptError(f"{where}: message {number} has the role {given!r}; known ones: {', '.join(ROLES)}")
        message, came_back = _message(ROLES[given], item)
        results += came_back
        messages.append(message)
    return _joined(messages, results)


Result = tuple[str, str, bool]
"""The id of the call that a result belongs to (may be empty), its text, and whether it is an error."""


def _message(role: Role, item: Row) -> tuple[Message, list[Result]]:
    texts, thoughts, calls, results = [], [], [], []
    content = item.get("content", item.get("value", item.get("parts", item.get("text"))))
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            kind = str(part.get("type", ""))
            if kind in {"tool_use", "function_call"} or "functionCall" in part:
                calls.append(_call(part.get("functionCall", part)))
            elif kind in {"tool_result", "function_response"}:
                results.append(
                    (str(part.get("tool_use_id", "")), _plain(part.get("content")), bool(part.get("is_error")))
                )
            elif kind in {"reasoning", "thinking"}:
                thoughts.append(_plain(part.get("reasoning", part.get("thinking", part.get("text")))))
            else:
                texts.append(_plain(part.get("text", part.get("content"))))
    thoughts += [_plain(item[k]) for k in REASONING if item.get(k)]
    listed = item.get("tool_calls")
    calls += [_call(c) for c in (listed if isinstance(listed, list) else []) if isinstance(c, Mapping)]
    if isinstance(item.get("function_call"), Mapping):
        calls.append(_call(item["function_call"]))
    text = "\n".join(t for t in texts if t)
    if role == "tool":
        results.append((str(item.get("tool_call_id", "")), text, bool(item.get("error") or item.get("is_error"))))
    if role == "assistant":
        thoughts += [m[2] for m in THOUGHT.finditer(text)]
        text = THOUGHT.sub("", text).strip()
    return Message(role, text, "\n".join(t for t in thoughts if t), tuple(calls)), results


def _plain(value: object) -> str:
    """The text in a value that may be a string, a part, or a list of parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _plain(value.get("text", value.get("content", value.get("summary"))))
    if isinstance(value, list):
        return "\n".join(filter(None, map(_plain, value)))
    return ""


def _call(raw: object) -> Call:
    """A tool call in OpenAI's, Inspect's, Anthropic's or Gemini's shape."""
    item = raw if isinstance(raw, Mapping) else {}
    inner = item.get("function")
    named = inner if isinstance(inner, Mapping) else item
    name = inner if isinstance(inner, str) else named.get("name", named.get("tool", ""))
    given: object = next((named[k] for k in ("arguments", "input", "args", "parameters") if k in named), {})
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except json.JSONDecodeError:
            given = {"text": given}
    arguments = given if isinstance(given, Mapping) else {"text": str(given)}
    return Call(str(name), dict(arguments), str(item.get("id", item.get("call_id", ""))))


def _joined(messages: list[Message], results: Iterable[Result]) -> list[Message]:
    """Each call with its result: by id, and where there are no ids by order."""
    by_id: dict[str, tuple[str, bool]] = {}
    in_order: list[tuple[str, bool]] = []
    for identity, text, error in results:
        if identity:
            by_id[identity] = (text, error)
        else:
            in_order.append((text, error))
    out = []
    for message in messages:
        calls = []
        for call in message.calls:
            found = by_id.get(call.id) if call.id else None
            if found is None and in_order:
                found = in_order.pop(0)
            calls.append(replace(call, result=found[0], done=done(*found)) if found else call)
        out.append(replace(message, calls=tuple(calls)))
    return out


def done(result: str, error: bool) -> Done:
    """Whether a call took effect, by its result."""
    if error or NOT_DONE.search(result):
        return "refused"
    return "unknown" if PENDING.search(result) else "executed"


def is_transcript(row: object) -> bool:
    """Whether a row has the fields of one."""
    if isinstance(row, list):
        return bool(row) and _is_message(row[0])
    return isinstance(row, Mapping) and any(row.get(k) for k in (*MESSAGES, *RESPONSES[:-1]))
