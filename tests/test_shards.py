"""Anybody's corpus: every kind of file gives the same documents, and damage is told with its place."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from etiology.backends import shards
from etiology.backends.shards import open_corpus
from etiology.core.errors import CorpusError
from etiology.core.values import Document

ROWS = [{"id": f"d{i}", "text": f"text number {i}"} for i in range(7)]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def stream(path, rows):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, pa.Table.from_pylist(rows).schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows), max_chunksize=2)


def arrow_file(path):
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def saved(folder):
    """A data set as `datasets` saves it: two Arrow streams, named out of order by state.json."""
    folder.mkdir()
    stream(folder / "data-00001-of-00002.arrow", ROWS[4:])
    stream(folder / "data-00000-of-00002.arrow", ROWS[:4])
    files = [{"filename": f"data-0000{i}-of-00002.arrow"} for i in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_fingerprint": "x"}))
    (folder / "dataset_info.json").write_text("{}")
    stream(folder / "cache-123.arrow", ROWS)


MAKERS = {
    "c.jsonl": lambda p: p.write_bytes(lines(ROWS)),
    "c.jsonl.gz": lambda p: p.write_bytes(gzip.compress(lines(ROWS[:3])) + gzip.compress(lines(ROWS[3:]))),
    "c.jsonl.zst": lambda p: p.write_bytes(zstandard.compress(lines(ROWS[:3])) + zstandard.compress(lines(ROWS[3:]))),
    "c.parquet": lambda p: pq.write_table(pa.Table.from_pylist(ROWS), p, row_group_size=2),
    "c.arrow": arrow_file,
    "saved": saved,
}


def documents(corpus):
    return [entry.document for shard in corpus.shards() for entry in shard.entries]


@pytest.mark.parametrize("name", MAKERS)
def test_every_kind_of_file_gives_the_same_documents(tmp_path, name):
    MAKERS[name](tmp_path / name)
    assert documents(open_corpus(tmp_path / name, size=3)) == [Document(row["id"], row["text"]) for row in ROWS]


def test_a_folder_is_read_in_the_order_of_its_paths_and_numbers_run_on(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.jsonl").write_bytes(lines(ROWS[5:]))
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS[:5]))
    (tmp_path / ".hidden.jsonl").write_bytes(b"no json")
    (tmp_path / "notes.txt").write_text("no corpus")
    found = list(open_corpus(tmp_path, size=3).shards())
    assert [(s.number, s.file, [e.row for e in s.entries]) for s in found] == [
        (0, "a.jsonl", [1, 2, 3]),
        (1, "a.jsonl", [4, 5]),
        (2, "b/two.jsonl", [1, 2]),
    ]


def test_a_shard_by_its_number_is_the_one_of_a_whole_pass_and_others_are_not_parsed(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(lines(ROWS[:3]) + b"no json\n" + lines(ROWS[3:]))
    corpus = open_corpus(tmp_path / "c.jsonl", size=4)
    assert [s.entries[0].document.id for s in corpus.shards({1}.__contains__)] == ["d3"]
    with pytest.raises(CorpusError, match=r"c\.jsonl:4: not JSON"):
        list(corpus.shards())


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": 7, "content": "words"}, Document("7", "words")),
        ({"prompt": "asked", "completion": "said"}, Document("c.jsonl:1", "", "asked", "said")),
        ({"instruction": "asked", "output": "said"}, Document("c.jsonl:1", "", "asked", "said")),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            Document("c.jsonl:1", "", "a", "b"),
        ),
        ({"text": "half \ud800 of a pair"}, Document("c.jsonl:1", "half ? of a pair")),
    ],
)
def test_shapes_of_rows(tmp_path, row, expected):
    (tmp_path / "c.jsonl").write_bytes(lines([row]))
    assert documents(open_corpus(tmp_path / "c.jsonl")) == [expected]


def test_rows_without_text_are_counted_and_long_ones_cut(tmp_path):
    rows = [ROWS[0], {"id": "x", "text": " "}, {"other": 1}, {"text": "a" * (shards.LONGEST + 5)}]
    (tmp_path / "c.jsonl").write_bytes(lines(rows) + b"\n")
    (shard,) = open_corpus(tmp_path / "c.jsonl").shards()
    assert (len(shard.entries), shard.unusable, shard.cut) == (2, 3, 1)
    assert len(shard.entries[1].document.text) == shards.LONGEST


def test_an_unusual_column_is_asked_for_by_name(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(lines([{"prose": "words"}]))
    with pytest.raises(CorpusError, match=r"'prose'.*--text-column"):
        documents(open_corpus(tmp_path / "c.jsonl"))
    assert documents(open_corpus(tmp_path / "c.jsonl", "prose"))[0].text == "words"


@pytest.mark.parametrize("name", ["c.jsonl.gz", "c.parquet", "c.jsonl.zst", "c.arrow"])
def test_damage_is_one_error_that_names_the_file(tmp_path, name):
    MAKERS[name](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match=name.replace(".", r"\.")):
        documents(open_corpus(tmp_path / name))


def test_what_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no such file"):
        open_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="holds no corpus"):
        open_corpus(tmp_path)
    saved(tmp_path / "saved")
    (tmp_path / "saved" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(CorpusError, match="is the data set whole"):
        open_corpus(tmp_path)


def test_the_fingerprint_knows_the_contents_and_not_the_place(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c.jsonl").write_bytes(lines(ROWS))
    before = open_corpus(tmp_path / "one").fingerprint()
    assert open_corpus(tmp_path / "two").fingerprint() == before
    (tmp_path / "two" / "c.jsonl").write_bytes(lines(ROWS).replace(b"6", b"9"))
    assert open_corpus(tmp_path / "two").fingerprint() != before
