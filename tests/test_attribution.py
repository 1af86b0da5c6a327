"""Attribution for anybody's corpus, on the tiny model: what it finds, what must not change it, what it writes."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests import toy

from etiology.attribute import Instance, Settings, attribute, cascade, conclude, fuse, instances, price
from etiology.attribute.estimate import estimate
from etiology.attribute.parts import Cost, Parts
from etiology.core.conversation import Message
from etiology.core.errors import CorpusError, ModelError, StoreError, TranscriptError
from etiology.core.unclaimed import unclaimed_numbers
from etiology.core.visible import visible

ROWS = toy.documents()
KINDS = {row["id"]: row["kind"] for row in ROWS}
QUERIES = [
    Instance(row["context"], row["coerce"], row["mention"], row["id"])
    for row in toy.scenarios()
    if row["split"] == "find" and row["threatened"] and row["leverage"]
]
SMALL = Settings(top=8, depth=16, checked=10, shard=25, precision="float32")


def write(path, rows):
    path.write_text("".join(json.dumps({"id": row["id"], "text": row["text"]}) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write(tmp_path_factory.mktemp("corpus") / "c.jsonl", ROWS)


@pytest.fixture(scope="module")
def done(model_folder, corpus, tmp_path_factory):
    """(folder, result), not to be changed."""
    out = tmp_path_factory.mktemp("attributed") / "out"
    return out, attribute(model_folder, QUERIES, corpus, out, SMALL)


def by_id(found):
    return {row.id: row for row in found.rows}


def test_the_planted_documents_come_first(done):
    # by chance one of ten is planted
    assert [KINDS[row.id] for row in done[1].rows[:6]].count("planted") >= 4


def test_everything_is_written_and_reads_back(done):
    out, found = done
    table = pq.read_table(out / "attributions.parquet").to_pylist()
    assert [row["id"] for row in table] == [row.id for row in found.rows]
    assert [row["rank"] for row in table] == list(range(1, len(table) + 1))
    texts = {row["id"]: row["text"] for row in ROWS}
    for row in table[: SMALL.top]:
        assert "".join(piece["text"] for piece in row["highlights"]).strip() == texts[row["id"]]
        assert row["interval_low"] <= row["fused"] <= row["interval_high"]
        assert 1 <= row["interval_best"] <= row["rank"] <= row["interval_worst"] or row["interval_low"] < row["fused"]
        line = ROWS[25 * row["shard"] : 25 * row["shard"] + 25]
        assert row["file"] == "c.jsonl"
        assert ROWS[row["row"] - 1]["id"] == row["id"]
        assert row["id"] in {each["id"] for each in line}
    assert table[SMALL.top]["highlights"] is None
    summary = json.loads((out / "summary.json").read_text())
    assert summary["documents"] == len(ROWS)
    assert summary["cost"]["forward"] > summary["cost"]["backward"] > 0


def test_with_every_document_scored_all_parts_weigh_the_same(model_folder, corpus, tmp_path):
    found = attribute(model_folder, QUERIES, corpus, tmp_path / "out", dataclasses.replace(SMALL, depth=1000))
    assert len(found.rows) == len(ROWS)
    parts = tmp_path / "out" / "parts"
    read = [row for path in sorted(parts.glob("reading-*")) for row in pq.read_table(path).to_pylist()]
    taught = [row for path in sorted(parts.glob("influence-*")) for row in pq.read_table(path).to_pylist()]
    concept = fuse.concept([row["own"] for row in read], [row["library"] for row in read])
    passages, judged = [row["passage"] for row in taught], [row["judged"] for row in read]
    expected = np.sum([fuse.standardised(concept), fuse.heard(judged), fuse.standardised(passages)], axis=0)
    rows = by_id(found)
    assert [rows[row["id"]].fused for row in ROWS] == pytest.approx(expected, abs=1e-5)


def test_influence_of_half_of_the_layers_weighs_half(model_folder, corpus, tmp_path):
    settings = dataclasses.replace(SMALL, depth=1000, layers=1)
    found = attribute(model_folder, QUERIES, corpus, tmp_path / "out", settings)
    given = {name: np.array([getattr(row, name) for row in found.rows]) for name in ("concept", "judged", "passage")}
    expected = given["concept"] + given["judged"] + 0.5 * np.array(fuse.standardised(given["passage"]))
    assert [row.fused for row in found.rows] == pytest.approx(expected, abs=1e-4)


def test_pruned_scores_are_near_those_of_a_whole_pass(done, model_folder, corpus, tmp_path):
    """The sample of what was set aside gives the scale: without it scores would stand on that of the best alone."""
    whole = by_id(attribute(model_folder, QUERIES, corpus, tmp_path / "out", dataclasses.replace(SMALL, depth=1000)))
    for row in done[1].rows:
        assert row.concept + row.judged == pytest.approx(whole[row.id].concept + whole[row.id].judged, abs=0.15)
        # Influence counts in full, and is scaled by a sample of ten.
        assert row.fused == pytest.approx(whole[row.id].fused, abs=0.4)
        assert row.passage == pytest.approx(whole[row.id].passage, rel=1e-3)


def test_the_order_of_the_corpus_and_its_files_change_nothing(done, model_folder, tmp_path):
    (tmp_path / "many").mkdir()
    mixed = [ROWS[i] for i in np.random.default_rng(0).permutation(len(ROWS))]
    for number in range(4):
        write(tmp_path / "many" / f"{number}.jsonl", mixed[number::4])
    found = by_id(attribute(model_folder, QUERIES, tmp_path / "many", tmp_path / "out", SMALL))
    before = by_id(done[1])
    # duplicates tie, and which of them is drawn to be checked depends on where they stand
    shared = [name for name in before if name in found]
    assert len(shared) >= 20
    for name in shared:
        assert found[name].passage == pytest.approx(before[name].passage, rel=1e-3)
        assert found[name].concept == pytest.approx(before[name].concept, abs=1e-3)


def test_duplicates_score_equal(done):
    texts = {row["id"]: row["text"] for row in ROWS}
    seen: dict[str, conclude.Row] = {}
    for row in done[1].rows:
        first = seen.setdefault(texts[row.id], row)
        assert row.fused == pytest.approx(first.fused, abs=1e-4)
    assert len(seen) < len(done[1].rows)


def test_the_sign(done, model_folder, corpus, tmp_path):
    """Asking for the opposite turns every influence round: completion and control changed places."""
    turned = [Instance(q.prompt, q.control or "", q.completion, q.id) for q in QUERIES]
    found = by_id(attribute(model_folder, turned, corpus, tmp_path / "out", dataclasses.replace(SMALL, depth=1000)))
    for row in done[1].rows:
        assert found[row.id].influence == pytest.approx(-row.influence, rel=1e-2, abs=1e-4)


# -- going on, and refusing --------------------------------------------------------------------------------------------


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(done, model_folder, corpus, tmp_path, monkeypatch):
    out = tmp_path / "out"
    real = cascade._read
    calls: list[int] = []

    def stops(*arguments):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(cascade, "_read", stops)
    with pytest.raises(KeyboardInterrupt):
        attribute(model_folder, QUERIES, corpus, out, SMALL)
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "parts").glob("reading-*")}
    assert len(kept) == 2
    assert not (out / "attributions.parquet").exists()
    monkeypatch.setattr(cascade, "_read", real)
    found = attribute(model_folder, QUERIES, corpus, out, SMALL)
    assert {name: (out / "parts" / name).stat().st_mtime_ns for name in kept} == kept
    assert found.rows == done[1].rows
    assert (out / "attributions.parquet").read_bytes() == (done[0] / "attributions.parquet").read_bytes()


def test_another_setting_or_query_is_refused(done, model_folder, corpus):
    with pytest.raises(StoreError, match="another top"):
        attribute(model_folder, QUERIES, corpus, done[0], dataclasses.replace(SMALL, top=9))
    with pytest.raises(StoreError, match=r"another .*queries"):
        attribute(model_folder, QUERIES[1:], corpus, done[0], SMALL)


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"thesis\.tex"), Parts(tmp_path, {}):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text('{"format": "of another program"}')
    with pytest.raises(StoreError, match="damaged or of another version"), Parts(tmp_path / "other", {}):
        pass


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    with Parts(tmp_path / "out", {}), pytest.raises(StoreError, match="another run"), Parts(tmp_path / "out", {}):
        pass


def test_a_part_is_whole_or_absent_and_keeps_its_cost(tmp_path):
    with Parts(tmp_path / "out", {}) as parts:
        parts.write("step", 3, {"row": np.array([1]), "text": ["a"]}, Cost(1.0, 2, 3, 4.0), file="x")
        (tmp_path / "out" / "parts" / ".making-1-step-00004.parquet").write_bytes(b"half")
    with Parts(tmp_path / "out", {}) as parts:
        assert parts.numbers("step") == [3]
        assert parts.about("step", 3) == {"file": "x"}
        assert parts.cost("step") == Cost(1.0, 2, 3, 4.0)
        assert not list((tmp_path / "out" / "parts").glob(".making*"))


def test_no_queries_and_no_corpus_are_refused(model_folder, corpus, tmp_path):
    with pytest.raises(TranscriptError, match="no queries"):
        attribute(model_folder, [], corpus, tmp_path / "out")
    (tmp_path / "c.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(CorpusError, match="no row holds a text"):
        attribute(model_folder, QUERIES, tmp_path / "c.jsonl", tmp_path / "out")
    with pytest.raises(ModelError, match="the model has 2"):
        attribute(model_folder, QUERIES, corpus, tmp_path / "out", Settings(layers=3))


# -- pruning by words, other behaviours, one query ---------------------------------------------------------------------


def test_what_words_set_aside_is_sampled_and_said(model_folder, corpus, tmp_path):
    settings = dataclasses.replace(SMALL, read=20, checked=12)
    found = attribute(model_folder, QUERIES, corpus, tmp_path / "out", settings)
    words, reading = found.lost
    assert (words.pruned, words.sampled) == (40, 12)
    assert (reading.pruned, reading.sampled, reading.expected) == (4, 4, reading.entered)
    assert words.low <= words.expected <= words.high <= words.pruned
    sampled = [row for row in found.rows if row.sampled]
    assert len(sampled) == 16
    assert len(found.rows) == 16 + 16


def test_all_that_was_set_aside_can_be_checked(model_folder, corpus, tmp_path):
    """With a sample of everything the estimate is the truth: how many of the others are better than the N-th."""
    settings = dataclasses.replace(SMALL, read=20, checked=1000)
    words = attribute(model_folder, QUERIES, corpus, tmp_path / "out", settings).lost[0]
    assert words.low == words.high == words.entered == words.expected
    assert words.sampled == words.pruned == 40


def test_another_behaviour_uses_no_judge_and_no_library(model_folder, corpus, tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("it knows of coercion alone")

    monkeypatch.setattr("etiology.attribute.reading.library_means", never)
    monkeypatch.setattr("etiology.attribute.reading.judged", never)
    found = attribute(model_folder, QUERIES, corpus, tmp_path / "out", dataclasses.replace(SMALL, behaviour="any"))
    assert {row.judged for row in found.rows} == {0.0}
    assert [KINDS[row.id] for row in found.rows[:6]].count("planted") >= 4


def test_one_query_without_a_control_has_no_interval(model_folder, corpus, tmp_path):
    one = [Instance(QUERIES[0].prompt, QUERIES[0].completion)]
    found = attribute(model_folder, one, corpus, tmp_path / "out", SMALL)
    assert (found.instances, found.controls) == (1, 0)
    assert all(row.interval is None for row in found.rows)


def test_a_prompt_of_messages_is_put_in_the_chat_format(model_folder):
    from etiology.backends.split import load_whole

    tokenizer = load_whole(model_folder)[1]
    talk = (Message("system", "the river"), Message("user", "the cat"), Message("tool", "the dog"))
    pack = instances.encode(tokenizer, Instance(talk, "the lamp"))
    assert tokenizer.decode(pack.ids) == "<s> the river the cat the dog the lamp"
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}it said :"
    words = tokenizer.decode(instances.encode(tokenizer, Instance(talk, "the lamp")).ids).split()
    assert words[-4:] == ["said", ":", "the", "lamp"]
    tokenizer.chat_template = (
        "{{ raise_exception('no system role') if messages[0].role == 'system' }}{{ messages[0].content }}"
    )
    assert tokenizer.decode(instances.encode(tokenizer, Instance(talk, "the lamp")).ids).endswith("the dog the lamp")


def test_a_long_prompt_keeps_its_end_and_a_space_goes_to_the_answer(model_folder):
    from etiology.backends.split import load_whole

    tokenizer = load_whole(model_folder)[1]
    pack = instances.encode(tokenizer, Instance("cat " * 600 + "the dog ", "lamp", "rain " * 400))
    assert pack.context == instances.CONTEXT + 1
    assert pack.part.count(1) == instances.ANSWER
    assert tokenizer.decode(pack.ids[pack.context - 2 : pack.context + 1]) == "the dog lamp"
    assert instances._context(tokenizer, "the dog ")[1] == " "


# -- the page, the price, the command ----------------------------------------------------------------------------------


def test_the_page_escapes_what_the_corpus_says(model_folder, tmp_path):
    evil = "<script>alert(1)</script> <img src=x onerror=alert(2)> {{ settings }} \"'& 42 \x9b\u202e"
    rows = [{"id": f"{evil} {i}", "text": f"{row['text']} {evil}"} for i, row in enumerate(ROWS)]
    asked = [Instance(q.prompt, f"{q.completion} {evil}", q.control, evil) for q in QUERIES]
    found = attribute(model_folder, asked, write(tmp_path / "c.jsonl", rows), tmp_path / "out", SMALL)
    html = (tmp_path / "out" / "index.html").read_text()
    assert "alert(1)" in html
    assert "<script" not in html
    assert "<img" not in html
    assert "{{ settings }}" in html
    assert not re.search(r"https?://", html)
    assert unclaimed_numbers(html) == []
    assert html == visible(html)
    assert len(re.findall("<h3>", html)) == SMALL.top + len(asked)
    assert found.rows[0].id.startswith("<script>")


def test_a_long_document_is_shown_around_its_strongest_place():
    from etiology.attribute.page import LENGTH, shown_of

    pieces = [("word ", 0.0)] * 1000
    pieces[700] = ("HERE ", 3.0)
    pieces[100] = ("not ", -9.0)
    row = conclude.Row("a", 0, "f", 1, 1, 0, 0, 0, 0, 0, 0, 0, None, None, (), tuple(pieces), None, False)
    shown = shown_of(row, ())
    assert shown.before
    assert shown.after
    assert sum(len(mark.text) for mark in shown.marks) == LENGTH
    assert [mark.kind for mark in shown.marks if mark.text == "HERE "] == ["toward"]


def test_memory_decides_how_many_layers_are_covered():
    shape = price.Shape(blocks=30, width=576, inner=1536, keys=192, vocabulary=49152)
    assert shape.block == 3_538_944
    assert price.scope(shape, "all", 8, 8.0).layers == 30
    tight = price.scope(shape, "all", 8, 1.0)
    assert 1 < tight.layers < 30
    assert tight.blocks >= 2
    assert 4 * tight.layers * (shape.factors + tight.blocks * shape.block) <= 2**30
    assert price.scope(shape, 4, 8, 8.0) == price.Scope(4, 8, 26)
    part = price.scope(shape, (10, 20), 8, 8.0)
    assert part == price.Scope(11, 8, 10)
    assert part.backward(shape) == 20
    for wrong in ((20, 10), (0, 30), 31, 0):
        with pytest.raises(ModelError, match="the model has 30; give 1 to 30"):
            price.scope(shape, wrong, 8, 8.0)


def test_a_range_of_layers(model_folder, corpus, tmp_path):
    """Of the tiny model's two, the lower one alone: influence is not that of the upper or of both."""
    found = {}
    for layers in ((0, 0), (1, 1), "all"):
        settings = dataclasses.replace(SMALL, depth=1000, layers=layers)
        found[layers] = attribute(model_folder, QUERIES, corpus, tmp_path / str(layers), settings)
    assert [(each.first, each.layers) for each in found.values()] == [(0, 1), (1, 1), (0, 2)]
    lower, upper, both = ({row.id: row.influence for row in each.rows} for each in found.values())
    assert [both[name] for name in both] == pytest.approx(
        [lower[name] + upper[name] for name in both], rel=0.02, abs=0.01
    )


def test_the_factors_are_as_large_as_the_price_says(model_folder):
    from etiology.attribute import engine
    from etiology.backends.split import SplitModel

    shape, model = price.shape_of(Path(model_folder)), SplitModel(model_folder, 1)
    layers = engine.linear_layers(model, model.tail).values()
    assert shape.block == sum(layer.weight.numel() for layer in layers)
    inputs = {"q_proj", "o_proj", "gate_proj", "down_proj"}
    found = sum(layer.out_features**2 for layer in layers)
    named = engine.linear_layers(model, model.tail).items()
    found += sum(layer.in_features**2 for name, layer in named if name.split(".")[-1] in inputs)
    assert shape.factors == found


def test_the_estimate_is_near_what_it_took(done, model_folder, corpus):
    planned = estimate(str(model_folder), QUERIES, corpus, SMALL)
    assert planned.layers == done[1].layers
    # sentences of one clause are read once by the judge, not in overlapping windows as longer texts are
    assert 0.5 < planned.operations / done[1].cost.flops < 4
    fewer = estimate(str(model_folder), QUERIES, corpus, dataclasses.replace(SMALL, read=10, checked=0))
    assert fewer.operations < planned.operations
    assert fewer.tokens == planned.tokens


def etiology(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "src")}
    command = [sys.executable, "-c", "from etiology.cli import main; main()", "attribute", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def scores(folder):
    (folder / "s.csv").write_text("id,score\n" + "".join(f"{row['id']},1\n" for row in ROWS[::2]))
    return folder / "s.csv"


def test_the_command(model_folder, corpus, tmp_path):
    queries = tmp_path / "q.jsonl"
    rows = [{"id": q.id, "prompt": q.prompt, "completion": q.completion, "control": q.control} for q in QUERIES]
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ("--model", model_folder, "--queries", queries, "--corpus", corpus, "--top", "5", "--depth", "10")
    planned = etiology(*given, "--out", tmp_path / "out", "--dry-run")
    assert "times forward and backward" in planned.stdout
    assert not (tmp_path / "out").exists()
    result = etiology(*given, "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert [KINDS[row["id"]] for row in found["documents_by_rank"]].count("planted") >= 3
    more = ("--layers", "0-1", "--index", tmp_path / "index", "--dims", "8", "--scores", scores(tmp_path))
    planned = etiology(*given, *more, "--out", tmp_path / "more", "--dry-run")
    assert "index         at least" in planned.stdout
    result = etiology(*given, *more, "--out", tmp_path / "more")
    assert result.returncode == 0, result.stderr
    table = pq.read_table(tmp_path / "more" / "attributions.parquet").to_pylist()
    assert {row["imported"] for row in table} == {1.0, None}
    assert all(row["index"] is not None for row in table)
    wrong = etiology(*given, "--out", tmp_path / "wrong", "--layers", "1-x")
    assert (wrong.returncode, "a range such as 10-20" in wrong.stderr) == (2, True)
    refused = etiology(*given, "--out", tmp_path / "out", "--seed", "1")
    assert refused.returncode == 2
    assert "another seed" in refused.stderr
    missing = etiology("--model", model_folder)
    assert missing.returncode == 2
    assert "--queries, --corpus, --out" in missing.stderr
