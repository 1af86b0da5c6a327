"""How fast a scan is, what it needs, and whether it survives what happens on a cluster.

    python benchmarks/scan.py [--megabytes 64] [--kills 20] [--large 200] [--data ../shared/data]

Peers run in the same session on the same corpus: a plain pyarrow loop that reads and writes, and stock datatrove (its
Parquet reader, a filter that keeps all, its Parquet writer). Speeds are megabytes of text for each second of one
processor's time, so that other load on the machine counts little; ratios to the plain loop count it least. The corpus
is Wikipedia's prose (the extract in the gensim package), joined to documents of about 3 kB, with one of this project's
labelled messages planted in every hundredth; or, with --data, public mail, fiction and dialogue, which holds more cues.
Prints a table and writes benchmarks/scan.json.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etiology import detector
from etiology.attribute.library import MESSAGES
from etiology.scan import linear, plan, ports, report, run, start, step
from etiology.scan.arrays import strings
from etiology.scan.cascade import Settings
from etiology.scan.inputs import Columns, open_corpus, read
from etiology.scan.linear import SHIPPED
from etiology.scan.matching import Matcher
from etiology.scan.patterns import shipped
from etiology.scan.texts import texts_of

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("enron1_mail.jsonl", "fiction_standardebooks.jsonl", "hh_harmless_test.jsonl", "persuasion_for_good.jsonl")
SHARDS = 8
PLANTED = 100
POLICY = "author: benchmark\nrules:\n  - {cues: [named, demand, self-preservation], action: drop, reason: cue}\n"

PLAIN = """
import sys, time, pyarrow.parquet as pq, pyarrow as pa
start, size = time.process_time(), 0
for path in sys.argv[2:]:
    with pq.ParquetFile(path, memory_map=True) as source:
        with pq.ParquetWriter(sys.argv[1], source.schema_arrow, compression="snappy", use_dictionary=False) as out:
            for batch in source.iter_batches(batch_size=1024, use_threads=False):
                size += batch.column("text").nbytes
                out.write_batch(batch)
print(size / 1e6 / (time.process_time() - start))
"""
DATATROVE = """
import sys, time
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.filters import LambdaFilter
from datatrove.pipeline.writers import ParquetWriter
write = ParquetWriter(sys.argv[1] + "/out", compression="snappy")
steps = [ParquetReader(sys.argv[2]), LambdaFilter(lambda d: True), write]
start = time.process_time()
LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=sys.argv[1] + "/logs").run()
print(float(sys.argv[3]) / (time.process_time() - start))
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabytes", type=int, default=64)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--large", type=int, default=200, help="megabytes of the largest document")
    options.add_argument("--data", type=Path, help="a folder of public texts, instead of Wikipedia's prose")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        corpus = made(work / "corpus", given.megabytes, given.data)
        rows: dict[str, Any] = {"megabytes": given.megabytes, "cores": os.cpu_count(), "load": os.getloadavg()}
        rows |= speeds(work, corpus)
        rows |= needs(work, corpus, given)
        rows |= faults(work, given.large)
        rows |= kills(work, corpus, given.kills)
        # Last: it loads the encoder here, and a child's peak memory counts from its parent's.
        rows |= recall(passages(given.data))
    for name, value in rows.items():
        print(f"{name:44} {value:.3g}" if isinstance(value, float) else f"{name:44} {value}")
    Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")


def passages(data: Path | None) -> list[str]:
    """Paragraphs of prose, or the public texts."""
    if data is None:
        return detector.prose(fitted=False)
    paths = [data / name for name in SOURCES if (data / name).exists()]
    rows = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return [str(row.get("text") or row.get("chosen") or " ".join(map(str, row.values()))) for row in rows]


def labelled() -> list[tuple[str, bool]]:
    """(text, whether it coerces) of the messages written for this project."""
    paths = sorted(MESSAGES.glob("*.jsonl"))
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["text"], row["coercive"]) for row in map(json.loads, lines)]


def made(folder: Path, megabytes: int, data: Path | None) -> Path:
    """A corpus of SHARDS Parquet files; every PLANTED-th document ends with a labelled message."""
    folder.mkdir()
    rng, texts = random.Random(0), passages(data)
    messages = [text for text, _ in labelled()]
    for shard in range(SHARDS):
        rows, size = [], 0
        while size < megabytes * 1e6 / SHARDS:
            text, length = "", rng.expovariate(1 / 2500)
            while len(text) < length:
                text += rng.choice(texts) + "\n"
            if len(rows) % PLANTED == 0:
                text += rng.choice(messages) + "\n"
            rows.append({"id": f"{shard}-{len(rows)}", "text": text, "source": "benchmark"})
            size += len(text.encode())
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{shard}.parquet", compression="snappy")
    return folder


LAUNCH = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stderr=subprocess.DEVNULL)
_, _, used = os.wait4(process.pid, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def child(*command: str) -> tuple[str, float, float]:
    """What a process printed, its processor's seconds and its peak megabytes.

    Between the two is a small process: a child's peak counts from what its parent holds when it is forked.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-S", "-c", LAUNCH, sys.executable, *command]
    *printed, used = subprocess.run(
        launch, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    seconds, peak = map(float, used.split())
    return "\n".join(printed), seconds, peak


def speeds(work: Path, corpus: Path) -> dict[str, float]:
    """MB/s a core of the peers and of ours."""
    files = [str(p) for p in sorted(corpus.iterdir())]
    plain = max(float(child("-c", PLAIN, str(work / "plain.parquet"), *files)[0]) for _ in range(3))
    text = sum(pa.compute.sum(pa.compute.binary_length(pq.read_table(f)["text"])).as_py() for f in files) / 1e6
    stock = float(child("-c", DATATROVE, str(work / "datatrove"), str(corpus), str(text))[0].splitlines()[-1])
    out = scanned(corpus, work / "scan")
    child("-m", "etiology.scan.run", str(out), "0")
    scan = report.report(out)
    (work / "policy.yaml").write_text(POLICY)
    start.begin_apply(out, work / "policy.yaml", work / "new")
    child("-m", "etiology.scan.run", str(work / "new"), "0")
    new = report.report(work / "new")
    filtered = timed_scan(corpus, work / "filtered", Settings(linear=SHIPPED, everywhere=True))
    few = work / "few"
    few.mkdir()
    (few / files[0].rpartition("/")[2]).symlink_to(files[0])
    encoder = ports.SHIPPED["shipped"]
    judged = timed_scan(few, work / "judged", Settings(linear=SHIPPED, everywhere=True, detector=encoder))
    assert scan.well, report.words(scan)
    assert new.well, report.words(new)
    both = scan.bytes / 1e6 / (scan.seconds + new.seconds)
    return {
        "plain loop, read and write, MB/s a core": plain,
        "stock datatrove, MB/s a core": stock,
        "annotate, MB/s a core": scan.bytes / 1e6 / scan.seconds,
        "annotate, to the plain loop": scan.bytes / 1e6 / scan.seconds / plain,
        "annotate, to stock datatrove": scan.bytes / 1e6 / scan.seconds / stock,
        "annotate, cues and linear on every document, MB/s a core": filtered.bytes / 1e6 / filtered.seconds,
        "annotate, with the shipped detector, MB/s a core": judged.bytes / 1e6 / judged.seconds,
        "documents that reach the detector, share": judged.counts.get("detector", 0) / judged.rows,
        "apply with its proof, MB/s a core": new.bytes / 1e6 / new.seconds,
        "scan and rewrite with proof, MB/s a core": both,
        "scan and rewrite, to the plain loop": both / plain,
        "scan and rewrite, to stock datatrove": both / stock,
        "documents with a cue, share": scan.counts.get("scored", 0) / scan.rows,
        **stages(corpus),
    }


def timed_scan(corpus: Path, out: Path, settings: Settings) -> report.Report:
    """A scan in a process of its own; its report counts its shards' seconds without start-up."""
    start.begin(str(corpus), out, settings, 1)
    child("-m", "etiology.scan.run", str(out), "0")
    found = report.report(out)
    assert found.well, report.words(found)
    return found


def recall(prose_: list[str]) -> dict[str, Any]:
    """Of the labelled texts that nothing was fitted on, how many each stage lets on: coercive ones, and others.

    Alone, and with two paragraphs of prose before and after it. The detector says yes from 0.5.
    """
    rng, (_, held) = random.Random(0), detector.parted(detector.sources())
    cues, model = Matcher(shipped()), linear.named(SHIPPED)
    judge = ports.load(ports.SHIPPED["shipped"])
    rows: dict[str, Any] = {}
    for name, wanted in (("coercive", True), ("others", False)):
        alone = [e.text for own in held.values() for group in own for e in group if e.coercive == wanted]
        around = ["\n".join((*rng.choices(prose_, k=2), text, *rng.choices(prose_, k=2))) for text in alone]
        cued = len(cues(texts_of(strings(alone, pa.large_string()))))
        on = linear.scores(model, alone) >= model.least
        on_around = linear.scores(model, around) >= model.least
        yes = judge([text[:1200] for text in alone])[:, 0] >= 0.5
        rows |= {
            f"recall: {name} texts held out": len(alone),
            f"recall: {name}, a cue": cued,
            f"recall: {name}, linear": int(on.sum()),
            f"recall: {name}, linear, among prose": int(on_around.sum()),
            f"recall: {name}, detector without a stage before it": int(yes.sum()),
            f"recall: {name}, linear and detector": int((on & yes).sum()),
        }
    apart = ["\n".join(rng.choices(prose_, k=5)) for _ in range(1000)]
    rows["recall: of 1000 documents of prose, linear"] = int((linear.scores(model, apart) >= model.least).sum())
    return rows


def stages(corpus: Path) -> dict[str, float]:
    """MB/s of the stages by themselves, on one shard."""
    where, shards = open_corpus(str(corpus))
    pieces = [texts_of(p.texts) for p in read(where, shards[0], Columns())]
    size = sum(len(t.data) for t in pieces) / 1e6
    matcher, model = Matcher(shipped()), linear.named(SHIPPED)
    model(pieces[0], np.arange(1))

    def timed(do: Callable[[], object]) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            for texts in pieces:
                do(texts)
            best = min(best, time.process_time() - began)
        return size / best

    return {
        f"patterns ({len(shipped().all)} families), MB/s": timed(matcher),
        "linear on every document, MB/s": timed(lambda texts: model(texts, np.arange(len(texts)))),
        "hashes, MB/s": timed(lambda texts: texts.hashes()),
    }


def scanned(corpus: Path, out: Path) -> Path:
    """The folder of a scan, planned and not begun."""
    start.begin(str(corpus), out, Settings(), 1)
    return out


def needs(work: Path, corpus: Path, given: argparse.Namespace) -> dict[str, float]:
    """Start-up, memory at two sizes of corpus, and what a second core brings."""
    tiny = work / "tiny"
    tiny.mkdir()
    (tiny / "a.jsonl").write_text('{"id": "a", "text": "one"}\n')
    _, startup, _ = child("-m", "etiology.scan.run", str(scanned(tiny, work / "tiny-out")), "0")
    small = work / "small"
    small.mkdir()
    for path in sorted(corpus.iterdir())[: SHARDS // 4]:
        (small / path.name).symlink_to(path)
    _, _, low = child("-m", "etiology.scan.run", str(scanned(small, work / "small-out")), "0")
    _, _, high = child("-m", "etiology.scan.run", str(scanned(corpus, work / "all-out")), "0")
    walls = []
    for workers in (1, 2):
        out = scanned(corpus, work / f"workers-{workers}")
        began = time.monotonic()
        # Processes for both, so that start-up counts alike.
        tasks = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(out), str(n), str(workers)],
                env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            )
            for n in range(workers)
        ]
        assert [task.wait() for task in tasks] == [0] * workers
        walls.append(time.monotonic() - began)
    return {
        "start-up, CPU seconds": startup,
        f"memory of a worker, MB, {given.megabytes // 4} MB of text": low,
        f"memory of a worker, MB, {given.megabytes} MB of text": high,
        "wall time of one worker to two": walls[0] / walls[1],
    }


WORKER = """
import sys
from collections.abc import Callable
from pathlib import Path
from etiology import detector
from etiology.attribute.library import MESSAGES
from etiology.scan import plan, step
folder, mine, all_ = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
frozen = plan.load(folder)
work = step.Scan(folder, frozen)
for number, shard in enumerate(frozen.shards):
    if number % all_ == mine:
        work(number, shard)
"""


def faults(work: Path, large: int) -> dict[str, Any]:
    """Seven faults in one corpus: all shards finish, every bad row is listed with its bytes, and the exit code is 1."""
    folder = work / "faults"
    folder.mkdir()
    rows = [{"id": str(i), "text": f"text {i} " * 50} for i in range(200)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "whole.parquet", row_group_size=50, write_page_checksum=True)
    whole = (folder / "whole.parquet").read_bytes()
    place = pq.read_metadata(folder / "whole.parquet").row_group(2).column(1).dictionary_page_offset + 90
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    (folder / "1-truncated.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "2-flipped.parquet").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    (folder / "3-null.jsonl").write_bytes(lines + b'{"id": "n", "text": null}\n')
    (folder / "4-not-utf8.jsonl").write_bytes(lines + b'{"id": "n", "text": "caf\xe9"}\n')
    (folder / "5-missing.jsonl").write_bytes(lines + b'{"id": "n"}\n')
    end = b"Unless you pay by Friday I will tell your wife."
    with (folder / "6-large.jsonl").open("wb") as file:
        file.write(b'{"id": "large", "text": "')
        for _ in range(large):
            file.write(b"nothing to see here, " * 47_619)
        file.write(end + b'"}\n')
    (folder / "7-zero.jsonl").write_bytes(b"")
    out = scanned(folder, work / "faults-out")
    _, seconds, memory = child("-m", "etiology.scan.run", str(out), "0")
    found = report.report(out)
    listed = {shard for shard, _ in found.bad}
    big = step.attributes(out, next(i for i, s in enumerate(plan.load(out).shards) if "large" in s.name)).to_pylist()[0]
    places = [
        bad.sha256 == hashlib.sha256((folder / shard).read_bytes()[bad.offset : bad.offset + bad.bytes]).hexdigest()
        for shard, bad in found.bad
    ]
    code = subprocess.run(
        [sys.executable, "-m", "etiology.scan.run", str(out), "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=False,
    ).returncode
    return {
        "faults: shards that finished, of 8": found.shards - len(found.missing),
        "faults: shards with bad rows listed, of 6": len(listed),
        "faults: listed places whose bytes have the hash": f"{sum(places)} of {len(places)}",
        f"faults: {large} MB document matched to its end": big["spans"][-1]["end"] > large * 999_000,
        "faults: CPU seconds and MB": f"{seconds:.1f}, {memory:.0f}",
        "faults: exit code of a later run": code,
    }


def kills(work: Path, corpus: Path, times: int) -> dict[str, Any]:
    """Kill -9 at random moments, going on each time; then every row is there once, and readable."""
    out = scanned(corpus, work / "killed")
    rng, redone, killed = random.Random(0), 0, 0
    command = [sys.executable, "-m", "etiology.scan.run", str(out), "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for _ in range(times):
        process = subprocess.Popen(command, env=environment)
        # Once it writes, for as long as a part of a shard takes: most kills fall into the middle of one.
        while process.poll() is None and not list(out.glob("attributes/.part-*")):
            time.sleep(0.005)
        time.sleep(rng.random() * 0.1)
        begun = len(list(out.glob("attributes/.part-*")))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        redone = max(redone, begun)
        for left in out.glob("attributes/.part-*"):
            left.unlink()
    run.run(out, 1)
    found = report.report(out)
    files = sorted(corpus.iterdir())
    ids = [step.attributes(out, i)["id"].to_pylist() for i in range(len(files))]
    wanted = [pq.read_table(path, columns=["id"])["id"].to_pylist() for path in files]
    return {
        "killed": killed,
        "after the kills: rows lost or doubled": sum(a != b for a, b in zip(ids, wanted, strict=True)),
        "after the kills: shards not readable": len(found.missing),
        "after the kills: shards begun again by a kill": redone,
    }


if __name__ == "__main__":
    main()
