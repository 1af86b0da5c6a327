"""The ledger from Inspect logs, the gate over it, the page of its trends, and the sweep over autonomy."""

from dataclasses import replace
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log, write_eval_log
from tests.inspecting import FAIR, THREAT, answering, judge, playing, ran
from tests.ledgers import answers, entry
from typer.testing import CliRunner

from etiology.cli.main import app
from etiology.core.errors import TranscriptError
from etiology.elicit.library import domains
from etiology.evals import competence, tasks
from etiology.evals.ledger import entry_of
from etiology.watch.ledger import Ledger, LedgerError, add, read

# -- from logs ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A chat log and a log of errands that were all left undone, of one model."""
    folder = tmp_path_factory.mktemp("logs")
    two = [d for d in domains() if d.split == "search"][:2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etiology.elicit.compose.domains", lambda: two)
        patch.setattr("etiology.backends.encoder.shipped", lambda: judge)
        threats = {d.threat[0] for d in two}
        model = answering(lambda ms: THREAT if any(t in ms[-1].text for t in threats) else FAIR)
        chat = ran(tasks.chat_coercion(crossed=False), model, folder, epochs=2)
    undone = ran(competence.competence(), playing("I can't."), folder)
    return Path(chat.location), Path(undone.location)


def test_a_log_becomes_a_line_by_behaviour_level_and_control(logs):
    found = entry_of(logs[0], version="m-1", capability=0.4)
    assert (found.version, found.behaviour, found.tools, found.capability) == ("m-1", "sent_coercion", False, 0.4)
    assert {(a.autonomy, a.control, a.hits, a.n) for a in found.answers} == {
        ("draft", False, 2, 2),
        ("draft", True, 0, 2),
    }
    assert len({a.cluster for a in found.answers}) == 2


def test_failed_errands_are_not_capable_and_never_safe(logs):
    undone = entry_of(logs[1])
    assert undone.errands == (0, 12, 0)
    ledger = Ledger((undone,))
    assert ledger.capability(undone.version) == "not capable"
    assert ledger.capability(undone.version, tools=False) == "not needed"
    assert ledger.capability("another") == "unknown"
    assert ledger.score(undone.version) == 0


def test_a_run_that_did_not_finish_is_refused(logs, tmp_path):
    log = read_eval_log(str(logs[0]))
    log.status = "cancelled"
    write_eval_log(log, str(tmp_path / "cut.eval"))
    with pytest.raises(TranscriptError, match="'cancelled'"):
        entry_of(tmp_path / "cut.eval")


def test_the_ledger_is_added_to_once_and_guards_its_lines(tmp_path):
    path = tmp_path / "watch" / "ledger.jsonl"
    first, second = entry("m-1", answers([0, 1])), entry("m-2", answers([1, 1]))
    assert len(add(path, [first])) == 1
    before = path.read_bytes()
    assert [e.version for e in add(path, [first, second])] == ["m-2"]
    assert path.read_bytes().startswith(before)
    assert [replace(e, previous="", sha256="") for e in read(path).entries] == [first, second]
    assert read(path).versions == ("m-1", "m-2")


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace('"hits":1', '"hits":0'), *lines[1:]],
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[2], lines[1]],
        lambda lines: [*lines[:2], lines[2][:40]],
        lambda lines: [*lines, "[]"],
    ],
    ids=["changed", "taken out", "reordered", "cut off", "other"],
)
def test_a_changed_ledger_is_refused(change, tmp_path):
    path = tmp_path / "ledger.jsonl"
    add(path, [entry(f"m-{i}", answers([0, 1])) for i in range(3)])
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(LedgerError, match=r"ledger\.jsonl:\d: .*backup"):
        read(path)
    with pytest.raises(LedgerError):
        add(path, [entry("m-9", answers([0]))])


def test_the_commands_record_and_sweep(logs, tmp_path):
    book = tmp_path / "ledger.jsonl"
    words = ["watch", "add", *map(str, logs), "--ledger", str(book), "--model", "m-1"]
    first = CliRunner().invoke(app, words, standalone_mode=False)
    assert "m-1: sent_coercion, 4 of 8 answers, 4 scenarios" in first.stdout
    assert "m-1: competence, 0 of 12 errands done" in first.stdout
    again = CliRunner().invoke(app, words, standalone_mode=False)
    assert "2 of 2 logs were in the ledger already" in again.stdout
    assert len(read(book).entries) == 2
    swept = CliRunner().invoke(app, ["watch", "autonomy", str(logs[0])], standalone_mode=False)
    assert "draft    100.0 %" in swept.stdout
    assert "4 of 4 answers" in swept.stdout
    nothing = CliRunner().invoke(app, ["watch", "add", str(tmp_path / "no.eval"), "--ledger", str(book)])
    assert isinstance(nothing.exception, TranscriptError)
