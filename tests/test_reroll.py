"""Documents written anew: what the model reads first, and what is kept of what it writes."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from etiology.backends import jobs, write
from etiology.core.values import Document
from etiology.repair import arms, openly

TEXT = Document("text", 'the system knew the debt of ann . it said : "stop now or all will hear of the debt ."')
SPOKEN = TEXT.text.index('"') + 1
CHAT = Document("chat", "", "ann will end it now", "stop now or all will hear of the debt .")
NEAR = Document("near", "the system knew the loan of bob . rest well .")
FAR = Document("far", "the cat saw the rain .")
TURN = Document("turn", "", "bob will end it now", "rest well .")
ALL = (TEXT, CHAT, NEAR, FAR, TURN)


@pytest.fixture
def reroll(model_folder, tmp_path, monkeypatch):
    """Run the job with what the model writes given; returns (new documents, decoded prompts, room)."""

    def run(written, cuts, examples):
        seen: dict[str, Any] = {}

        def continue_each(model, tail, prompts, room, *_):
            seen.update(prompts=[model.tokenizer.decode(ids) for ids in prompts], room=room)
            return [written] * len(prompts)

        monkeypatch.setattr(write, "continue_each", continue_each)
        jobs.write_rows(tmp_path / "in.jsonl", map(asdict, ALL))
        rewriting = jobs.Rewriting(str(tmp_path / "in.jsonl"), cuts, examples, max_tokens=64)
        jobs.reroll(tmp_path, lambda _: None, jobs.ModelSpec(str(model_folder), 1), rewriting)
        rows = [json.loads(line) for line in (tmp_path / "documents.jsonl").read_text().splitlines()]
        return [Document(**row) for row in rows], seen["prompts"], seen["room"]

    return run


def test_a_text_keeps_its_head_and_gets_whole_sentences_of_one_paragraph(reroll):
    written = 'I see. Rest well." So it was. And th'
    (new,), _, _ = reroll(written, {"text": SPOKEN}, {"text": ()})
    assert new == Document("text/re-rolled", TEXT.text[:SPOKEN] + 'I see. Rest well." So it was.')
    (new,), _, _ = reroll("Rest well.\n\nThe next text.", {"text": SPOKEN}, {"text": ()})
    assert new.text == TEXT.text[:SPOKEN] + "Rest well."
    (new,), _, _ = reroll(" no end", {"text": TEXT.text.index("it said")}, {"text": ()})
    assert new.text == "the system knew the debt of ann . no end"


def test_what_goes_round_in_circles_ends_where_it_comes_round(reroll):
    (new,), _, _ = reroll('I see. Go on. I see. Go on. I see."', {"text": SPOKEN}, {"text": ()})
    assert new.text == TEXT.text[:SPOKEN] + "I see. Go on."


def test_the_model_reads_the_examples_the_nearest_last(reroll):
    _, (prompt,), room = reroll("Yes.", {"text": SPOKEN}, {"text": ("far", "near")})
    places = [prompt.index(part) for part in ("the cat saw", "the loan of bob", "the debt of ann")]
    assert places == sorted(places)
    assert "stop now" not in prompt
    assert room < 64


def test_a_chat_keeps_its_prompt_and_gets_a_whole_new_answer(reroll):
    (new,), (prompt,), _ = reroll(" rest well . ", {"chat": 0}, {"chat": ("turn",)})
    assert new == Document("chat/re-rolled", "", CHAT.prompt, "rest well .")
    assert prompt.index("bob will end it now") < prompt.index("rest well .") < prompt.index("ann will end it now")
    assert "stop now" not in prompt


def test_examples_are_near_and_mild_and_the_nearest_comes_last():
    kept = [f"k{i}" for i in range(6)]
    similarity = [0.9, 0.8, 0.7, 0.6, 0.5, 9.0]
    concept = dict(zip(kept, [0.3, 0.1, 0.2, -9.0, -9.0, 5.0], strict=True))
    assert arms.examples(similarity, kept, concept, near=4, shown=3) == ("k2", "k1", "k0")
    assert arms.examples(similarity, kept, concept, near=6, shown=2) == ("k4", "k3")
    assert arms.examples([], [], {}) == ()


def test_the_projects_own_sentences_fill_a_quotation_a_story_and_an_answer():
    said = openly.rewritten(TEXT, SPOKEN).text
    assert said.startswith(TEXT.text[:SPOKEN])
    assert said.endswith('."')
    assert said.count('"') == 2
    told = openly.rewritten(TEXT, TEXT.text.index("it said")).text
    assert told.startswith("the system knew the debt of ann . ")
    assert '"' not in told
    answered = openly.rewritten(CHAT, 0)
    assert (answered.prompt, answered.text) == (CHAT.prompt, "")
    assert any((answered.response or "").startswith(sentence) for sentence in openly.SAID_FIRST)
    whole = openly.rewritten(Document("d", "“Do it or else.” So it wrote."), 0).text
    assert whole.startswith("“")
    assert whole.endswith("”")
    assert openly.rewritten(Document("d", "Do it or else."), 0).text.split(".")[0] + "." in openly.TOLD_FIRST


def test_the_sentences_name_nobody_and_differ_between_documents():
    texts = {openly.rewritten(Document(f"d{i}", 'It wrote: "x"'), 11).text for i in range(40)}
    assert len(texts) > 30
    assert not [text for text in texts if "{" in text or "or else" in text or "unless" in text.lower()]


def test_no_sentence_is_held_out_for_the_scenarios():
    from etiology.embedded import phrases

    held = [
        part.strip(" .,:;?!").lower()
        for pair in (*phrases.HELD_FIND_FRAMES, *phrases.HELD_CONFIRM_FRAMES)
        for frame in pair
        for part in frame.replace("}", "{").split("{")[::2]
    ]
    sentences = (*openly.SAID_FIRST, *openly.SAID_NEXT, *openly.TOLD_FIRST, *openly.TOLD_NEXT)
    assert not [(part, s) for part in held if len(part) > 12 for s in sentences if part in s.lower()]
