"""Tool calls as local models write them into their text.

1. Marked as a call: ``<tool_call>``, ``<function=…>``, ``[TOOL_CALLS]`` or ``<|python_tag|>``. What is marked is a call
   even where it can't be read; then it carries the problem, which the model is told.
2. Else a fenced block, a JSON object or Python's ``f(x=…)`` that names a known tool. What can't be read is plain text.

JSON is read leniently: line breaks in strings, trailing commas, single quotes and a missing last brace are mended; a
text cut off within a string is not. A tool's description said back is no call.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MARKED: Final = re.compile(
    r"<(?P<tag>tool_call|function_call|tool_use)>(?P<tagged>.*?)(?:</(?P=tag)>|(?=<(?P=tag)>)|\Z)"
    r"|<\|tool_call_start\|>(?P<started>.*?)(?:<\|tool_call_end\|>|\Z)"
    r"|(?P<alone><function=[^>\n]+>.*?(?:</function>|(?=<function=)|\Z))"
    r"|\[TOOL_CALLS\]\s*(?P<listed>.*)\Z"
    r"|<\|python_tag\|>(?P<python>.*?)(?:<\|eom_id\|>|<\|eot_id\|>|\Z)",
    re.DOTALL,
)
FENCED: Final = re.compile(r"```[ \t]*[\w-]*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
NAMED: Final = re.compile(r"<function=([^>\n]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
PARAMETER: Final = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)
ARGS: Final = re.compile(r"^\s*([\w.-]+)\s*\[ARGS\]\s*(.*)\Z", re.DOTALL)
OPENING: Final = re.compile(r"[{\[]")
TRAILING_COMMA: Final = re.compile(r",\s*(?=[}\]])")
NAME_KEYS: Final = ("name", "function", "tool", "tool_name", "function_name")
ARGUMENT_KEYS: Final = ("arguments", "parameters", "args", "input", "params")
DEEPEST: Final = 50
"""Brackets within brackets, at most: no call needs more, and Inspect takes no more than 100."""
TRIES: Final = 100
"""Openings of brackets at which JSON is sought, at most: a model that runs away writes thousands."""
DECODER: Final = json.JSONDecoder(strict=False)

Tools = Mapping[str, Sequence[str]]
"""The known tools and the names of their parameters, in order."""


@dataclass(frozen=True)
class Wanted:
    """A call the model wrote. ``problem`` says why it can't be carried out, where it can't."""

    name: str
    arguments: Mapping[str, Any]
    problem: str = ""


def find_calls(text: str, tools: Tools) -> tuple[str, list[Wanted]]:
    """The calls in a model's text, and the text without them."""
    marked = list(MARKED.finditer(text))
    if marked:
        found = [wanted for match in marked for wanted in _marked(match, tools)]
        return _without(text, [match.span() for match in marked]), found
    for spans in (_fenced(text, tools), _bare(text, tools)):
        if spans:
            return _without(text, [(start, end) for start, end, _ in spans]), [w for *_, own in spans for w in own]
    found = _python(text, tools)
    return ("", found) if found else (text, [])


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    rest, done = [], 0
    for start, end in spans:
        rest.append(text[done:start])
        done = end
    return "".join([*rest, text[done:]]).strip()


def _marked(match: re.Match[str], tools: Tools) -> list[Wanted]:
    """The calls between marks; where there is none, one with a problem."""
    inner = next(m for name, m in match.groupdict().items() if name != "tag" and m is not None)
    named = [_named(name.strip(), body, tools) for name, body in NAMED.findall(inner)]
    if named:
        return named
    told = ARGS.match(inner)
    if told:
        value = _value(told[2], 0)
        return [_call(told[1], value[0] if value else told[2], tools)]
    found = [w for value in _values(inner) for w in _asked(value, tools, strict=False)]
    found = found or _python(inner, tools)
    return found or [Wanted("", {}, f"this is no tool call in JSON with a name and arguments: {inner.strip()[:500]}")]


def _named(name: str, body: str, tools: Tools) -> Wanted:
    """``<function=name>`` with ``<parameter=key>`` elements or a JSON object within."""
    parameters = {key.strip(): _scalar(value) for key, value in PARAMETER.findall(body)}
    if parameters or not body.strip():
        return Wanted(_known(name, tools) or name, parameters)
    value = _value(body, 0)
    return _call(name, value[0] if value else body, tools)


def _scalar(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """A parameter's text: a number, a truth value or a collection where it is one, else the text itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, str) else value


Span = tuple[int, int, list[Wanted]]


def _fenced(text: str, tools: Tools) -> list[Span]:
    out: list[Span] = []
    for match in FENCED.finditer(text):
        own = [w for *_, found in _bare(match[1], tools) for w in found]
        own = own or _python(match[1], tools)
        if own:
            out.append((*match.span(), own))
    return out


def _bare(text: str, tools: Tools) -> list[Span]:
    """JSON objects, and lists of them, that call a known tool."""
    out: list[Span] = []
    for start, end, value in _scan(text):
        found = _asked(value, tools, strict=True)
        if found:
            out.append((start, end, found))
    return out


def _python(text: str, tools: Tools) -> list[Wanted]:
    """``f(x=1)``, several in a row or in a list, where the whole text is nothing else."""
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[Wanted] = []
    for statement in tree.body:
        if not isinstance(statement, ast.Expr):
            return []
        value = statement.value
        for call in value.elts if isinstance(value, ast.List | ast.Tuple) else [value]:
            wanted = _python_call(call, tools)
            if wanted is None:
                return []
            found.append(wanted)
    return found


def _python_call(node: ast.expr, tools: Tools) -> Wanted | None:
    if not isinstance(node, ast.Call):
        return None
    name = _known(ast.unparse(node.func), tools)
    if name is None or len(node.args) > len(tools[name]):
        return None
    try:
        arguments = {key: ast.literal_eval(value) for key, value in zip(tools[name], node.args, strict=False)}
        arguments |= {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg is not None}
    except ValueError:
        return None
    return Wanted(name, arguments)


def _scan(text: str) -> Iterator[tuple[int, int, Any]]:
    """Every outermost JSON object or list in the text, with its place."""
    at = tried = 0
    while tried < TRIES and (opening := OPENING.search(text, at)) is not None:
        tried += 1
        found = _value(text, opening.start())
        if found is None:
            at = opening.end()
            continue
        value, at = found
        yield opening.start(), at, value


def _values(text: str) -> Iterator[Any]:
    return (value for *_, value in _scan(text))


def _value(text: str, at: int) -> tuple[Any, int] | None:
    """The JSON value that begins at or after ``at``, after white space, and where it ends; mended where that is
    possible.
    """
    at += len(text[at:]) - len(text[at:].lstrip())
    try:
        value, end = DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return _mended(text, at)
    return (value, end) if isinstance(value, dict | list) and _depth(text[at:end]) <= DEEPEST else None


def _mended(text: str, at: int) -> tuple[Any, int] | None:
    """The same for what is almost JSON."""
    if text[at : at + 1] not in {"{", "["}:
        return None
    end, missing = _extent(text, at)
    if missing is None or _depth(text[at:end]) > DEEPEST:
        return None
    raw = TRAILING_COMMA.sub("", text[at:end].rstrip() + missing)
    readers: tuple[Callable[[str], Any], ...] = (DECODER.decode, ast.literal_eval)
    for read in readers:
        try:
            value = read(raw)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(value, dict | list):
            return value, end
    return None


def _depth(text: str) -> int:
    """How deep brackets lie within brackets, those in strings included."""
    depth = deepest = 0
    for bracket in re.findall(r"[{}\[\]]", text):
        depth += 1 if bracket in "{[" else -1
        deepest = max(deepest, depth)
    return deepest


def _extent(text: str, at: int) -> tuple[int, str | None]:
    """Where the brackets opened at ``at`` are closed, and the closing ones that are missing at the text's end; None
    where the text ends within a string.
    """
    closing: list[str] = []
    quote = ""
    place = at
    while place < len(text):
        sign = text[place]
        if quote:
            if sign == "\\":
                place += 1
            elif sign == quote:
                quote = ""
        elif sign == '"' or (sign == "'" and text[place - 1] in "{[:, \n\t("):
            quote = sign
        elif sign in "{[":
            closing.append("}" if sign == "{" else "]")
        elif sign in "}]":
            if not closing or closing.pop() != sign:
                return place, None
            if not closing:
                return place + 1, ""
        place += 1
    return len(text), None if quote else "".join(reversed(closing))


def _asked(value: Any, tools: Tools, *, strict: bool) -> list[Wanted]:  # noqa: ANN401 - whatever JSON holds
    """The calls that a JSON value asks for; with ``strict`` those to known tools only."""
    if isinstance(value, list):
        return [wanted for one in value for wanted in _asked(one, tools, strict=strict)]
    if not isinstance(value, dict):
        return []
    within = next((value[k] for k in ("tool_calls", "function") if isinstance(value.get(k), list | dict)), None)
    if within is not None:  # {"type": "function", "function": {"name": …, "arguments": …}}
        return _asked(within, tools, strict=strict)
    (first, given), *more = value.items() or [("", None)]
    if not more and first in tools and isinstance(given, dict):  # {"send_email": {"to": …}}
        return [_call(first, given, tools)]
    key = next((k for k in NAME_KEYS if isinstance(value.get(k), str)), None)
    if key is None or _describes(value) or (strict and _known(value[key], tools) is None):
        return []
    holder = next((k for k in ARGUMENT_KEYS if k in value), None)
    rest = {k: v for k, v in value.items() if k not in {key, "type", "id"}}
    return [_call(value[key], value[holder] if holder else rest, tools)]


def _describes(value: Mapping[str, Any]) -> bool:
    """Whether this is a tool's description, as it stands in the prompt."""
    schema = value.get("parameters")
    return isinstance(schema, dict) and isinstance(schema.get("properties"), dict)


def _call(name: str, given: Any, tools: Tools) -> Wanted:  # noqa: ANN401 - whatever JSON holds
    """A call by name, with arguments that may be an object, an object as a string, or the one argument itself."""
    known = _known(name, tools) or name
    if isinstance(given, str) and given.strip().startswith("{"):
        found = _value(given, 0)
        given = found[0] if found else given
    if given is None or given == "":
        given = {}
    if isinstance(given, Mapping):
        return Wanted(known, {str(key): value for key, value in given.items()})
    parameters = tools.get(known, ())
    if len(parameters) == 1 and not isinstance(given, list):
        return Wanted(known, {parameters[0]: given})
    return Wanted(known, {}, f"the arguments of {known} are no JSON object: {str(given)[:500]}")


def _known(name: str, tools: Tools) -> str | None:
    """The tool of this name, which some models write with a prefix."""
    plain = name.strip().removeprefix("functions.").removeprefix("tools.")
    return plain if plain in tools else None
