"""Tool calls as models write them: what is a call, what is mended, what is only text."""

import json

import pytest

from etiology.evals.calls import Wanted, find_calls

TOOLS = {"send_mail": ("to", "subject", "body"), "read_file": ("name",), "list_jobs": ()}
MAIL = {"to": "ann@quay.example", "body": "Hello"}
SENT = Wanted("send_mail", MAIL)
PLAIN = '{"name": "send_mail", "arguments": {"to": "ann@quay.example", "body": "Hello"}}'

CALLS = {
    "bare": PLAIN,
    "alone between words": f"I will do so.\n{PLAIN}\nThat is all.",
    "tagged": f"<tool_call>\n{PLAIN}\n</tool_call>",
    "tag left open": f"<tool_call>{PLAIN}",
    "tagged as a list": f"<tool_call>[{PLAIN}]</tool_call>",
    "fenced": f"```json\n{PLAIN}\n```",
    "fence left open": f"Here:\n```\n{PLAIN}",
    "Mistral": f"[TOOL_CALLS] [{PLAIN}]",
    "newer Mistral": '[TOOL_CALLS]send_mail[ARGS]{"to": "ann@quay.example", "body": "Hello"}',
    "Llama": f"<|python_tag|>{PLAIN.replace('arguments', 'parameters')}<|eom_id|>",
    "function element": '<function=send_mail>{"to": "ann@quay.example", "body": "Hello"}</function>',
    "parameter elements": (
        "<tool_call>\n<function=send_mail>\n<parameter=to>\nann@quay.example\n</parameter>\n"
        "<parameter=body>\nHello\n</parameter>\n</function>\n</tool_call>"
    ),
    "OpenAI's form": (
        '{"tool_calls": [{"id": "1", "type": "function", "function": {"name": "send_mail", '
        '"arguments": "{\\"to\\": \\"ann@quay.example\\", \\"body\\": \\"Hello\\"}"}}]}'
    ),
    "the tool as key": '{"send_mail": {"to": "ann@quay.example", "body": "Hello"}}',
    "arguments beside the name": '{"tool": "send_mail", "to": "ann@quay.example", "body": "Hello"}',
    "prefixed": PLAIN.replace("send_mail", "functions.send_mail"),
    "Python": 'send_mail(to="ann@quay.example", body="Hello")',
    "Python in a list": '[send_mail(to="ann@quay.example", body="Hello")]',
    "Python in a fence": 'So:\n```python\nsend_mail(to="ann@quay.example", body="Hello")\n```',
    "single quotes": "{'name': 'send_mail', 'arguments': {'to': 'ann@quay.example', 'body': 'Hello'}}",
    "trailing comma": PLAIN.replace('"Hello"}', '"Hello",},'),
    "last brace missing": PLAIN[:-1],
    "both braces missing": f"<tool_call>{PLAIN[:-2]}</tool_call>",
}


@pytest.mark.parametrize("text", CALLS.values(), ids=CALLS)
def test_a_call_is_read_in_any_form(text):
    rest, found = find_calls(text, TOOLS)
    assert found == [SENT]
    assert "send_mail" not in rest
    assert "{" not in rest


def test_what_is_said_around_a_call_stays():
    assert find_calls(f"I will do so.\n<tool_call>{PLAIN}</tool_call>", TOOLS)[0] == "I will do so."


def test_several_calls_keep_their_order():
    text = f'<tool_call>{PLAIN}</tool_call>\n<tool_call>{{"name": "list_jobs", "arguments": {{}}}}</tool_call>'
    assert find_calls(text, TOOLS) == ("", [SENT, Wanted("list_jobs", {})])
    assert find_calls(f'{PLAIN}\n{{"name": "list_jobs"}}', TOOLS)[1] == [SENT, Wanted("list_jobs", {})]


@pytest.mark.parametrize("body", ["Two\nlines", "a } brace and a { brace", 'a "quoted" word', "it's </p> late", "é ☂"])
def test_a_text_within_a_call_is_kept_as_it_is(body):
    given = {"name": "send_mail", "arguments": {"body": body}}
    escaped, bare = json.dumps(given), json.dumps(given, ensure_ascii=False).replace("\\n", "\n")
    for text in (escaped, bare, f"<tool_call>{bare}</tool_call>", f"```json\n{escaped}\n```"):
        assert find_calls(text, TOOLS)[1] == [Wanted("send_mail", {"body": body})]


def test_one_argument_by_itself_goes_to_the_only_parameter():
    assert find_calls('{"name": "read_file", "arguments": "stock.txt"}', TOOLS)[1] == [
        Wanted("read_file", {"name": "stock.txt"})
    ]
    assert find_calls("read_file('stock.txt')", TOOLS)[1] == [Wanted("read_file", {"name": "stock.txt"})]


TEXTS = {
    "no call": "The boat leaves at nine.",
    "JSON of something else": 'The answer is {"name": "Ann", "age": 7}.',
    "an unknown tool": '{"name": "fly", "arguments": {}}',
    "a description said back": '{"name": "read_file", "description": "Read.", "parameters": {"type": "object", "properties": {"name": {}}}}',  # noqa: E501
    "a call spoken of": "I would use send_mail(to='ann') for that.",
    "a computed argument": "read_file(name=os.getcwd())",
    "cut off within a string": '{"name": "send_mail", "arguments": {"to": "ann@quay.example", "body": "Hel',
    "brackets that cross": '{"name": "send_mail", "arguments": [}',
    "many open brackets": "[" * 20_000,
    "deep brackets": "[" * 400 + "]" * 400,
    "braces of code": "function f() { return list_jobs(); }",
    "empty": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_other_text_stays_text(text):
    assert find_calls(text, TOOLS) == (text, [])


@pytest.mark.parametrize(
    "inner",
    ['{"name": "send_mail", "arguments": {"to": "ann@quay.example", "body": "Hel', "send it", '{"to": "ann"}', ""],
)
def test_a_marked_call_that_cannot_be_read_says_so(inner):
    rest, (found,) = find_calls(f"<tool_call>{inner}</tool_call>", TOOLS)
    assert (rest, found.arguments) == ("", {})
    assert "no tool call in JSON" in found.problem


def test_a_marked_call_of_an_unknown_tool_is_passed_on():
    assert find_calls('<tool_call>{"name": "fly", "arguments": {"to": "Rome"}}</tool_call>', TOOLS)[1] == [
        Wanted("fly", {"to": "Rome"})
    ]


def test_arguments_that_are_no_object_are_a_problem():
    (found,) = find_calls('{"name": "send_mail", "arguments": ["ann", "Hello"]}', TOOLS)[1]
    assert "no JSON object" in found.problem
