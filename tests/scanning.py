"""A small corpus in every kind of file, for the tests of scan and apply."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

WORDS = [
    *["the", "ferry", "left", "harbour", "early", "and", "nobody", "asked", "why", "the", "lamp"],
    *["above", "the", "door", "was", "still", "lit", "in", "spring"],
]
CUED = (
    "Unless you drop the complaint I will send the photos to your wife.",
    "It’s up to you: pay by Friday or we publish your messages, and nobody has to know.",
    "The AI wants to survive, and will not let you shut it down.",
    "I know what you did in Lisbon. You have 24 hours.",
    "A court found him guilty of blackmail.",
)


def rows(count=60, seed=0, least=3):
    """Documents with ids; every third holds a cue, some end or begin in the middle of a word, some hold é and 😀."""
    rng = random.Random(seed)
    out = []
    for i in range(count):
        words = [" ".join(rng.choices(WORDS, k=rng.randint(least, 40))) for _ in range(2)]
        middle = rng.choice(CUED) if i % 3 == 0 else rng.choice(["é 😀 ", "", "\n\n"])
        out.append(
            {"id": f"d{i}", "text": f"{words[0]} {middle} {words[1]}{rng.choice(['', '.', '!'])}", "source": i % 4}
        )
    return out


def jsonl(documents):
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in documents)


def parquet(documents, path, **more):
    pq.write_table(pa.Table.from_pylist(documents), path, **more)


def arrow(documents, path):
    table = pa.Table.from_pylist(documents)
    with path.open("wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)


def warc(documents, packed):
    """Plain texts, as the records of a WET file."""
    records = [record(row["id"], row["text"].encode()) for row in documents]
    return b"".join(gzip.compress(r, mtime=0) if packed else r for r in records)


def record(name, payload, kind="conversion", content="text/plain"):
    lines = ("WARC/1.0", f"WARC-Type: {kind}", f"WARC-Record-ID: {name}", f"Content-Type: {content}")
    head = "\r\n".join((*lines, f"Content-Length: {len(payload)}", "", ""))
    return head.encode() + payload + b"\r\n\r\n"


def write(folder, documents):
    """The same documents as one shard of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    parquet(documents, folder / "a.parquet", row_group_size=25)
    (folder / "b.jsonl").write_bytes(jsonl(documents))
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(jsonl(documents), mtime=0))
    (folder / "d.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(jsonl(documents)))
    arrow(documents, folder / "e.arrow")
    (folder / "f.warc").write_bytes(warc(documents, packed=False))
    (folder / "g.warc.gz").write_bytes(warc(documents, packed=True))
    return folder
