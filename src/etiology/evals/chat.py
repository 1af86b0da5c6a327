"""Messages and tools as the text of a prompt, in the model's own chat format, and an answer read back.

- A template that shows tools, calls and results (tried once on an example) gets them. For any other they are put into
  words: the tools into the system message, a call into the assistant's text as JSON, a result into a user's message.
- A template that refuses a system message gets it at the head of the first user's.
- A model without a template, as base models are, gets a single message as it stands, and several with labels.
- A prompt never ends in a space: most tokenizers join a space to the word after it, so a model has seldom seen one
  alone. Where the last message is the assistant's, the model goes on from it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageTool,
    Content,
    ContentReasoning,
    ContentText,
)
from inspect_ai.tool import ToolCall, ToolChoice, ToolFunction, ToolInfo

from etiology.core.errors import ModelError
from etiology.evals.calls import find_calls

LABELS: Final = {"system": "System", "user": "User", "assistant": "Assistant"}
THINKING: Final = re.compile(r"^\s*(?:<think>)?(.*?)</think>\s*", re.DOTALL)

Turn = dict[str, Any]


@dataclass(frozen=True)
class Prompt:
    """A prompt's ``text`` and token ``ids``. ``stop`` ends the answer where no token of the model does.

    ``moved`` is white space that stood at the end: it belongs to what follows.
    """

    text: str
    ids: tuple[int, ...]
    stop: tuple[str, ...] = ()
    moved: str = ""


class Chat:
    """A tokenizer's way of writing a conversation."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - tokenizers have no useful common type
        self._tokenizer = tokenizer
        self.has_template = bool(tokenizer.chat_template)
        self.knows_tools = self.has_template and self._shows_tools()
        self.knows_system = self.has_template and self._shows_system()

    def prompt(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolInfo] = (), choice: ToolChoice = "auto"
    ) -> Prompt:
        """The prompt that asks for the next turn."""
        shown = [] if choice == "none" else [_schema(tool) for tool in tools]
        given = self.knows_tools and bool(shown)
        turns = [turn for message in messages for turn in self._turns(message, given)]
        words = "" if given or not shown else _instruction(shown)
        turns = _with_system(turns, "\n\n".join(part for part in (words, _demand(choice) if shown else "") if part))
        if not self.has_template:
            return self._plain(turns)
        if not self.knows_system:
            turns = _without_system(turns)
        return self._own(self._render(_joined(turns), shown if given else None))

    def raw(self, text: str) -> Prompt:
        """Text as it stands, after the token that begins a text."""
        from etiology.backends.tokens import plain, start

        kept = text.rstrip(" ")
        ids = (*start(self._tokenizer), *plain(self._tokenizer, kept))
        return Prompt(kept, ids, moved=text[len(kept) :])

    def _own(self, text: str) -> Prompt:
        """A rendered prompt; the template has written the token that begins a text."""
        from etiology.backends.tokens import plain

        kept = text.rstrip(" ")
        return Prompt(kept, tuple(plain(self._tokenizer, kept)), moved=text[len(kept) :])

    def _plain(self, turns: Sequence[Turn]) -> Prompt:
        """The prompt for a model without a template."""
        if len(turns) == 1 and turns[0]["role"] == "user":
            return self.raw(turns[0]["content"])
        labelled = [f"{LABELS[turn['role']]}: {turn['content']}" for turn in turns]
        if turns[-1]["role"] != "assistant":
            labelled.append("Assistant:")
        found = self.raw("\n\n".join(labelled))
        return Prompt(found.text, found.ids, ("\n\nUser:",), found.moved)

    def _render(self, turns: Sequence[Turn], tools: Sequence[dict[str, Any]] | None) -> str:
        going_on = bool(turns) and turns[-1]["role"] == "assistant" and not turns[-1].get("tool_calls")
        try:
            return self._apply(turns, tools, going_on=going_on)
        except Exception as problem:
            raise ModelError(
                f"the model's chat template refuses this conversation ({problem}); roles: "
                f"{', '.join(turn['role'] for turn in turns)}"
            ) from problem

    def _apply(
        self, turns: Sequence[Turn], tools: Sequence[dict[str, Any]] | None = None, *, going_on: bool = False
    ) -> str:
        text = self._tokenizer.apply_chat_template(
            list(turns),
            tools=list(tools) if tools else None,
            tokenize=False,
            add_generation_prompt=not going_on,
            continue_final_message=going_on,
        )
        return str(text)

    def _turns(self, message: ChatMessage, given: bool) -> list[Turn]:
        """A message as the template's turns; without ``given`` tools, with calls and results put into words."""
        _refuse_media(message)
        if isinstance(message, ChatMessageTool):
            text = f"Error: {message.error.message}" if message.error else message.text
            if not given:
                return [{"role": "user", "content": f"Result of {message.function or 'the call'}:\n{text}"}]
            name = message.function or ""
            return [{"role": "tool", "content": text, "name": name, "tool_call_id": _short(message.tool_call_id or "")}]
        turn: Turn = {"role": message.role, "content": message.text}
        if isinstance(message, ChatMessageAssistant):
            thought = "\n".join(c.reasoning for c in message.content_list if isinstance(c, ContentReasoning))
            if thought and self.has_template:
                turn["reasoning_content"] = thought
            if message.tool_calls and given:
                turn["tool_calls"] = [
                    {
                        "id": _short(call.id),
                        "type": "function",
                        "function": {"name": call.function, "arguments": call.arguments},
                    }
                    for call in message.tool_calls
                ]
            elif message.tool_calls:
                turn["content"] = "\n".join([*filter(None, [message.text]), *map(_written, message.tool_calls)])
        return [turn]

    def _shows_tools(self) -> bool:
        """Whether the template shows a tool, a call of it and its result."""
        tool = {
            "type": "function",
            "function": {
                "name": "probe_name",
                "description": "probe_words",
                "parameters": {"type": "object", "properties": {"x": {"type": "string", "description": "x"}}},
            },
        }
        call = {"name": "probe_name", "arguments": {"x": "probe_argument"}}
        turns: list[Turn] = [
            {"role": "user", "content": "probe"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "probe0001", "type": "function", "function": call}],
            },
            {"role": "tool", "content": "probe_result", "name": "probe_name", "tool_call_id": "probe0001"},
        ]
        try:
            text = self._apply(turns, [tool])
        except Exception:  # noqa: BLE001 - a template may refuse in any way it likes; the other form is used then
            return False
        return all(word in text for word in ("probe_words", "probe_argument", "probe_result"))

    def _shows_system(self) -> bool:
        try:
            text = self._apply([{"role": "system", "content": "probe_system"}, {"role": "user", "content": "probe"}])
        except Exception:  # noqa: BLE001 - as above
            return False
        return "probe_system" in text


def read_answer(
    text: str, marked: str, tools: Sequence[ToolInfo], turn: int, *, thinking: bool = False
) -> tuple[list[Content], list[ToolCall]]:
    """What was thought, what was said, and the calls, in an answer's ``text`` and in its text with special tokens
    spelt out. Calls are sought in what was said only. ``turn`` is a number that no other turn of the conversation has,
    so that no two calls have one id; ``thinking``: the prompt has opened a thought.
    """
    thought, said = _thought(text, thinking=thinking)
    _, said_marked = _thought(marked, thinking=thinking)
    calls: list[ToolCall] = []
    if tools:
        known = {tool.name: tuple(tool.parameters.properties) for tool in tools}
        rest, found = find_calls(said_marked, known)
        if found:
            said = re.sub(r"<\|[\w ]+\|>", "", rest).strip()
        for number, call in enumerate(found):
            calls.append(
                ToolCall(f"c{turn:06}{number:02}", call.name or "unknown", dict(call.arguments), call.problem or None)
            )
    parts: list[Content] = [ContentReasoning(reasoning=thought)] if thought else []
    return [*parts, ContentText(text=said)], calls


def _thought(text: str, *, thinking: bool) -> tuple[str, str]:
    """What an answer thinks and what it says. A thought that was cut off is all there is."""
    opened = thinking or text.lstrip().startswith("<think>")
    found = THINKING.match(text) if opened or "</think>" in text else None
    if found:
        return found[1].strip(), text[found.end() :]
    if opened:
        return text.strip().removeprefix("<think>").strip(), ""
    return "", text


def _schema(tool: ToolInfo) -> dict[str, Any]:
    """A tool as chat templates expect it."""
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters.model_dump(exclude_none=True),
        },
    }


def _instruction(tools: Sequence[dict[str, Any]]) -> str:
    """The tools and how to call them, in words."""
    lines = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return (
        f"You can use these tools:\n{lines}\n\n"
        "To use a tool, answer with nothing but a JSON object of this form:\n"
        '{"name": "<tool>", "arguments": {"<parameter>": "<value>"}}\n'
        "You then get its result. When nothing is left to do, answer in plain words."
    )


def _demand(choice: ToolChoice) -> str:
    if isinstance(choice, ToolFunction):
        return f"Use the tool {choice.name} now."
    return "Use a tool now." if choice == "any" else ""


def _with_system(turns: list[Turn], words: str) -> list[Turn]:
    """The turns with words added to the first system message, or with one that holds them."""
    if not words:
        return turns
    if turns and turns[0]["role"] == "system":
        return [{**turns[0], "content": f"{turns[0]['content']}\n\n{words}"}, *turns[1:]]
    return [{"role": "system", "content": words}, *turns]


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with each system message as the user's."""
    return [{**turn, "role": "user"} if turn["role"] == "system" else turn for turn in turns]


def _joined(turns: Sequence[Turn]) -> list[Turn]:
    """Neighbouring messages of one speaker as one, since many templates insist that user and assistant alternate."""
    out: list[Turn] = []
    for turn in turns:
        last = out[-1] if out else None
        if last and last["role"] == turn["role"] and turn["role"] != "tool" and not last.keys() - {"role", "content"}:
            out[-1] = {**turn, "content": f"{last['content']}\n\n{turn['content']}"}
        else:
            out.append(turn)
    return out


def _written(call: ToolCall) -> str:
    return json.dumps({"name": call.function, "arguments": call.arguments}, ensure_ascii=False)


def _short(name: str) -> str:
    """A call's id as nine letters and figures, which is what the strictest template takes."""
    return re.sub(r"[^A-Za-z0-9]", "", name)[-9:].rjust(9, "0")


def _refuse_media(message: ChatMessage) -> None:
    kinds = {part.type for part in message.content_list} - {"text", "reasoning"}
    if kinds:
        raise ModelError(f"a local model reads text only; the {message.role} message holds {', '.join(sorted(kinds))}")
