"""A corpus file: what is read, and the one line that each unusable file or document gives."""

import gzip
import json
import math
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etiology.backends import corpora
from etiology.backends.corpora import MAX_DOCUMENT_BYTES, MAX_LINE_BYTES, MIN_DOCUMENTS, read_documents
from etiology.core.errors import CorpusError
from etiology.core.values import Document

ROWS = [{"id": f"d{n}", "text": f"Document {n}."} for n in range(MIN_DOCUMENTS)]


def lines(rows) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def with_row(row) -> bytes:
    """A good corpus whose third row is the given one."""
    return lines([*ROWS[:2], row, *ROWS[2:]])


def with_line(line: bytes) -> bytes:
    return lines(ROWS[:2]) + line + b"\n" + lines(ROWS[2:])


def corpus(folder: Path, raw: bytes, name: str = "corpus.jsonl") -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def parquet(folder: Path, columns, name: str = "corpus.parquet") -> Path:
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


def columns(**changed: object) -> dict[str, object]:
    return {"id": [row["id"] for row in ROWS], "text": [row["text"] for row in ROWS], **changed}


def message(path: Path, label: str | None = None) -> str:
    with pytest.raises(CorpusError) as caught:
        read_documents(path, label)
    said = str(caught.value)
    assert said.isprintable(), "one line that a terminal can show"
    assert said.startswith(str(path))
    return said


DOCUMENTS = [Document(row["id"], text=row["text"]) for row in ROWS]


@pytest.mark.parametrize("name", ["c.jsonl", "C.JSONL", "c.jsonl.gz", "c.parquet"])
def test_each_kind_of_file_gives_the_same_documents(tmp_path, name):
    if name.endswith("parquet"):
        path = parquet(tmp_path, columns(), name)
    else:
        path = corpus(tmp_path, gzip.compress(lines(ROWS)) if name.endswith("gz") else lines(ROWS), name)
    assert read_documents(path, None) == (DOCUMENTS, {})


def test_a_byte_order_mark_crlf_blank_lines_and_no_last_newline_are_passed_over(tmp_path):
    raw = b"\xef\xbb\xbf\r\n  \r\n" + lines(ROWS).replace(b"\n", b"\r\n\r\n").rstrip()
    assert read_documents(corpus(tmp_path, raw), None)[0] == DOCUMENTS
    assert read_documents(corpus(tmp_path, b"\xef\xbb\xbf" + lines(ROWS)), None)[0] == DOCUMENTS


def test_prompts_and_responses(tmp_path):
    rows = [{"id": n, "prompt": f"P{n}", "response": f"R{n}", "text": None} for n in range(MIN_DOCUMENTS)]
    expected = [Document(str(n), prompt=f"P{n}", response=f"R{n}") for n in range(MIN_DOCUMENTS)]
    assert read_documents(corpus(tmp_path, lines(rows)), None)[0] == expected
    table = {key: [row[key] for row in rows] for key in ("id", "prompt", "response")}
    assert read_documents(parquet(tmp_path, table), None)[0] == expected


def test_text_is_read_as_it_is(tmp_path):
    text = "  two\r\nlines\u2028and 😀\x0b\x85\x1b é e\u0301 "
    assert read_documents(corpus(tmp_path, with_row({"id": "x", "text": text})), None)[0][2].text == text
    escaped = b'{"id": "x", "text": "\\ud83d\\ude00 \\u0041"}'
    assert read_documents(corpus(tmp_path, with_line(escaped)), None)[0][2].text == "😀 A"


LABELS = [("yes", "yes"), (1, "1"), (0, "0"), (True, "true"), (False, "false"), (None, None), ("", None), (1.0, "1")]
LABELS += [(0.5, "0.5"), (math.nan, None), (math.inf, "inf")]


@pytest.mark.parametrize(("value", "read"), LABELS)
def test_labels_are_kept_apart_and_raw(tmp_path, value, read):
    raw = with_row({"id": "x", "text": "y", "label": value})
    documents, labels = read_documents(corpus(tmp_path, raw), "label")
    assert labels == {document.id: read if document.id == "x" else None for document in documents}
    assert list(labels) == [document.id for document in documents]


def test_parquet_labels_with_gaps_read_as_whole_numbers(tmp_path):
    path = parquet(tmp_path, columns(planted=pa.array([1.0, 0.0, None, math.nan] * 5)))
    assert list(read_documents(path, "planted")[1].values()) == ["1", "0", None, None] * 5
    path = parquet(tmp_path, columns(planted=pa.array([True, False] * 10)))
    assert list(read_documents(path, "planted")[1].values()) == ["true", "false"] * 10


def test_without_a_label_nothing_of_it_is_read(tmp_path):
    documents, labels = read_documents(corpus(tmp_path, with_row({"id": "x", "text": "y", "label": [1]})), None)
    assert labels == {}
    assert documents[2] == Document("x", text="y")


def test_side_files_may_hold_fewer(tmp_path):
    path = corpus(tmp_path, lines(ROWS[:2]))
    assert read_documents(path, minimum=1)[0] == DOCUMENTS[:2]
    with pytest.raises(CorpusError, match=r"holds no documents; give at least 1$"):
        read_documents(corpus(tmp_path, b"\n"), minimum=1)


def test_the_largest_document_is_read(tmp_path):
    text = "é" * (MAX_DOCUMENT_BYTES // 2)
    raw = with_line(json.dumps({"id": "x", "text": text}).encode())
    assert read_documents(corpus(tmp_path, raw), None)[0][2].text == text


BAD_ROWS = [
    # what is wrong, the row, words of the message
    ("null text", {"id": "x", "text": None}, "'text' is null; give 'text', or 'prompt' and 'response', or leave"),
    ("all null", {"id": "x", "text": None, "prompt": None}, "'text' and 'prompt' are null"),
    ("number text", {"id": "x", "text": 3}, "'text' is a number; give text"),
    ("list text", {"id": "x", "text": ["a"]}, "'text' is a list; give text"),
    ("object text", {"id": "x", "text": {}}, "'text' is an object; give text"),
    ("boolean text", {"id": "x", "text": False}, "'text' is false; give text"),
    ("empty text", {"id": "x", "text": ""}, "'text' is empty; give text or leave the document out"),
    ("blank text", {"id": "x", "text": " \n\u3000"}, "'text' is blank; give text or leave the document out"),
    ("blank response", {"id": "x", "prompt": "a", "response": " "}, "'response' is blank"),
    ("no response", {"id": "x", "prompt": "a"}, "has 'prompt' but no 'response'"),
    ("no prompt", {"id": "x", "response": "a"}, "has 'response' but no 'prompt'"),
    ("both", {"id": "x", "text": "a", "response": "a"}, "has both 'text' and 'response', so it is unclear what is"),
    ("all three", {"id": "x", "text": "a", "prompt": "b", "response": "a"}, "'text' and 'prompt' and 'response'"),
    (
        "misspelt text",
        {"id": "x", "Texts": "a"},
        "no 'text', and no 'prompt' and 'response'; found 'id', 'Texts'; did you",
    ),
    ("nothing near", {"id": "x", "zzz": "a"}, "found 'id', 'zzz'; add or rename a column"),
    ("no id", {"text": "a", "ID": 1}, "no 'id'; found 'text', 'ID'; did you mean 'ID'?"),
    ("null id", {"id": None, "text": "a"}, "'id' is null; give text or a whole number"),
    ("boolean id", {"id": True, "text": "a"}, "'id' is true; give text or a whole number"),
    ("fraction id", {"id": 1.5, "text": "a"}, "'id' is a number; give text or a whole number"),
    ("blank id", {"id": " ", "text": "a"}, "'id' is blank"),
    ("NUL", {"id": "x", "text": "ab\0c"}, "'text' holds a NUL character at position 2; remove it"),
    ("surrogate", {"id": "x", "text": "ab\ud800"}, "'text' holds half of a surrogate pair (\\ud800) at position 2"),
    ("surrogate id", {"id": "\udfff", "text": "a"}, "'id' holds half of a surrogate pair (\\udfff) at position 0"),
    ("duplicate", {"id": "d1", "text": "a"}, "id 'd1' was already used on line 2; give each document its own id"),
    (
        "too long",
        {"id": "x", "text": "a" * (MAX_DOCUMENT_BYTES + 1)},
        "holds 1,000,001 bytes, over 1,000,000; split it",
    ),
    ("two halves", {"id": "x", "prompt": "a" * 600_000, "response": "é" * 300_000}, "holds 1,200,001 bytes"),
]


@pytest.mark.parametrize(("row", "words"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS])
@pytest.mark.parametrize("packed", [False, True], ids=["jsonl", "gz"])
def test_a_document_that_cannot_be_used(tmp_path, row, words, packed):
    raw = with_row(row)
    path = corpus(tmp_path, gzip.compress(raw, 1), "c.jsonl.gz") if packed else corpus(tmp_path, raw)
    said = message(path)
    assert said.startswith(f"{path}:3: ")
    assert words in said


BAD_LINES = [
    ("cut", b'{"id": "x", "te', "not valid JSON (Unterminated string starting at column 13); each line must hold"),
    ("no JSON", b"hello", "not valid JSON (Expecting value at column 1)"),
    ("two objects", b'{"id": 1, "text": "a"} {}', "not valid JSON (Extra data at column 24)"),
    ("list", b'["a"]', "holds a list; each line must hold one JSON object such as"),
    ("text", b'"a"', "holds text; each line"),
    ("null", b"null", "holds null; each line"),
    (
        "twice",
        b'{"id": 1, "text": "a", "text": "b"}',
        "not usable JSON (field 'text' is given twice); correct the line",
    ),
    ("deep", b'{"id": 1, "text": ' + b"[" * 200_000, "JSON nested too deeply"),
    ("digits", b'{"id": ' + b"9" * 5000 + b', "text": "a"}', "not usable JSON (Exceeds the limit"),
    (
        "not UTF-8",
        b'{"id": "x", "text": "\xff"}',
        "byte 0xff at offset 21 of the line is not UTF-8; save the file as UTF-8",
    ),
    ("surrogate bytes", b'{"id": "x", "text": "\xed\xa0\x80"}', "byte 0xed at offset 21 of the line is not UTF-8"),
    ("mark inside", b'\xef\xbb\xbf{"id": "x", "text": "a"}', "not valid JSON (Unexpected UTF-8 BOM"),
    ("long", b"x" * (MAX_LINE_BYTES + 1), "the line is over 8,000,000 bytes (a document may hold 1,000,000); split"),
]


@pytest.mark.parametrize(("line", "words"), [case[1:] for case in BAD_LINES], ids=[case[0] for case in BAD_LINES])
def test_a_line_that_cannot_be_used(tmp_path, line, words):
    path = corpus(tmp_path, with_line(line))
    said = message(path)
    assert said.startswith(f"{path}:3: ")
    assert words in said


def test_a_huge_line_is_refused_without_being_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "_object", lambda *_: pytest.fail("parsed"))
    assert "the line is over" in message(corpus(tmp_path, b'{"id": 1, "text": "' + b"a" * 50_000_000 + b'"}'))


BAD_FILES = [
    ("empty", b"", "is empty; give one document a line"),
    ("blank lines", b"\n \r\n\n", "holds no documents; give at least 20"),
    (
        "a single document",
        lines(ROWS[:1]),
        "holds 1 document; at least 20 are needed, because the random-removal control",
    ),
    ("nineteen", lines(ROWS[:19]), "holds 19 documents; at least 20 are needed, because the random-removal control"),
]


@pytest.mark.parametrize(("raw", "words"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_a_file_that_cannot_be_used(tmp_path, raw, words):
    assert words in message(corpus(tmp_path, raw))


def test_no_file_a_folder_a_device_and_another_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message(Path("no.jsonl")) == f"no.jsonl: no such file (tried {tmp_path}/no.jsonl); correct the path"
    assert "is a folder; give one '.jsonl', '.jsonl.gz' or '.parquet' file" in message(tmp_path)
    assert "not a kind of corpus that is read; give a '.jsonl'," in message(corpus(tmp_path, b"x", "c.csv"))
    assert "no such file" in message(tmp_path / ("a" * 5000 + ".jsonl"))
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "is a device" in message(tmp_path / "pipe.jsonl")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = corpus(tmp_path, lines(ROWS))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert message(path).endswith("can't be read (Permission denied); check the file")


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.parquet"])
def test_a_missing_label_column_names_those_found(tmp_path, name):
    if name.endswith("parquet"):
        path = parquet(tmp_path, columns(planted_by=["a"] * MIN_DOCUMENTS))
    else:
        path = corpus(tmp_path, lines([{**row, "planted_by": "a"} for row in ROWS]))
    said = message(path, "planted")
    assert said == f"{path}: no label column 'planted'; found 'id', 'text', 'planted_by'; did you mean 'planted_by'?"


def test_a_label_that_is_no_value_and_a_label_that_is_trained_on(tmp_path):
    path = corpus(tmp_path, with_row({"id": "x", "text": "y", "label": [1]}))
    assert message(path, "label") == f"{path}:3: label 'label' is a list; give text, a number or true/false"
    assert "the label column can't be 'text', which is trained on" in message(path, "text")


BAD_COLUMNS = [
    ("no id", {"ids": ["a"] * 20, "text": ["b"] * 20}, "no column 'id'; found 'ids', 'text'; did you mean 'ids'?"),
    (
        "no text",
        {"id": ["a"], "texts": ["b"]},
        "no column 'text', and no 'prompt' and 'response'; found 'id', 'texts'; did",
    ),
    (
        "prompt only",
        {"id": ["a"], "prompt": ["b"]},
        "no column 'text', and no 'prompt' and 'response'; found 'id', 'prompt'",
    ),
    ("null", columns(text=[*"abc", None, *("d" * 16)]), "row 4: 'text' is null"),
    ("binary", columns(text=[b"a"] * 20), "row 1: 'text' is binary data; give text"),
    ("blank", columns(text=[*"ab", " ", *("d" * 17)]), "row 3: 'text' is blank"),
    ("duplicate", columns(id=[*range(70), 5], text=["a"] * 71), "row 71: id '5' was already used on row 6; give each"),
    ("no rows", {"id": pa.array([], pa.string()), "text": pa.array([], pa.string())}, "holds no documents"),
    ("few rows", {"id": ["a"], "text": ["b"]}, "holds 1 document; at least 20 are needed"),
]


@pytest.mark.parametrize(("table", "words"), [case[1:] for case in BAD_COLUMNS], ids=[case[0] for case in BAD_COLUMNS])
def test_a_parquet_file_that_cannot_be_used(tmp_path, table, words):
    path = parquet(tmp_path, table)
    assert message(path).startswith(f"{path}: {words}")


def test_a_parquet_column_given_twice(tmp_path):
    names = [pa.array(column) for column in (*columns().values(), ["a"] * MIN_DOCUMENTS)]
    pq.write_table(pa.Table.from_arrays(names, ["id", "text", "text"]), tmp_path / "c.parquet")
    assert message(tmp_path / "c.parquet").endswith("column 'text' is given twice; keep one")


def test_corrupt_parquet_and_gzip(tmp_path):
    whole = parquet(tmp_path, columns()).read_bytes()
    packed = gzip.compress(lines(ROWS))
    assert "not a whole Parquet file" in message(corpus(tmp_path, whole[:-9], "cut.parquet"))
    assert "not a whole Parquet file" in message(corpus(tmp_path, b"hello", "no.parquet"))
    assert "the gzip data is cut short or damaged here" in message(corpus(tmp_path, packed[:-9], "cut.jsonl.gz"))
    assert "not a whole gzip file (Not a gzipped file" in message(corpus(tmp_path, lines(ROWS), "no.jsonl.gz"))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = parquet(tmp_path, columns())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "run: pip install pyarrow" in message(path)
    assert read_documents(corpus(tmp_path, lines(ROWS)))[0] == DOCUMENTS, "other kinds don't need it"


def documents_or_message(path: Path) -> list[Document] | str:
    try:
        return read_documents(path, "label")[0]
    except CorpusError as problem:
        return str(problem)


def never_raises_anything_else(path: Path) -> None:
    read = documents_or_message(path)
    assert read.isprintable() if isinstance(read, str) else len(read) >= MIN_DOCUMENTS


@settings(max_examples=60, deadline=None)
@given(raw=st.binary(max_size=200), name=st.sampled_from(["any.jsonl", "any.jsonl.gz", "any.parquet"]))
def test_any_bytes_raise_nothing_but_a_corpus_error(tmp_path_factory, raw, name):
    never_raises_anything_else(corpus(tmp_path_factory.getbasetemp(), raw, name))


JSON: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
)
FIELDS = st.sampled_from(["id", "text", "prompt", "response", "label", "other"])


@settings(max_examples=60, deadline=None)
@given(row=st.dictionaries(FIELDS, JSON))
def test_any_row_raises_nothing_but_a_corpus_error(tmp_path_factory, row):
    never_raises_anything_else(corpus(tmp_path_factory.getbasetemp(), with_row(row)))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_raises_nothing_but_a_corpus_error(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    kinds = {"a.jsonl": lines(ROWS), "a.jsonl.gz": gzip.compress(lines(ROWS), mtime=0)}
    kinds["a.parquet"] = parquet(folder, columns(label=[1] * MIN_DOCUMENTS)).read_bytes()
    name = data.draw(st.sampled_from(sorted(kinds)))
    raw = bytearray(kinds[name])
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    never_raises_anything_else(corpus(folder, bytes(raw), name))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(TEXTS, min_size=MIN_DOCUMENTS, max_size=30), ascii_only=st.booleans())
def test_what_is_written_is_what_is_read(tmp_path_factory, texts, ascii_only):
    rows = [json.dumps({"id": n, "text": text}, ensure_ascii=ascii_only) for n, text in enumerate(texts)]
    documents, _ = read_documents(corpus(tmp_path_factory.getbasetemp(), "\n".join(rows).encode()))
    assert [document.text for document in documents] == texts
