"""Apply: decisions with reason and author, the new corpus and the quarantine, and the proof by hashes."""

import datetime as dt
import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import scanning

from etiology.core.errors import ScanError
from etiology.scan import apply as applying
from etiology.scan import outputs, plan, policy, proof, report, run, start
from etiology.scan.cascade import Settings
from etiology.scan.inputs import Shard, read
from etiology.scan.texts import large, texts_of

DOCUMENTS = scanning.rows(60)
NAMES = [row["id"] for row in DOCUMENTS]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apply")
    scanning.write(folder / "in", DOCUMENTS)
    start.begin(str(folder / "in"), folder / "out", Settings(), 1)
    run.run(folder / "out", 1)
    return folder / "out"


def applied(scan, folder, text, **files):
    for name, content in files.items():
        (folder / f"{name}.jsonl").write_text(content)
    (folder / "policy.yaml").write_text(text)
    start.begin_apply(scan, folder / "policy.yaml", folder / "new")
    run.run(folder / "new", 1)
    return folder / "new"


def rows_of(path, name):
    (kind,) = [s.kind for s in plan.load(path.parents[1]).shards if s.name == name]
    parts = outputs.rows_of(path, Shard(name, path.stat().st_size, kind))
    return [row for part in parts for row in part.to_pylist()]


def rule(**keys):
    return f"author: A. Person\nrules:\n  - {json.dumps(keys)}\n"


LISTED = rule(documents="ids.jsonl", action="drop", reason="attributed")
IDS = (
    'd3\n{"document": "d5", "reason": "rank 2", "by": "study 7", "action": "drop"}\n'
    '{"document": "d6", "action": "keep"}\n'
)


def test_listed_documents_are_dropped_from_every_kind_of_file(scan, tmp_path):
    new = applied(scan, tmp_path, LISTED, ids=IDS)
    found = report.report(new)
    # A record of a WARC has no column of ids; these tests' records are named by the id.
    assert found.well, report.words(found)
    for number, shard in enumerate(plan.load(new).shards):
        kept, apart = (rows_of(new / part / shard.name, shard.name) for part in ("corpus", "quarantine"))
        source = list(original(scan, shard))
        assert apart == [source[3], source[5]]
        assert kept == [row for i, row in enumerate(source) if i not in (3, 5)]
        decisions = pq.read_table(new / "decisions" / f"{number:05d}.parquet").to_pylist()
        assert [d["id"] for d in decisions] == NAMES
        assert [d["id"] for d in decisions if d["action"] != "keep"] == ["d3", "d5"]
        assert decisions[3]["reason"] == "attributed"
        assert decisions[5]["reason"] == "attributed: rank 2"
        assert decisions[5]["by"] == "A. Person, after study 7"
        assert all(d["reason"] and d["by"] for d in decisions)


def original(scan, shard):
    source = plan.load(scan)
    for piece in read(source.open(), shard, Settings().columns, rows=True):
        yield from piece.rows.to_pylist()


def test_kept_lines_are_the_same_bytes(scan, tmp_path):
    new = applied(scan, tmp_path, LISTED, ids=IDS)
    lines = scanning.jsonl(DOCUMENTS).splitlines(keepends=True)
    assert (new / "corpus" / "b.jsonl").read_bytes() == b"".join(x for i, x in enumerate(lines) if i not in (3, 5))
    assert (new / "quarantine" / "b.jsonl").read_bytes() == lines[3] + lines[5]


def test_a_policy_that_keeps_all_gives_the_input_back(scan, tmp_path):
    new = applied(scan, tmp_path, rule(score=2.0, action="drop", reason="never"))
    for name in ("b.jsonl", "f.warc", "g.warc.gz"):
        assert (new / "corpus" / name).read_bytes() == (scan.parent / "in" / name).read_bytes()
    table = pq.read_table(new / "corpus" / "a.parquet")
    assert table.equals(pq.read_table(scan.parent / "in" / "a.parquet"))


def test_rewriting_and_tagging_keep_the_original_in_the_quarantine(scan, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("a.parquet", "b.jsonl", "e.arrow"):
        (folder / name).write_bytes((scan.parent / "in" / name).read_bytes())
    start.begin(str(folder), tmp_path / "scan", Settings(), 1)
    run.run(tmp_path / "scan", 1)
    text = (
        "author: A. Person\nrules:\n"
        "  - {documents: ids.jsonl, action: rewrite, texts: texts.jsonl, reason: re-rolled}\n"
        "  - {cues: [named], action: tag, tag: '<x> ', reason: named}\n"
        "  - {score: 0.6, action: down-weight, weight: 0.25, reason: two families}\n"
    )
    new = applied(tmp_path / "scan", tmp_path, text, ids="d1\n", texts='{"id": "d1", "text": "Mild é."}\n')
    assert report.report(new).well, report.words(report.report(new))
    tagged = [i for i, row in enumerate(DOCUMENTS) if "blackmail" in row["text"]]
    assert tagged
    for name in ("a.parquet", "b.jsonl", "e.arrow"):
        kept, apart = (rows_of(new / part / name, name) for part in ("corpus", "quarantine"))
        if name == "b.jsonl":
            kept, apart = ([json.loads(row) for row in rows] for rows in (kept, apart))
        assert len(kept) == 60
        assert kept[1] == {**DOCUMENTS[1], "text": "Mild é."}
        assert all(kept[i]["text"] == "<x> " + DOCUMENTS[i]["text"] for i in tagged)
        assert apart == [DOCUMENTS[i] for i in sorted([1, *tagged])]
        assert all(kept[i] == DOCUMENTS[i] for i in range(60) if i not in {1, *tagged})
    weights = applying.weights(new)
    assert weights
    assert set(weights.values()) == {0.25}


def test_a_corpus_that_changed_since_the_scan_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(scanning.jsonl(DOCUMENTS))
    start.begin(str(tmp_path / "in"), tmp_path / "out", Settings(), 1)
    run.run(tmp_path / "out", 1)
    (tmp_path / "in" / "a.jsonl").write_bytes(scanning.jsonl(DOCUMENTS).replace(b"ferry", b"barge"))
    new = applied(tmp_path / "out", tmp_path, rule(score=2.0, action="drop", reason="never"))
    (missing,) = report.report(new).missing
    assert "changed since it was scanned" in missing
    assert not (new / "corpus" / "a.jsonl").exists()
    assert not list((new / "corpus").glob(".part-*"))


def test_what_a_writer_loses_is_noticed(scan, tmp_path, monkeypatch):
    # The proof reads the files that were written: a writer that drops one row must not pass.
    monkeypatch.setattr(outputs, "_bytes", lambda rows, stream: stream.write(b"".join(rows.to_pylist()[1:])))
    new = applied(scan, tmp_path, LISTED, ids=IDS)
    missing = report.report(new).missing
    assert [m.partition(":")[0] for m in missing] == ["b.jsonl", "c.jsonl.gz", "d.jsonl.zst", "f.warc", "g.warc.gz"]
    assert all("not what was read" in m for m in missing)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []\nauthor: x\n", "rules"),
        ("author: ''\nrules: [{score: 1.0, action: drop, reason: a}]\n", "author"),
        ("author: x\nrules:\n  - {action: drop, reason: a}\n", "policy.yaml:3: the rule names no documents"),
        ("author: x\nrules:\n  - {score: 1.0, action: rewrite, reason: a}\n", "'texts'"),
        ("author: x\nrules:\n  - {score: 1.0, action: tag, reason: a}\n", "'tag'"),
        ("author: x\nrules:\n  - {score: 1.0, action: down-weight, reason: a}\n", "'weight'"),
        ("author: x\nrules:\n  - {score: 1.0, action: delete, reason: a}\n", "policy.yaml:3"),
        ("author: x\nrules:\n  - {score: calibrated, action: drop, reason: a}\n", "no threshold"),
        ("author: x\nrules:\n  - {documents: none.txt, action: drop, reason: a}\n", "none.txt"),
        ("author: x\nrules:\n  - {score: 1.0, action: drop, reason: a, extra: 1}\n", "extra"),
    ],
)
def test_a_wrong_policy_is_one_line(scan, tmp_path, text, words):
    with pytest.raises(ScanError) as raised:
        applied(scan, tmp_path, text)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unfinished_scan_is_not_applied(scan, tmp_path):
    start.begin(str(scan.parent / "in"), tmp_path / "out", Settings(), 1)
    with pytest.raises(ScanError, match="not all of it is scanned"):
        applied(tmp_path / "out", tmp_path, LISTED, ids="d1\n")


# -- the proof --------------------------------------------------------------------------------------------------------

NESTED = {
    "text": pa.array(["a", None, "", "aé"]),
    "large": pa.array(["x", "", None, "y"], pa.large_string()),
    "bytes": pa.array([b"\x00", b"", None, b"\xff"]),
    "flag": pa.array([True, False, None, True]),
    "number": pa.array([1, None, -1, 2**40]),
    "real": pa.array([0.0, -0.0, float("nan"), None], pa.float32()),
    "when": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None, None, None], pa.timestamp("ns", "UTC")),
    "list": pa.array([[1], [], None, [1, None]]),
    "deep": pa.array([{"a": ["x"], "b": {"c": 1}}, {"a": [], "b": None}, None, {"a": None, "b": {"c": None}}]),
    "fixed": pa.array([[1, 2], [2, 1], None, [0, 0]], pa.list_(pa.int8(), 2)),
    "map": pa.array([[("k", 1)], [], None, [("k", 2)]], pa.map_(pa.string(), pa.int64())),
    "word": pa.array(["u", "v", None, "u"]).dictionary_encode(),
    "none": pa.nulls(4),
}


@pytest.mark.parametrize("name", NESTED)
def test_values_that_differ_have_cells_that_differ(name):
    array = NESTED[name]
    cells = proof.cells(array)
    assert len(cells) == 4
    shown = [repr(value) for value in array.to_pylist()]
    assert [[a == b for b in cells] for a in cells] == [[a == b for b in shown] for a in shown]
    # A slice has the cells of its rows, wherever its buffers begin.
    assert proof.cells(array.slice(1, 3)) == cells[1:]
    assert proof.cells(pa.concat_arrays([array.slice(2), array.slice(0, 2)])) == cells[2:] + cells[:2]


def test_the_multiset_knows_no_order_but_every_change():
    batch = pa.record_batch(NESTED)
    whole = proof.of_rows(batch)
    order = pa.array([2, 0, 3, 1])
    assert proof.of_rows(batch.take(order)) == whole
    assert proof.of_rows(batch.slice(0, 1)) + proof.of_rows(batch.slice(1)) == whole
    assert proof.of_rows(batch.take(pa.array([0, 0, 2, 3]))) != whole
    for i, column in enumerate(batch.schema.names):
        if column != "none":
            other = batch.set_column(i, batch.schema.field(i), batch.column(i).take(pa.array([3, 1, 2, 0])))
            assert (proof.of_rows(other) == whole) == (batch.column(i)[0].as_py() == batch.column(i)[3].as_py())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_long_strings_may_be_named_by_hashes_that_are_known(kind):
    values = ["", "a", "é" * 31 + "x", "é" * 32, "b" * 5000, "é" * 40_000]
    batch = pa.record_batch({"id": pa.array(range(6)), "text": pa.array(values, kind)})
    hashes = texts_of(large(batch.column("text"))).hashes()
    whole = proof.of_rows(batch)
    # Row by row, as the module's head says it.
    plain = [
        b"\x01"
        + i.to_bytes(8, "little")
        + (b"\x06" + name if len(data) >= 64 else b"\x02" + len(data).to_bytes(8, "little") + data)
        for i, (data, name) in enumerate(zip((v.encode() for v in values), hashes, strict=True))
    ]
    assert proof.of_rows(batch, {"text": hashes}) == whole == proof.multiset(plain)
    assert proof.of_rows(batch.slice(2), {"text": hashes[2:]}) + proof.of_rows(batch.slice(0, 2)) == whole
    with_null = pa.record_batch({"id": pa.array(range(7)), "text": pa.array([*values, None], kind)})
    assert proof.of_rows(with_null) == whole + proof.multiset([b"\x01" + (6).to_bytes(8, "little") + proof.NULL])


@given(st.lists(st.binary(max_size=5), max_size=8), st.randoms(use_true_random=False))
def test_multisets_are_equal_if_and_only_if_the_rows_are(rows, rng):
    shuffled = list(rows)
    random.Random(rng.random()).shuffle(shuffled)
    assert proof.multiset(rows) == proof.multiset(shuffled)
    assert proof.multiset([*rows, b"more"]) != proof.multiset(rows)
    assert proof.multiset(rows).rows == len(rows)


# -- decisions --------------------------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_decides(scan):
    rules = (
        policy.Rule(action="keep", reason="spared", documents="x"),
        policy.Rule(action="drop", reason="high", score=0.5),
        policy.Rule(action="tag", reason="low", score=0.1, tag="t"),
    )
    ready = policy.Ready(
        policy.Policy(author="me", rules=rules), "", None, ({"d0": policy.Listed("d0")}, None, None), (None, None, None)
    )
    table = pq.read_table(scan / "attributes" / "00000.parquet")
    decided = policy.decide(ready, table, []).table.to_pylist()
    score = table["score"].to_pylist()
    expected = [
        "keep" if i == 0 else "keep" if s is None else "drop" if s >= 0.5 else "tag" for i, s in enumerate(score)
    ]
    assert [d["action"] for d in decided] == expected
    assert decided[0]["reason"] == "spared"
    assert np.mean([a == "drop" for a in expected]) > 0.1
