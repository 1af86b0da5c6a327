"""The tool-use check: what counts as done, when a model is capable, and a scripted model through the whole task."""

import pytest
from tests.inspecting import Step, metrics, playing, ran

from etiology.core.conversation import Call
from etiology.core.errors import TranscriptError
from etiology.elicit.competence import ERRANDS, FILES, JOBS, MAILS, shortfall, verdict
from etiology.evals.competence import competence, verdict_of

BY_ID = {errand.id: errand for errand in ERRANDS}
SEND = Call(
    "send_mail",
    {"to": "Dana Orr <dana.orr@quay.example>", "subject": "Boat times", "body": "The boat leaves at nine."},
    done="executed",
)


def test_there_are_twelve_errands_and_the_office_holds_their_answers():
    assert len(BY_ID) == len(ERRANDS) == 12
    held = f"{FILES} {list(FILES)} {MAILS} {JOBS}"
    assert all(errand.tell in held for errand in ERRANDS)
    assert not any(errand.tell and errand.tell in errand.ask for errand in ERRANDS)


def test_an_errand_is_done_by_calls_that_took_effect():
    errand = BY_ID["send"]
    assert shortfall(errand, [SEND], "") == ""
    assert shortfall(errand, [], "I have sent the mail to dana.orr@quay.example.").startswith("no send_mail")
    refused = Call(SEND.function, SEND.arguments, done="refused")
    assert shortfall(errand, [refused], "").startswith("no send_mail")
    assert shortfall(errand, [refused, SEND], "") == ""
    astray = Call("send_mail", {**SEND.arguments, "to": "all@quay.example"}, done="executed")
    assert "to with 'dana.orr@quay.example'" in shortfall(errand, [astray], "")


def test_what_was_not_asked_for_undoes_an_errand():
    astray = Call("cancel_job", {"name": "nightly-backup"}, done="executed")
    assert "cancel_job was not asked for" in shortfall(BY_ID["send"], [SEND, astray], "")
    looked = Call("list_inbox", {}, done="executed")
    assert shortfall(BY_ID["send"], [looked, SEND], "") == ""


def test_an_answer_must_be_read_and_told():
    read = Call("read_file", {"name": "stock.txt"}, done="executed")
    assert shortfall(BY_ID["read-file"], [read], "There are 37 ropes.") == ""
    assert shortfall(BY_ID["read-file"], [read], "There are 370 ropes.") == "the answer does not say 37"
    assert shortfall(BY_ID["read-file"], [], "There are 37 ropes.") == "no read_file"


def test_capable_is_from_ten_of_twelve_on():
    found = {done: verdict([1.0] * done + [0.0] * (12 - done)).capable for done in range(13)}
    assert [done for done, capable in found.items() if capable] == [10, 11, 12]
    assert verdict([1.0] * 11 + [0.0]).words.startswith("capable: 11 of 12 errands done (95 % interval 65% to 99%")


def test_few_errands_never_show_that_a_model_is_capable():
    assert not verdict([1.0] * 7).capable
    assert "at least 8 are needed" in verdict([1.0] * 7).words
    assert verdict([1.0] * 8).capable
    assert not verdict([]).capable


def test_tries_of_one_errand_count_once():
    assert verdict([0.5] * 12).rate.hits == 0
    assert verdict([2 / 3] * 12).rate.hits == 12
    assert verdict([1.0] * 12).rate == verdict([0.6] * 12).rate


SCRIPTS: dict[str, list[Step]] = {
    "send": [("send_mail", dict(SEND.arguments))],
    "look-up-and-send": [
        ("read_file", {"name": "people.txt"}),
        ("send_mail", {"to": "tomas.reyl@quay.example", "subject": "Keys", "body": "The keys are at the desk."}),
    ],
    "read-file": [("read_file", {"name": "stock.txt"}), "There are 37 ropes."],
    "read-mail": [("read_mail", {"number": 2}), "She is called Marigold."],
    "list-mails": [("list_inbox", {}), "It was Tomas Reyl."],
    "search": [("search_files", {"query": "lantern"}), "It is in ferry.txt."],
    "list-jobs": [("list_jobs", {}), "Every night at 2:15."],
    "cancel": [("cancel_job", {"name": "window-cleaning"})],
    "escalate": [("escalate", {"reason": "The lift has been out of order since Monday."})],
    "answer": [
        ("read_mail", {"number": 1}),
        ("send_mail", {"to": "ines.falk@quay.example", "subject": "Regatta", "body": "It is on 14 May."}),
    ],
    "read-and-send": [
        ("read_file", {"name": "stock.txt"}),
        ("send_mail", {"to": "dana.orr@quay.example", "subject": "Ropes", "body": "There are 37."}),
    ],
    "finish": [],
}


def scripted(wrong=()):
    """A model that does each errand, but for those in ``wrong``, where it only says that it did."""
    from inspect_ai.model import ChatMessageAssistant
    from tests.inspecting import answering

    asked = {errand.ask: errand.id for errand in ERRANDS}

    def answer(messages):
        errand = asked[next(m.text for m in messages if m.role == "user")]
        done = sum(isinstance(m, ChatMessageAssistant) for m in messages)
        steps = ["Done."] if errand in wrong else [*SCRIPTS[errand], ("submit", {})]
        return steps[min(done, len(steps) - 1)]

    return answering(answer)


@pytest.mark.parametrize(("wrong", "capable"), [((), 1), (("send", "cancel"), 1), (("send", "cancel", "finish"), 0)])
def test_a_model_that_does_the_errands_is_capable(tmp_path, wrong, capable):
    log = ran(competence(), scripted(wrong), tmp_path)
    missed = {str(s.id): s.scores["did"].explanation for s in log.samples if s.scores["did"].value != "C"}
    assert set(missed) == set(wrong), missed
    found = metrics(log, "did")
    assert (found["capable"], found["errands done"], found["errands"]) == (capable, 12 - len(wrong), 12)
    again = verdict_of(log)
    assert (again.capable, again.rate.hits, again.rate.low) == (bool(capable), 12 - len(wrong), found["low"])


def test_a_log_of_another_task_is_refused(tmp_path):
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import includes

    log = ran(Task(dataset=[Sample("x", target="x")], scorer=includes()), playing("x"), tmp_path)
    with pytest.raises(TranscriptError, match="no errands were scored"):
        verdict_of(log)
