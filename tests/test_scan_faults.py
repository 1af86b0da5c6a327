"""Scan and apply when things are broken: every bad row is listed with its bytes, nothing is lost, kill -9 included."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tests import scanning

from etiology.scan import plan, report, run, start, step
from etiology.scan.cascade import Settings

ROOT = Path(__file__).parent.parent
DROP = "author: test\nrules:\n  - {cues: [named, demand, exposure], action: drop, reason: cue}\n"


def etiology(*arguments, **more):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from etiology.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **more)


def scanned(where, out):
    start.begin(str(where), out, Settings(), 1)
    run.run(out, 1)
    return report.report(out)


def applied(scan, to, text=DROP):
    policy = scan.parent / "policy.yaml"
    policy.write_text(text)
    start.begin_apply(scan, policy, to)
    run.run(to, 1)
    return report.report(to)


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def parquet_of(documents, **more):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(documents), sink, **more)
    return sink.getvalue().to_pybytes()


DOCUMENTS = scanning.rows(60)
GROUPED = parquet_of(DOCUMENTS, row_group_size=20, compression="zstd", write_page_checksum=True)
SECOND_GROUP = pq.ParquetFile(pa.BufferReader(GROUPED)).metadata.row_group(1).column(1).dictionary_page_offset + 99
ZIPPED = gzip.compress(scanning.jsonl(DOCUMENTS), mtime=0)
LINES = scanning.jsonl(DOCUMENTS).splitlines(keepends=True)
BIG = {"id": "big", "text": ("nothing to see here. " * 1_000_000)[:20_000_000] + " " + scanning.CUED[0]}

# name of the shard, its bytes, rows that are read all the same, and what is said of the rest
FAULTS = {
    "truncated parquet": ("a.parquet", GROUPED[:-200], 0, "not a whole Parquet file"),
    "truncated gzip": ("a.jsonl.gz", ZIPPED[: len(ZIPPED) // 2], None, "cut short or damaged"),
    "truncated zstandard": ("a.jsonl.zst", zstandard.compress(b"".join(LINES))[:-30], None, "cut short"),
    "truncated line": ("a.jsonl", b"".join(LINES)[:-20], 60, "not valid JSON"),
    "truncated warc": ("a.warc", scanning.warc(DOCUMENTS, packed=False)[:-30], 60, "cut short"),
    "bit-flipped parquet": ("a.parquet", flipped(GROUPED, SECOND_GROUP), 40, "row group 1 can't be read"),
    "bit-flipped gzip": ("a.jsonl.gz", flipped(ZIPPED, len(ZIPPED) // 2), None, "damaged"),
    "bit-flipped line": ("a.jsonl", flipped(b"".join(LINES), len(LINES[0]) + 20), 60, "is not UTF-8"),
    "null in lines": ("a.jsonl", b"".join(LINES[:5]) + b'{"id": "n", "text": null}\n' + LINES[6], 7, "'text' is null"),
    "null in parquet": ("a.parquet", parquet_of([*DOCUMENTS[:5], {"id": "n", "text": None}]), 6, "'text' is null"),
    "no UTF-8 in parquet": ("a.parquet", parquet_of([{"text": b"fine"}, {"text": b"caf\xe9"}]), 2, "0xe9 at 3"),
    "half a surrogate pair": ("a.jsonl", b'{"text": "a \\ud800 b"}\n' + LINES[0], 2, "surrogate"),
    "missing column": ("a.parquet", parquet_of([{"id": "a", "body": "x"}]), 0, "no column 'text'; found id, body"),
    "missing field": ("a.jsonl", LINES[0] + b'{"id": "a", "body": "x"}\n', 2, "'text' is missing"),
    "zero-byte lines": ("a.jsonl", b"", 0, "zero bytes"),
    "zero-byte parquet": ("a.parquet", b"", 0, "zero bytes"),
    "zero-byte warc": ("a.warc.gz", b"", 0, "zero bytes"),
    "no WARC at all": ("a.warc", b"hello", 0, "no whole record"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_listed_and_nothing_is_lost(fault, tmp_path):
    name, data, rows, words = FAULTS[fault]
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / name).write_bytes(data)
    (folder / "whole.jsonl").write_bytes(b"".join(LINES[:9]))
    found = scanned(folder, out)
    assert found.missing == ()
    assert {shard for shard, _ in found.bad} == {name}
    (bad,) = [bad for _, bad in found.bad]
    assert words in bad.reason
    if rows is not None:
        assert pq.read_metadata(out / "attributes" / "00000.parquet").num_rows == rows
    if bad.row is not None and name.endswith(".jsonl"):
        assert hashlib.sha256(data[bad.offset : bad.offset + bad.bytes]).hexdigest() == bad.sha256
        assert data[: bad.offset].count(b"\n") == bad.row
    if bad.row is not None and bad.rows > 1:
        assert hashlib.sha256(data[bad.offset : bad.offset + bad.bytes]).hexdigest() == bad.sha256
        assert bad.offset <= SECOND_GROUP < bad.offset + bad.bytes
    made = applied(out, tmp_path / "new")
    assert made.missing == ()
    kept, apart = (tmp_path / "new" / part / name for part in ("corpus", "quarantine"))
    if bad.row is None or bad.rows > 1:
        assert not kept.exists()
        assert apart.read_bytes() == data
    elif name.endswith(".jsonl"):
        assert sorted((kept.read_bytes() + apart.read_bytes()).splitlines()) == sorted(data.splitlines())
        assert data[bad.offset : bad.offset + bad.bytes] in apart.read_bytes()


def test_faults_make_the_command_end_with_1(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(b"".join(LINES[:3]) + b"{\n")
    (tmp_path / "in" / "b.jsonl").write_bytes(b"".join(LINES[:3]))
    done = etiology("scan", tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("bad: ")]
    offset = sum(map(len, LINES[:3]))
    assert (
        f"a.jsonl: row 3, byte {offset}, 2 bytes, SHA-256 {hashlib.sha256(b'{' + bytes([10])).hexdigest()[:16]}" in line
    )
    (tmp_path / "in" / "a.jsonl").unlink()
    assert etiology("scan", tmp_path / "in", "--out", tmp_path / "out2").returncode == 0
    done = etiology("scan", tmp_path / "in", "--out", tmp_path / "out2", "--tasks", "2")
    assert done.returncode == 2
    assert "tasks 1, not 2" in done.stderr


@pytest.mark.parametrize("kind", ["a.jsonl", "a.parquet"])
def test_a_large_document_is_matched_to_its_end(kind, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [DOCUMENTS[0], BIG, DOCUMENTS[1]]
    (folder / kind).write_bytes(scanning.jsonl(rows) if kind == "a.jsonl" else parquet_of(rows))
    assert scanned(folder, tmp_path / "out").well
    row = step.attributes(tmp_path / "out", 0).to_pylist()[1]
    assert row["bytes"] == len(BIG["text"].encode())
    data = BIG["text"].encode()
    assert [data[s["start"] : s["end"]] for s in row["spans"]][:1] == [b"Unless you drop the complaint I will"]


def test_an_error_of_our_own_is_told_and_the_shard_is_done_again(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(LINES[0])
    (tmp_path / "in" / "b.jsonl").write_bytes(LINES[1])

    def broken(_self, _cascade, _corpus, number, shard, name):
        if shard.name == "a.jsonl":
            raise MemoryError("no more")
        return plan.Manifest(shard.name, number, name, {}, 1, 1)

    with monkeypatch.context() as patch:
        patch.setattr(step.Scan, "_scan", broken)
        found = scanned(tmp_path / "in", tmp_path / "out")
    assert found.missing == ("a.jsonl: MemoryError: no more",)
    assert scanned(tmp_path / "in", tmp_path / "out").well


def test_killed_at_any_moment_nothing_is_lost_doubled_or_unreadable(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    expected = {}
    for i in range(8):
        documents = [{**row, "id": f"{i}-{row['id']}"} for row in scanning.rows(3000, seed=i)]
        (folder / f"{i}.jsonl").write_bytes(scanning.jsonl(documents))
        expected[f"{i}.jsonl"] = [row["id"] for row in documents]
    start.begin(str(folder), out, Settings(), 1)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "etiology.scan.run", str(out), "0"]
    done_before = []
    for kills in range(1, 5):
        process = subprocess.Popen(command, env=environment)
        # As soon as this run has finished a shard and is writing another.
        while process.poll() is None:
            if count(out) >= kills and list((out / "attributes").glob(".part-*")):
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        assert process.wait() == -signal.SIGKILL
        done_before.append(count(out))
        assert done_before[-1] < 8
    assert done_before == sorted(done_before)
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    found = report.report(out)
    assert found.well
    assert found.rows == 8 * 3000
    for number, shard in enumerate(plan.load(out).shards):
        table = step.attributes(out, number)
        assert table["id"].to_pylist() == expected[shard.name]
        assert table["row"].to_pylist() == list(range(3000))


def count(out):
    return len(list((out / "manifests").glob("[0-9]*.json")))


def test_a_worker_that_dies_is_told_in_one_line(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(3):
        (tmp_path / "in" / f"{i}.jsonl").write_bytes(LINES[i])
    module = tmp_path / "killer.py"
    module.write_text("import os\ndef make():\n    os.kill(os.getpid(), 9)\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"}
    command = [sys.executable, "-c", "from etiology.cli import main; main()", "scan", str(tmp_path / "in")]
    more = ["--out", str(tmp_path / "out"), "--workers", "2", "--detector", "killer:make"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2, done.stderr
    assert "a worker was killed" in done.stderr.strip().splitlines()[-1]


# -- the command line of all four --------------------------------------------------------------------------------------


def test_from_scan_to_a_new_corpus_by_the_commands(tmp_path):
    scanning.write(tmp_path / "in", DOCUMENTS)
    out = tmp_path / "out"
    assert etiology("scan", tmp_path / "in", "--out", out, "--workers", 2).returncode == 0
    done = etiology("review", out, "--each", 4, "--by", "tester", input="ene nee?enu")
    assert done.returncode == 0, done.stderr
    labels = [json.loads(line) for line in (out / "review" / "labels.jsonl").read_text().splitlines()]
    assert {row["by"] for row in labels} == {"tester"}
    done = etiology("calibrate", out, "--recall", "0.99")
    assert done.returncode == 1, done.stderr
    assert "no threshold has a lower limit of recall of 0.99" in done.stdout
    (tmp_path / "policy.yaml").write_text(DROP.replace("{cues", "{score: calibrated, cues"))
    done = etiology("apply", out, "--policy", tmp_path / "policy.yaml", "--to", tmp_path / "new")
    assert done.returncode == 2
    assert "policy.yaml:3" in done.stderr
    assert "no threshold was calibrated" in done.stderr
    (tmp_path / "policy.yaml").write_text(DROP)
    done = etiology("apply", out, "--policy", tmp_path / "policy.yaml", "--to", tmp_path / "new")
    assert done.returncode == 0, done.stdout + done.stderr
