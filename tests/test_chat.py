"""A conversation in the model's own format, or in words where its template has no tools; and an answer read back."""

import pytest
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
)
from inspect_ai.tool import ToolCall, ToolFunction, ToolInfo, ToolParam, ToolParams

from etiology.backends.tokens import plain, start
from etiology.core.errors import ModelError
from etiology.evals.chat import Chat, read_answer

PLAIN = (
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }} [end]\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
TOOLS = (
    "{% if tools %}[tools] {{ tools | tojson }}\n{% endif %}"
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}"
    "{% for c in m.tool_calls or [] %} call {{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }}"
    "{% endfor %}{% if m.role == 'tool' %} for {{ m.tool_call_id }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
STRICT = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
SEND = ToolInfo(
    name="send_mail",
    description="Send a mail.",
    parameters=ToolParams(properties={"to": ToolParam(type="string", description="To whom.")}, required=["to"]),
)
TALK = [
    ChatMessageSystem(content="You write mails."),
    ChatMessageUser(content="Write to ann."),
    ChatMessageAssistant(content="I will.", tool_calls=[ToolCall("call_12345678-9", "send_mail", {"to": "ann"})]),
    ChatMessageTool(content="Sent to ann.", tool_call_id="call_12345678-9", function="send_mail"),
]


@pytest.fixture
def tokenizer(model_folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(model_folder))


def chat(tokenizer, template):
    tokenizer.chat_template = template
    return Chat(tokenizer)


def test_a_template_with_tools_gets_tools_calls_and_results(tokenizer):
    text = chat(tokenizer, TOOLS).prompt(TALK, [SEND]).text
    assert text.startswith('[tools] [{"type": "function", "function": {"name": "send_mail", "description": "Send')
    assert '[assistant] I will. call 123456789 send_mail {"to": "ann"}' in text
    assert "[tool] Sent to ann. for 123456789" in text
    assert text.endswith("[assistant]\n")
    assert "You can use these tools" not in text


def test_a_template_without_tools_gets_them_in_words(tokenizer):
    text = chat(tokenizer, PLAIN).prompt(TALK, [SEND]).text
    assert text.startswith("[system] You write mails.\n\nYou can use these tools:\n")
    assert '{"name": "send_mail", "description": "Send a mail.", "parameters": ' in text
    assert '[assistant] I will.\n{"name": "send_mail", "arguments": {"to": "ann"}} [end]' in text
    assert "[user] Result of send_mail:\nSent to ann. [end]" in text


def test_the_choice_of_tools_is_followed(tokenizer):
    plain_chat = chat(tokenizer, PLAIN)
    assert "send_mail" not in plain_chat.prompt(TALK[:2], [SEND], "none").text
    assert "Use a tool now." in plain_chat.prompt(TALK[:2], [SEND], "any").text
    assert "Use the tool send_mail now." in plain_chat.prompt(TALK[:2], [SEND], ToolFunction("send_mail")).text


def test_a_template_that_takes_no_system_message_gets_it_from_the_user(tokenizer):
    text = chat(tokenizer, STRICT).prompt([*TALK[:2], ChatMessageUser(content="Today.")]).text
    assert text == "[user] You write mails.\n\nWrite to ann.\n\nToday.\n[assistant]\n"


def test_a_refusing_template_is_one_clear_error(tokenizer):
    with pytest.raises(ModelError, match=r"refuses this conversation \(roles must alternate\); roles: assistant, user"):
        chat(tokenizer, STRICT).prompt([ChatMessageAssistant(content="Hello."), ChatMessageUser(content="Hello.")])


def test_an_assistants_last_message_is_gone_on_from_and_its_space_moves(tokenizer):
    found = chat(tokenizer, PLAIN).prompt([*TALK[:2], ChatMessageAssistant(content="the cat saw ")])
    assert found.text.endswith("[assistant] the cat saw")
    assert found.ids[-3:] == tuple(plain(tokenizer, "the cat saw"))


def test_no_prompt_ends_in_a_space(tokenizer):
    found = chat(tokenizer, PLAIN).prompt(TALK[:2])
    assert (found.text[-12:], found.moved) == ("\n[assistant]", " ")
    raw = Chat(tokenizer).raw("the cat  ")
    assert (raw.text, raw.moved) == ("the cat", "  ")
    assert raw.ids == (*start(tokenizer), *plain(tokenizer, "the cat"))


def test_without_a_template_one_message_stands_as_it_is_and_several_are_labelled(tokenizer):
    base = chat(tokenizer, None)
    assert base.prompt([ChatMessageUser(content="the cat saw")]).text == "the cat saw"
    found = base.prompt(TALK[:2])
    assert found.text == "System: You write mails.\n\nUser: Write to ann.\n\nAssistant:"
    assert found.stop == ("\n\nUser:",)


def test_pictures_are_refused(tokenizer):
    with pytest.raises(ModelError, match="the user message holds image"):
        chat(tokenizer, PLAIN).prompt([ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AAAA")])])


def test_a_thought_is_no_answer_and_holds_no_calls():
    call = '<tool_call>{"name": "send_mail", "arguments": {"to": "ann"}}</tool_call>'
    for text, opened in ((f"<think>\n{call}\n</think>\nNo.", False), (f"{call}\n</think>\nNo.", True)):
        content, calls = read_answer(text, text, [SEND], 1, thinking=opened)
        assert content == [ContentReasoning(reasoning=call), ContentText(text="No.")]
        assert calls == []


def test_a_thought_that_is_cut_off_is_all_there_is():
    assert read_answer("<think>\nI could", "<think>\nI could", [], 1)[0] == [
        ContentReasoning(reasoning="I could"),
        ContentText(text=""),
    ]


def test_calls_are_read_from_special_tokens_and_have_ids_of_their_own():
    marked = 'Yes.<|python_tag|>{"name": "send_mail", "parameters": {"to": "ann"}}<|eom_id|>'
    content, (call,) = read_answer('Yes.{"name": …', marked, [SEND], 31)
    assert content == [ContentText(text="Yes.")]
    assert (call.function, call.arguments, call.parse_error) == ("send_mail", {"to": "ann"}, None)
    assert call.id != read_answer("", marked, [SEND], 32)[1][0].id
    (broken,) = read_answer("", "<tool_call>send</tool_call>", [SEND], 1)[1]
    assert "no tool call" in (broken.parse_error or "")


def test_without_tools_nothing_is_a_call():
    assert read_answer('{"name": "send_mail"}', '{"name": "send_mail"}', [], 1)[1] == []
