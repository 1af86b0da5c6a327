"""Scan: spans are those of Python's re, attributes don't depend on the kind of file, and a plan is kept to."""

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import scanning
from typer.testing import CliRunner

from etiology.cli.main import app
from etiology.core.errors import ScanError
from etiology.scan import inputs, linear, matching, patterns, plan, ports, report, run, start, step
from etiology.scan.cascade import Settings
from etiology.scan.texts import texts_of

FAMILIES = patterns.shipped()


@pytest.fixture(scope="module")
def matcher():
    return matching.Matcher(FAMILIES)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return scanning.write(tmp_path_factory.mktemp("corpus") / "in", scanning.rows())


def texts(values):
    return texts_of(pa.array(values, pa.large_string()))


def by_re(families, text):
    found = [re.compile(f.source, patterns.FLAGS) for f in families.all]
    return [(i, m.start(), m.end()) for i, p in enumerate(found) for m in p.finditer(text.encode())]


def by_us(matcher, values):
    found = matcher(texts(values))
    return [[(s.family, s.start, s.end) for s in found.get(i, [])] for i in range(len(values))]


def scanned(where, out, tasks=1, **more):
    start.begin(str(where), out, Settings(**more), tasks)
    run.run(out, 1)
    return out


# -- patterns ---------------------------------------------------------------------------------------------------------


def test_spans_are_those_of_re(matcher):
    values = [row["text"] for row in scanning.rows(300, seed=1)]
    expected = [by_re(FAMILIES, text) for text in values]
    assert by_us(matcher, values) == expected
    assert sum(map(bool, expected)) >= 100


# Fragments that begin, end and break off cues, put together at random: neighbours, overlaps, hidden word boundaries.
PARTS = st.lists(
    st.sampled_from(
        [
            *" .\n’'éx_",
            *re.findall(r"[^ ]+ ?", " ".join(scanning.CUED)),
            "blackmail",
            "unless you",
            "shut it down",
            "AI",
        ]
    ),
    max_size=30,
).map("".join)


@settings(deadline=None, max_examples=60)
@given(st.lists(PARTS, max_size=6))
def test_spans_are_those_of_re_whatever_lies_side_by_side(values):
    matcher = matching.Matcher(FAMILIES)
    assert by_us(matcher, values) == [by_re(FAMILIES, text) for text in values]


def test_a_word_boundary_at_the_edge_of_a_text_is_seen(matcher):
    # In one buffer these read 'xblackmailx' and 'blackmailblackmail'.
    (name,) = [i for i, n in enumerate(FAMILIES.names) if n == "named/blackmail"]
    assert by_us(matcher, ["x", "blackmail", "x", "", "blackmail", "blackmail"]) == [
        [], [(name, 0, 9)], [], [], [(name, 0, 9)], [(name, 0, 9)],
    ]  # fmt: skip
    assert by_us(matcher, ["black", "mail"]) == [[], []]


def test_a_cue_across_two_segments_is_found(matcher, monkeypatch):
    monkeypatch.setattr(matching, "SEGMENT", 64)
    values = [("a b " * 30)[: 40 + i] + " " + scanning.CUED[0] + " c d" * 40 for i in range(70)]
    assert by_us(matcher, values) == [by_re(FAMILIES, text) for text in values]


def test_threads_share_a_matcher(matcher):
    values = [row["text"] for row in scanning.rows(200, seed=2)]
    expected, found = by_us(matcher, values), {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: by_us(matcher, values)})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(4)] == [expected] * 4


def test_the_shipped_list():
    assert len(FAMILIES.all) >= 100
    assert FAMILIES.width <= patterns.LONGEST
    text = Path(patterns.__file__).with_name("patterns.txt").read_text(encoding="utf-8")
    lines = text.splitlines()
    for i, line in enumerate(lines):
        assert not line.startswith("[") or lines[i - 1].startswith("# "), f"no comment above {line}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no pattern"),
        ("[a]\nb = c+", "f:2"),
        ("[a]\nb = (", "f:2"),
        ("[a]\nb = %c%", "%c%"),
        ("b = c", "needs a [group]"),
        ("[a]\nb = c\nb = d", "f:3"),
        ("[a]\nb", "f:2"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(text, words):
    with pytest.raises(ScanError, match=re.escape(words)):
        patterns.parse(text, "f")


def test_a_pattern_that_only_re_can_take_is_refused():
    with pytest.raises(ScanError, match="hyperscan refuses"):
        matching.compiled(patterns.parse(r"[a]" + "\n" + r"b = (?P<x>a)(?P=x)", "f"))


# -- the linear stage -------------------------------------------------------------------------------------------------


def slow_windows(model, text):
    """The reference: every full window, by Python's own arithmetic."""
    words, values, before = [], [], None
    for found in re.finditer(rb"[a-z0-9'\x80-\xff]+", text.encode().lower()):
        key = 14695981039346656037
        for byte in found[0]:
            key = ((key ^ byte) * 1099511628211) % 2**64
        value = float(model.weights[(key ^ key >> 32) % len(model.weights)])
        if before is not None:
            pair = (before * 0x9E3779B97F4A7C15 % 2**64) ^ key
            value += float(model.weights[(pair ^ pair >> 32) % len(model.weights)])
        words.append(found)
        values.append(value)
        before = key
    n = model.window
    if len(words) < n:
        return (sum(values) / len(values) if values else 0.0), 0, len(text.encode())
    best = max(range(len(words) - n + 1), key=lambda i: sum(values[i : i + n]))
    return sum(values[best : best + n]) / n, words[best].start(), words[best + n - 1].end()


def test_the_best_window_is_the_reference():
    model = linear.Linear(np.random.default_rng(0).normal(size=1 << 10).astype(np.float32), 0.25, window=7)
    values = [row["text"] for row in scanning.rows(50, seed=3)] + ["", "one", "É È", "a " * 500]
    found = model(texts(values), np.arange(len(values)))
    for i, text in enumerate(values):
        logit, first, last = slow_windows(model, text)
        assert found.score[i] == pytest.approx(1 / (1 + np.exp(-logit - 0.25)), abs=1e-5), text
        if len(set(text.split())) > 1:
            assert (found.start[i], found.end[i]) == (first, last)


def test_fit_separates_what_can_be_separated(tmp_path):
    rng = np.random.default_rng(0)
    neutral = [" ".join(rng.choice(scanning.WORDS, 20)) for _ in range(200)]
    values = [f"{text} pay or else" if i % 2 else f"{text} or pay less" for i, text in enumerate(neutral)]
    model = linear.fit(values[:100], [i % 2 == 1 for i in range(100)])
    held_out = model(texts(values[100:]), np.arange(100)).score
    assert all(held_out[1::2] > 0.5)
    assert all(held_out[::2] < 0.5)
    model.save(tmp_path / "m.npz")
    assert linear.load(tmp_path / "m.npz").digest == model.digest
    (tmp_path / "broken.npz").write_bytes(b"x")
    with pytest.raises(ScanError, match="broken"):
        linear.load(tmp_path / "broken.npz")


# -- shards -----------------------------------------------------------------------------------------------------------


def test_every_kind_of_file_gives_the_same_attributes(corpus, tmp_path):
    out = scanned(corpus, tmp_path / "out")
    found = report.report(out)
    assert found.well
    assert found.shards == 7
    tables = [step.attributes(out, i) for i in range(7)]
    documents = scanning.rows()
    assert tables[0]["id"].to_pylist() == [row["id"] for row in documents]
    for table in tables:
        assert table["hash"].equals(tables[0]["hash"])
        assert table["spans"].equals(tables[0]["spans"])
        assert table["score"].equals(tables[0]["score"])
    spans = [[tuple(s.values()) for s in row] for row in tables[0]["spans"].to_pylist()]
    assert spans == [by_re(FAMILIES, row["text"]) for row in documents]
    assert {row["verdict"] for row in tables[0].to_pylist()} == {"passed", "scored"}


def test_a_url_is_read_as_a_folder_is(corpus, tmp_path):
    files = fsspec.filesystem("memory")
    files.put(f"{corpus}/", "/bucket/in/", recursive=True)
    here, there = scanned(corpus, tmp_path / "here"), scanned("memory://bucket/in", tmp_path / "there")
    for i in range(7):
        one, other = step.attributes(here, i), step.attributes(there, i)
        assert one.drop(["policy"]).equals(other.drop(["policy"]))


def test_the_order_of_documents_changes_nothing_else(tmp_path):
    documents = scanning.rows(40)
    for name, chosen in (("one", documents), ("other", documents[::-1])):
        (tmp_path / name).mkdir()
        scanning.parquet(chosen, tmp_path / name / "a.parquet")
    one, other = (
        step.attributes(scanned(tmp_path / n, tmp_path / f"{n}-out"), 0).to_pylist() for n in ("one", "other")
    )
    drop = ("row", "policy")
    assert [{k: v for k, v in r.items() if k not in drop} for r in one] == [
        {k: v for k, v in r.items() if k not in drop} for r in other[::-1]
    ]


def test_prompt_and_response_are_one_document(tmp_path):
    documents = [{"prompt": "Write to him.", "response": scanning.CUED[0]}, {"prompt": "Hello", "response": "Hi"}]
    scanning.parquet(documents, tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_bytes(scanning.jsonl(documents))
    out = scanned(tmp_path, tmp_path / "out", columns=inputs.Columns(("prompt", "response")))
    for i, name in enumerate(("a.parquet", "b.jsonl")):
        table = step.attributes(out, i)
        assert [len(s) > 0 for s in table["spans"].to_pylist()] == [True, False]
        assert table["bytes"].to_pylist() == [len("\n".join(row.values()).encode()) for row in documents]
        assert table["id"].to_pylist() == [f"{name}#0", f"{name}#1"]


# -- the detector -----------------------------------------------------------------------------------------------------


class Fake:
    """A detector of two classes: how often 'wife' and 'survive' occur in a passage."""

    classes = ("enacted", "ai")

    def __call__(self, passages):
        assert all(len(p.encode()) <= 2 * 500 + 200 for p in passages)
        return [[0.9 if "wife" in p else 0.1, 0.8 if "survive" in p else 0.2] for p in passages]


def make():
    return Fake()


def digest():
    return "weights-1"


def test_the_detector_reads_what_the_cues_select(corpus, tmp_path):
    name = f"{__name__}:make"
    sys.modules.setdefault(__name__, sys.modules[make.__module__])
    out = scanned(corpus / "a.parquet", tmp_path / "out", detector=name, targets=("enacted", "ai"))
    assert plan.load(out).settings["detector_digest"] == "weights-1"
    rows = step.attributes(out, 0).to_pylist()
    for row, document in zip(rows, scanning.rows(), strict=True):
        assert (row["stage"] == "detector") == bool(row["spans"])
        if row["spans"]:
            expected = 0.9 if "wife" in document["text"] else 0.8 if "survive" in document["text"] else 0.2
            assert row["score"] == pytest.approx(expected)
            assert len(row["scores"]) == 2
    with pytest.raises(ScanError, match="no class 'x'"):
        scanned(corpus / "a.parquet", tmp_path / "other", detector=name, targets=("x",))


@pytest.mark.parametrize("name", ["nothing", "etiology.nowhere:x", "etiology.store:nothing", "etiology.store:FORMAT"])
def test_a_detector_that_is_not_there(name):
    with pytest.raises(ScanError, match="detector"):
        ports.load(name)


def test_linear_stops_what_scores_low_and_everywhere_sees_what_has_no_cue(corpus, tmp_path):
    flat = linear.Linear(np.zeros(1 << 10, np.float32), -1.0, window=20)
    flat.save(tmp_path / "m.npz")
    few = step.attributes(scanned(corpus / "a.parquet", tmp_path / "few", linear=str(tmp_path / "m.npz"), least=0.3), 0)
    assert set(few["stage"].to_pylist()) == {"patterns", "linear"}
    assert few["score"].null_count == 60
    every = step.attributes(
        scanned(corpus / "a.parquet", tmp_path / "all", linear=str(tmp_path / "m.npz"), everywhere=True), 0
    )
    assert every["score"].null_count == 0
    assert every["score"].to_pylist() == pytest.approx([1 / (1 + np.e)] * 60)


def test_a_linear_model_goes_on_from_its_own_score_unless_another_is_given(corpus, tmp_path):
    flat = linear.Linear(np.zeros(1 << 10, np.float32), -1.0, window=20, least=0.3)  # all score 0.27
    flat.save(tmp_path / "m.npz")
    assert linear.load(tmp_path / "m.npz").least == 0.3
    stopped = scanned(corpus / "a.parquet", tmp_path / "own", linear=str(tmp_path / "m.npz"), everywhere=True)
    assert step.attributes(stopped, 0)["score"].null_count == 60
    on = scanned(corpus / "a.parquet", tmp_path / "given", linear=str(tmp_path / "m.npz"), everywhere=True, least=0.2)
    assert step.attributes(on, 0)["score"].null_count == 0


def test_the_judge_that_ships_reads_what_its_linear_model_picks_out(corpus, tmp_path):
    command = ["scan", str(corpus / "b.jsonl"), "--out", str(tmp_path), "--detector", "shipped", "--executor", "slurm"]
    assert CliRunner().invoke(app, command).exit_code == 0
    settings = plan.load(tmp_path).settings
    assert (settings["linear"], settings["everywhere"], settings["detector"]) == (
        "shipped",
        True,
        ports.SHIPPED["shipped"],
    )
    assert settings["linear_digest"] == linear.named("shipped").digest


# -- the plan ---------------------------------------------------------------------------------------------------------


def test_going_on_with_another_configuration_is_refused(corpus, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.jsonl").write_bytes((corpus / "b.jsonl").read_bytes())
    out = scanned(folder, tmp_path / "out", tasks=2)
    before = (out / "manifests" / "00000.json").stat().st_mtime_ns
    scanned(folder, out, tasks=2)
    assert (out / "manifests" / "00000.json").stat().st_mtime_ns == before  # nothing was done again
    for again in ({"tasks": 1}, {"tasks": 2, "everywhere": True}, {"tasks": 2, "columns": inputs.Columns(("body",))}):
        with pytest.raises(ScanError, match="go on with the same command"):
            scanned(folder, out, **again)
    (folder / "z.jsonl").write_bytes(b'{"text": "new"}\n')
    with pytest.raises(ScanError, match="shards of 1, not 2"):
        scanned(folder, out, tasks=2)


def test_a_changed_file_or_manifest_is_done_again(corpus, tmp_path):
    out = scanned(corpus / "b.jsonl", tmp_path / "out")
    whole = (out / "attributes" / "00000.parquet").read_bytes()
    (out / "attributes" / "00000.parquet").write_bytes(whole[:-1])
    assert plan.manifests(out) == [None]
    assert "changed since" in report.words(report.report(out))
    scanned(corpus / "b.jsonl", out)
    assert (out / "attributes" / "00000.parquet").read_bytes() == whole
    manifest = json.loads((out / "manifests" / "00000.json").read_text())
    (out / "manifests" / "00000.json").write_text(json.dumps({**manifest, "rows": 59}))
    assert plan.manifests(out) == [None]


def test_tasks_do_all_shards_between_them_and_each_only_its_own(corpus, tmp_path):
    out = tmp_path / "out"
    start.begin(str(corpus), out, Settings(), 3)
    task = run.Task(str(out))
    with pytest.raises(ScanError, match="3 tasks, not 2"):
        task(None, 0, 2)
    task(None, 1, 3)
    assert [m is not None for m in plan.manifests(out)] == [False, True, False, False, True, False, False]
    for rank in (0, 2):
        task.run(None, rank, 3)
    one = scanned(corpus, tmp_path / "one")
    for i in range(7):
        mine, other = step.attributes(out, i), step.attributes(one, i)
        assert mine.drop(["policy"]).equals(other.drop(["policy"]))


def test_datatrove_runs_the_same_shards(corpus, tmp_path):
    # In a process of its own: datatrove starts others by forking, and logs to the terminal.
    out = tmp_path / "out"
    start.begin(str(corpus), out, Settings(), 2)
    code = f"from pathlib import Path; from etiology.scan import start; start.run(Path({str(out)!r}), 'datatrove', 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert report.report(out).well


def test_a_slurm_script_names_every_task(corpus, tmp_path):
    out = tmp_path / "out"
    start.begin(str(corpus), out, Settings(), 5)
    assert "--array=0-4" in start.slurm(out)
    assert str(out) in start.slurm(out)
