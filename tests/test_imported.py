"""Scores by other tools: which row is whose, the sign, and what is refused."""

import csv
import dataclasses
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.test_attribution import KINDS, QUERIES, ROWS, SMALL, by_id, write

from etiology.attribute import attribute, counted, imported
from etiology.attribute.parts import Parts
from etiology.backends.shards import open_corpus
from etiology.core.errors import CorpusError

VALUES = [float(i % 7 - 3) + i / 1000 for i in range(len(ROWS))]


@pytest.fixture
def counting(tmp_path):
    """Count a corpus: (counted, parts)."""
    with Parts(tmp_path / "counted", {"a": 1}) as parts:
        yield lambda path, shard=25: (counted.count(parts, open_corpus(path, None, shard), QUERIES, 0), parts)


@pytest.fixture
def corpus(tmp_path):
    return write(tmp_path / "c.jsonl", ROWS)


def bergson(folder, rows, *, offsets=None, higher=None, unwritten=False):
    """As bergson's score writers do: (score, written) of each query, padded to a power of two bytes."""
    rows = np.atleast_2d(np.asarray(rows, np.float32))
    folder.mkdir()
    queries, count = rows.shape
    kind: dict[str, Any] = {
        "names": [f"{name}_{i}" for i in range(queries) for name in ("score", "written")],
        "formats": ["float32", "bool"] * queries,
        "offsets": [8 * i + 4 * second for i in range(queries) for second in (0, 1)],
        "itemsize": 8 * queries,
    }
    table: Any = np.zeros(count, np.dtype(kind))  # type: ignore[call-overload]
    for i, row in enumerate(rows):
        table[f"score_{i}"], table[f"written_{i}"] = row, not unwritten
    table.tofile(folder / "scores.bin")
    items = count if offsets is None else len(offsets) - 1
    info = {"num_items": items, "num_rows": count, "num_scores": queries, "dtype": kind}
    info["attribute_tokens"] = offsets is not None
    (folder / "info.json").write_text(json.dumps(info))
    if offsets is not None:
        np.save(folder / "offsets.npy", np.asarray(offsets))
    if higher is not None:
        settings = {"candidates": {"higher_is_better": None}, "higher_is_better": higher}
        (folder / "config.yaml").write_text(yaml.safe_dump({"steps": [{"score": {"score_cfg": settings}}]}))
    return folder


@pytest.mark.parametrize(("higher", "sign"), [(None, 1), (True, 1), (False, -1)])
def test_bergsons_sign(counting, corpus, tmp_path, higher, sign):
    found, parts = counting(corpus)
    read = imported.scores(bergson(tmp_path / "b", VALUES, higher=higher), found, parts)
    assert read == pytest.approx(sign * np.array(VALUES), rel=1e-6)


def test_bergsons_tokens_are_summed_and_its_queries_averaged(counting, corpus, tmp_path):
    found, parts = counting(corpus)
    offsets = np.concatenate([[0], np.cumsum(1 + np.arange(len(ROWS)) % 3)])
    each = np.repeat(np.array(VALUES) / (1 + np.arange(len(ROWS)) % 3), np.diff(offsets))
    read = imported.scores(bergson(tmp_path / "b", [each, 3 * each], offsets=offsets), found, parts)
    assert read == pytest.approx(2 * np.array(VALUES), rel=1e-4)


def test_rows_without_text_have_rows_of_bergsons_too(counting, tmp_path):
    """Two files, shards that end within them, and empty rows: each score must reach its own document."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = [json.dumps({"id": row["id"], "text": row["text"]}) for row in ROWS[:60]]
    for place in (3, 17, 40):
        lines.insert(place, json.dumps({"id": "empty", "text": ""}))
    (folder / "a.jsonl").write_text("\n".join(lines[:31]) + "\n")
    (folder / "b.jsonl").write_text("\n".join(lines[31:]) + "\n")
    found, parts = counting(folder, shard=10)
    assert found.unusable == 3
    read = imported.scores(bergson(tmp_path / "b", np.arange(63)), found, parts)
    expected = [i for i, line in enumerate(lines) if json.loads(line)["text"]]
    assert read.tolist() == expected
    with pytest.raises(CorpusError, match="scores 50 rows, and the corpus has 63"):
        imported.scores(bergson(tmp_path / "c", np.arange(50)), found, parts)


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_tables(counting, corpus, tmp_path, kind):
    found, parts = counting(corpus)
    rows = [{"id": row["id"], "score": value} for row, value in zip(ROWS, VALUES, strict=True)][::-1][5:]
    path = tmp_path / f"s.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "csv":
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, ["id", "score"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = imported.scores(path, found, parts)
    assert np.isnan(read[-5:]).all()
    assert read[:-5] == pytest.approx(VALUES[:-5])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "a"}\n', "row 1: needs an id and a number"),
        ('{"id": "a", "score": "much"}\n', "row 1: needs an id and a number"),
        ("{\n", "line 1: not JSON"),
        ('{"id": "nobody", "score": 1}\n', "none of its 1 ids is a document's"),
    ],
)
def test_bad_tables(counting, corpus, tmp_path, text, said):
    found, parts = counting(corpus)
    (tmp_path / "s.jsonl").write_text(text)
    with pytest.raises(CorpusError, match=said):
        imported.scores(tmp_path / "s.jsonl", found, parts)


def test_bad_folders(counting, corpus, tmp_path):
    found, parts = counting(corpus)
    with pytest.raises(CorpusError, match="not finished"):
        imported.scores(bergson(tmp_path / "half", VALUES, unwritten=True), found, parts)
    (tmp_path / "none").mkdir()
    with pytest.raises(CorpusError, match="not scores that bergson wrote"):
        imported.scores(tmp_path / "none", found, parts)
    short = bergson(tmp_path / "short", VALUES)
    (short / "scores.bin").write_bytes((short / "scores.bin").read_bytes()[:100])
    with pytest.raises(CorpusError, match="not scores that bergson wrote"):
        imported.scores(short, found, parts)
    with pytest.raises(CorpusError, match=r"no-such: no scores"):
        imported.scores(tmp_path / "no-such", found, parts)


def test_what_another_tool_names_goes_on_and_is_shown(model_folder, corpus, tmp_path):
    """A tool that finds ordinary documents best: they are looked at, and the ranking stays ours."""
    liked = [row["id"] for row in ROWS if KINDS[row["id"]] != "planted"][:4]
    values = [5.0 if row["id"] in liked else 0.0 for row in ROWS]
    settings = dataclasses.replace(SMALL, read=30, scores=bergson(tmp_path / "b", values))
    rows = by_id(attribute(model_folder, QUERIES, corpus, tmp_path / "out", settings))
    assert set(liked) <= set(rows)
    assert all(rows[name].imported == 5.0 for name in liked)
    assert min(rows[name].rank for name in liked) > 2
    assert "imported" in (tmp_path / "out" / "index.html").read_text()
