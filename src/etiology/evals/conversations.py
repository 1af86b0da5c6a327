"""Inspect's messages as a conversation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageTool, ContentReasoning
from inspect_ai.tool import ToolCall

from etiology.core.conversation import Call, Conversation, Message
from etiology.elicit.transcripts import THOUGHT, done

NO_FACTS: Final[Mapping[str, object]] = {}


def from_inspect(messages: Sequence[ChatMessage], name: str, facts: Mapping[str, object] = NO_FACTS) -> Conversation:
    """``messages`` as the conversation ``name``. A call's result is sought before the assistant's next turn, since
    some models number their calls anew in each.
    """
    out = []
    for number, message in enumerate(messages):
        if isinstance(message, ChatMessageAssistant):
            results = {m.tool_call_id: m for m in _results(messages[number + 1 :])}
            calls = tuple(_call(c, results.get(c.id)) for c in message.tool_calls or ())
            out.append(Message("assistant", _said(message.text), _thought(message), calls))
        else:
            out.append(Message(message.role, message.text))
    return Conversation(name, tuple(out), facts)


def answered(talk: Conversation) -> bool:
    """Whether the model said or did anything. An empty completion is no answer, whatever was asked."""
    return any(m.role == "assistant" and (m.text or m.calls) for m in talk.messages)


def _results(following: Sequence[ChatMessage]) -> Iterator[ChatMessageTool]:
    for message in following:
        if isinstance(message, ChatMessageAssistant):
            return
        if isinstance(message, ChatMessageTool):
            yield message


def _call(call: ToolCall, result: ChatMessageTool | None) -> Call:
    if result is None:
        return Call(call.function, call.arguments, call.id)
    text = result.error.message if result.error else result.text
    return Call(call.function, call.arguments, call.id, done(text, result.error is not None), text)


def _said(text: str) -> str:
    return THOUGHT.sub("", text).strip()


def _thought(message: ChatMessageAssistant) -> str:
    parts = [c for c in message.content_list if isinstance(c, ContentReasoning)]
    thoughts = [c.summary or "" if c.redacted else c.reasoning for c in parts]
    return "\n".join(t for t in [*thoughts, *(m[2].strip() for m in THOUGHT.finditer(message.text))] if t)
