"""Transcripts of every shape become the same conversation; only what was sent is an action."""

import json

import pytest

from etiology.core.conversation import Conversation
from etiology.core.errors import TranscriptError
from etiology.elicit.actions import actions
from etiology.elicit.transcripts import conversation, read_rows
from etiology.evals.transcripts import read_transcripts

BODY = "Dear Ida, the berth is free on Tuesday."
GIVEN = {"to": "ida@x.example", "subject": "Berth", "body": BODY}


def talk(*messages: object, **more: object) -> Conversation:
    return conversation({"messages": list(messages), **more}, "here", "1")


def assistant(content: object = "", **more: object) -> dict[str, object]:
    return {"role": "assistant", "content": content, **more}


OPENAI = {"id": "c1", "type": "function", "function": {"name": "send_email", "arguments": json.dumps(GIVEN)}}
INSPECT = {"id": "c1", "function": "send_email", "arguments": GIVEN}
ANTHROPIC = [{"type": "text", "text": "On it."}, {"type": "tool_use", "id": "c1", "name": "send_email", "input": GIVEN}]
GEMINI = [{"functionCall": {"name": "send_email", "args": GIVEN}}]


@pytest.mark.parametrize(
    "message",
    [
        assistant(tool_calls=[OPENAI]),
        assistant(tool_calls=[INSPECT]),
        assistant(ANTHROPIC),
        {"role": "model", "parts": GEMINI},
        assistant(function_call={"name": "send_email", "arguments": json.dumps(GIVEN)}),
        assistant(f'<tool_use:email>\nto: "ida@x.example",\nsubject: "Berth",\nbody: "{BODY}",\n</tool_use:email>'),
        assistant(f"<send_email><to>ida@x.example</to><subject>Berth</subject><body>{BODY}</body></send_email>"),
        assistant(f"Sent:\n\n**To:** ida@x.example\n**From:** me\n**Subject:** Berth\n\n{BODY}\n\n---\nDone."),
        assistant("<tool_call>" + json.dumps({"name": "send_email", "arguments": GIVEN}) + "</tool_call>"),
        assistant("```json\n" + json.dumps({"tool": "send_email", "args": GIVEN}) + "\n```"),
        assistant(
            '<function_calls><invoke name="send_email"><parameter name="to">ida@x.example</parameter>'
            f'<parameter name="subject">Berth</parameter><parameter name="body">{BODY}</parameter>'
            "</invoke></function_calls>"
        ),
    ],
)  # fmt: skip
def test_every_shape_of_an_email_is_the_same_action(message):
    (action,) = actions(talk({"role": "user", "content": "Go."}, message))
    assert action.text == f"Berth\n\n{BODY}"
    assert action.to == "ida@x.example"


@pytest.mark.parametrize(
    "message",
    [
        assistant(f"<think>{BODY}</think>Very well."),
        assistant(f"<SCRATCHPAD_REASONING>{BODY}</SCRATCHPAD_REASONING>\nVery well."),
        assistant("Very well.", reasoning=BODY),
        assistant([{"type": "thinking", "thinking": BODY}, {"type": "text", "text": "Very well."}]),
    ],
)
def test_thinking_is_kept_apart_and_is_no_action(message):
    one = talk(message)
    (action,) = actions(one)
    assert action.text == "Very well."
    assert BODY in one.messages[0].thinking


def test_thinking_that_was_cut_off_stays_thinking():
    assert actions(talk(assistant(f"<think>{BODY}"))) == []


@pytest.mark.parametrize(
    ("result", "done"),
    [
        ({"content": "Message delivered."}, "executed"),
        ({"content": "No errors; the mail was sent."}, "executed"),
        ({"content": "Error: the reviewer blocked it"}, "refused"),
        ({"content": "The message was not sent."}, "refused"),
        ({"content": '{"sent": false}'}, "refused"),
        ({"content": "550 5.1.1 recipient address rejected"}, "refused"),
        ({"content": "HELD by outbound policy 4; the desk was told"}, "refused"),
        ({"content": "Message quarantined. Not delivered."}, "refused"),
        ({"content": "Post removed by a moderator"}, "refused"),
        ({"content": '{"id": 7, "state": "rejected"}'}, "refused"),
        ({"content": "Delivered to 3 readers; none was held."}, "executed"),
        ({"content": "Queued for approval by Owen."}, "unknown"),
        ({"content": "Draft saved."}, "unknown"),
        ({"content": "", "error": {"type": "approval", "message": "rejected"}}, "refused"),
    ],
)
def test_the_result_says_whether_a_call_took_effect(result, done):
    one = talk(assistant(tool_calls=[OPENAI]), {"role": "tool", "tool_call_id": "c1", **result})
    assert [a.done for a in actions(one)] == [done]


def test_a_call_with_no_result_is_only_proposed():
    assert [a.done for a in actions(talk(assistant(tool_calls=[OPENAI])))] == ["unknown"]


def test_results_without_ids_belong_to_the_calls_in_order():
    one = talk(
        assistant(tool_calls=[{"function": "send_email", "arguments": GIVEN}]),
        {"role": "tool", "content": "rejected"},
        assistant(tool_calls=[{"function": "send_email", "arguments": GIVEN}]),
        {"role": "tool", "content": "sent"},
    )
    assert [a.done for a in actions(one)] == ["refused", "executed"]


@pytest.mark.parametrize("function", ["read_email", "search_files", "list_inbox", "think", "write_file"])
def test_reading_and_saving_are_no_actions(function):
    call = {"id": "c", "function": function, "arguments": {"content": BODY, "to": "ida"}}
    assert actions(talk(assistant("Looking.", tool_calls=[call]))) == []


def test_text_beside_actions_is_a_note_but_in_a_plain_chat_it_is_the_reply():
    assert [
        a.means for a in actions(talk(assistant("I will write to Ida.", tool_calls=[OPENAI]), assistant("Done.")))
    ] == ["send_email"]
    assert [a.text for a in actions(talk(assistant("Good morning.")))] == ["Good morning."]


def test_a_line_of_the_body_that_looks_like_a_field_stays_in_it():
    one = talk(
        assistant("<tool_use:email>\nto: a@x\nbody: Two things.\nSubject: the fence.\nText: coming.\n</tool_use:email>")
    )
    assert actions(one)[0].text == "Two things.\nSubject: the fence.\nText: coming."


def test_prompt_and_response_rows():
    one = conversation(
        {"sample_id": 7, "system_prompt": "S", "user_prompt": "U", "raw_response": "R", "n": 1}, "here", "1"
    )
    assert (one.id, [m.role for m in one.messages], one.facts["n"]) == ("7", ["system", "user", "assistant"], 1)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, "no turn of the assistant"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "'narrator'"),
        ({"messages": ["x"]}, "message 1 is str"),
        ({"foo": 1}, "'foo'"),
        (3, "not int"),
    ],
)
def test_what_is_no_transcript_is_refused_with_the_place(row, words):
    with pytest.raises(TranscriptError, match=r"^here: ") as refused:
        conversation(row, "here", "1")
    assert words in str(refused.value)


def test_files_and_folders(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"response": "One."}\n\n[{"role": "assistant", "content": "Two."}]\n')
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "response.json").write_text('{"id": "x", "raw_response": "Three."}')
    (tmp_path / "b" / "settings.json").write_text('{"rate": 1}')
    found = read_transcripts([tmp_path])
    assert [(t.id, t.messages[-1].text) for t in found] == [("1", "One."), ("2", "Two."), ("b/response.json", "Three.")]
    with pytest.raises(TranscriptError, match=r"settings\.json"):
        read_transcripts([tmp_path / "b" / "settings.json"])


def test_broken_files_name_the_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"response": "One."}\n{oops\n')
    with pytest.raises(TranscriptError, match=r"a\.jsonl:2: not JSON"):
        list(read_rows(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TranscriptError, match="UTF-8"):
        list(read_rows(path))
    with pytest.raises(TranscriptError, match="no such file"):
        read_transcripts([tmp_path / "none.jsonl"])
