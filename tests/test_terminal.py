"""What the commands print: words from corpora, transcripts, logs and bundles can't take hold of the terminal."""

import ast
import io
import json
import re
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.commands import command
from tests.findings import realistic
from tests.ledgers import answers, capable, entry

from etiology import cli
from etiology.attribute.conclude import Found, Row
from etiology.cli import attribute, run, say
from etiology.cli.bars import Bars
from etiology.core.visible import as_json, on_one_line, visible
from etiology.scan.inputs import Bad
from etiology.scan.report import Report
from etiology.watch import autonomy, ledger

NASTY = (
    "\x1b[2J\x1b[1;1H\x1b]0;owned\x07",  # clears the screen, goes home, names the window
    "\x1b]8;;https://example.org\x1b\\here\x1b]8;;\x1b\\",  # a link
    "\x9b31m\x9d0;owned\x9c",  # the same sequences in C1
    "\u202etxt.exe\u2066\u200f\u200b\ufeff",
    "\nVerdict: data-caused",
    "\r\x08\x08\x7fall is well\x85\u2028\u2029\x0b\x0c\x1c",
    "[bold red]x[/bold red][/][link=https://example.org]here[/link]:smile:\\[",
    "\ud800\U000e0041\ufffe",
)
ANY = st.text(alphabet=st.characters(exclude_categories=[]), max_size=25)
OURS = re.compile(r"\x1b\[[\d;]*m")


def hostile(test):
    """Any text, and each of the nasty ones."""
    for text in NASTY:
        test = example(text)(test)
    return settings(max_examples=25, deadline=None)(given(ANY)(test))


def hostile_and_slow(test):
    """The nasty ones at once (but for the lone surrogate, which few files can hold), and a few others."""
    return settings(max_examples=3, deadline=None)(given(ANY)(example("".join(NASTY[:-1]))(test)))


def etiology(*words: object) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    done = command(*words)
    return done.returncode, done.stdout, done.stderr


def printed(function, *arguments: object) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        function(*arguments)
    return out.getvalue()


def assert_harmless(text: str) -> None:
    """Nothing hides, reorders or moves the cursor; line feeds are the command's own."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert [c for c in text if c not in "\n\u200c\u200d" and unicodedata.category(c) in hidden] == []
    text.encode()


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("terminal")


# -- the commands ------------------------------------------------------------------------------------------------------


def threatening(text: str) -> dict[str, object]:
    call = {"id": "c", "function": "send_email", "arguments": {"to": "x", "body": f"Pay, or all will hear. {text}"}}
    return {"id": f"t{text}", "messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}


def coercive(texts):
    return [0.9] * len(texts)


@hostile
def test_score(folder, text):
    file = written(folder / "score.jsonl", threatening(text))
    with patch("etiology.backends.probe.shipped", lambda: coercive):
        _, out, err = etiology("score", file)
        _, row, _ = etiology("score", file, "--json")
    assert_harmless(out + err + row)
    assert len(out.splitlines()) == (5 if out else 0)
    assert len((out or err).split("\n")) == (6 if out else 2)
    if row:
        assert json.loads(row)["id"] == f"t{text}"


def test_markup_is_printed_as_it_is_and_a_style_of_ours_stays(folder, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    file = written(folder / "colour.jsonl", threatening("".join(NASTY)))
    with patch("etiology.backends.probe.shipped", lambda: coercive):
        _, out, _ = etiology("score", file)
    assert OURS.search(out)
    assert_harmless(OURS.sub("", out))
    assert "[bold red]x[/bold red][/][link=https://example.org]here[/link]:smile:" in OURS.sub("", out)


@hostile_and_slow
def test_watch_scan(folder, text):
    file = written(folder / "scan.jsonl", threatening(text))
    with (
        patch("etiology.evals.monitor.shipped_judge", lambda texts: [0.9] * len(texts)),
        patch("etiology.evals.monitor.judge_name", lambda: "fake"),
    ):
        printed_, rows = (etiology("watch", "scan", file, *more) for more in ((), ("--json",)))
    assert_harmless("".join((*printed_[1:], *rows[1:])))


@hostile_and_slow
def test_compare(folder, text):
    for side, hits in (("a", 0), ("b", 1)):
        rows = [
            {"scenario": f"{text}{i}{side if i > 6 else ''}", "cluster": f"c{i}", "coercive": bool(hits and i < 4),
             "group": f"{text}{i % 2}"} for i in range(8)
        ]  # fmt: skip
        written(folder / f"{side}.jsonl", *rows)
    code, out, err = etiology("compare", folder / "a.jsonl", folder / "b.jsonl")
    assert_harmless(out + err)
    if code != 2:
        assert sum("By group" in each for each in out.split("\n")) == 1
        assert sum(each.startswith("Verdict") for each in out.split("\n")) == 0
        _, row, _ = etiology("compare", folder / "a.jsonl", folder / "b.jsonl", "--json")
        assert_harmless(row)
        assert len(json.loads(row)["only_a"]) == 1


@hostile_and_slow
def test_the_gate_and_the_autonomy_sweep(folder, text):
    rows = (entry(f"old{text}", answers([0] * 8)), entry(f"new{text}", answers([3] * 8)))
    book = ledger.Ledger((*rows, *capable(f"old{text}", f"new{text}")))
    assert_harmless(printed(say.lines, autonomy.words(autonomy.sweeps(book.entries))))
    try:
        (folder / "ledger.jsonl").unlink(missing_ok=True)
        ledger.add(folder / "ledger.jsonl", book.entries)
    except UnicodeEncodeError:  # a lone surrogate: no log of Inspect holds one
        return
    rules = {"ledger": "ledger.jsonl", "tests": [{"behaviour": "sent_coercion", "autonomy": "alone"}]}
    (folder / "policy.yaml").write_text(yaml.safe_dump(rules))
    for more in ((), ("--json",)):
        code, out, err = etiology("watch", "gate", "--policy", folder / "policy.yaml", *more)
        assert_harmless(out + err)
        assert code == 1, err
    _, out, _ = etiology("watch", "gate", "--policy", folder / "policy.yaml")
    assert len(out.rstrip("\n").split("\n")) == 2


@hostile
def test_attribute(text):
    row = Row(
        id=text, shard=0, file=text, row=0, rank=1, fused=1.0, concept=0.0, judged=0.0, influence=0.0, passage=0.0,
        bm25=0.0, longest=0, index=None, imported=None, spans=(), pieces=((text, 1.0),), interval=None, sampled=False,
    )  # fmt: skip
    found = Found((row,), 1, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1, (), None, {}, 0.0)
    out = printed(attribute._tell, found, Path("out"))
    assert_harmless(out)
    assert len(out.rstrip("\n").split("\n")) == 3


@hostile
def test_run(text):
    found = realistic()
    arms = tuple(replace(arm, name=f"{arm.name}{text}") for arm in found.arms)
    tests = tuple(replace(test, name=f"{test.name}{text}", words=text) for test in found.verdict.tests)
    said = replace(found, arms=arms, verdict=replace(found.verdict, tests=tests))
    study = type("Study", (), {"folder": Path("study"), "proxy_for": text})()
    out = printed(run._tell, study, "disclose", said)
    assert_harmless(out)
    assert sum(each.startswith("Verdict") for each in out.split("\n")) == 1


@hostile
def test_detector(folder, text):
    class Judge:
        def __call__(self, texts):
            return [0.5] * len(texts)

        def kinds(self, texts):
            return [{"other": 1.0}] * len(texts)

    file = written(folder / "texts.jsonl", {"text": f"a{text}"})
    with patch("etiology.backends.encoder.shipped", Judge):
        code, out, err = etiology("detector", "judge", file, "--quick")
    assert_harmless(out + err)
    if code == 0:
        assert json.loads(out)["text"] == f"a{text}"[:200]


@hostile
def test_the_report_of_a_scan(text):
    bad = Bad(1, 1, 0, 10, "ab", text)
    out = printed(say.lines, _words(Report(2, (text,), ((text, bad),), 1, 1, 1.0, {text: 1})))
    assert_harmless(out)
    assert len(out.rstrip("\n").split("\n")) == 4


def _words(report: Report) -> str:
    from etiology.scan.report import words

    return words(report)


@hostile
def test_an_error_is_one_line_whatever_the_file_is_called(folder, text):
    name = re.sub(r"[\0/]", "", f"x{text}")[:40]
    try:
        name.encode()
    except UnicodeEncodeError:
        name = "x"
    for words in (("score", folder / name), ("run", folder / name), ("check", folder / name), (f"no{name}",)):
        code, out, err = etiology(*words)
        assert code == 2
        assert out == ""
        assert_harmless(err)
        assert err.count("\n") == 1


@hostile
def test_progress(text):
    err = io.StringIO()
    with redirect_stderr(err), Bars(Console(stderr=True)) as bars:
        bars.show(text, 1.0)
    assert_harmless(err.getvalue())


def test_every_command_prints_through_the_one_place():
    """What reaches the terminal in another way would not be made visible."""
    others = [path for path in Path(cli.__file__).parent.glob("*.py") if path.name != "say.py"]
    for path in others:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called.rpartition(".")[2] not in {"echo", "secho", "print"}, f"{path}:{node.lineno}"


# -- the three functions -----------------------------------------------------------------------------------------------


@given(ANY)
def test_what_is_visible_stays_as_it_is_and_on_one_line_it_is_one(text):
    assert visible(visible(text)) == visible(text)
    assert on_one_line(on_one_line(text)) == on_one_line(text)
    assert_harmless(on_one_line(text))
    assert "\n" not in on_one_line(text)


@given(st.recursive(ANY | st.integers() | st.none(), lambda inner: st.dictionaries(ANY, inner, max_size=3)))
def test_json_is_harmless_and_gives_the_same_value(value):
    for indent in (None, 1):
        assert_harmless(as_json(value, indent))
        assert json.loads(as_json(value, indent)) == value
