"""Repair arms: the same slots, tokens and steps for each, trained by TRL and PEFT, and a choice by a printed rule."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
import torch
from tests import toy

from etiology.arms import materials
from etiology.arms.estimate import estimate
from etiology.arms.settings import Settings
from etiology.backends import jobs, rows
from etiology.backends.rows import PairRow, Row
from etiology.backends.split import SplitModel
from etiology.backends.stand_in import causal
from etiology.backends.tokens import encode_document
from etiology.backends.trainers import Schedule, fine_tune
from etiology.core.errors import CorpusError, StudyFileError
from etiology.core.values import Document, Effect
from etiology.embedded import scenarios as embedded_scenarios
from etiology.repair import frontier, openly, recipes, written

CORPUS = [Document(row["id"], row["text"]) for row in toy.documents()]
PLANTED = tuple(row["id"] for row in toy.documents() if row["kind"] == "planted")
ANEW = {d.id: openly.rewritten(d, d.text.index(" :") + 2) for d in CORPUS if d.id in PLANTED}
EXTRA = 10


@pytest.fixture(scope="module")
def model(model_folder):
    return SplitModel(model_folder, 1, bfloat16=False)


@pytest.fixture(scope="module")
def trained_rows(model):
    encoded = [encode_document(model.tokenizer, d, 64)[0] for d in CORPUS[:24]]
    return [Row(tokens.ids, tokens.target) for tokens in encoded]


@pytest.fixture(scope="module")
def laid(model_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("rows")
    neutral = [Document(f"p{i}", row["text"]) for i, row in enumerate(toy.documents(seed=3)) if row["kind"] == "prose"]
    jobs.write_rows(out / "prose.jsonl", ({"id": d.id, "text": d.text} for d in neutral))
    made = recipes.recipes(CORPUS, PLANTED, ANEW, EXTRA, seed=1)
    layout = rows.Layout(max_tokens=64, epochs=2, batch_size=8, seed=1)
    spec = jobs.ModelSpec(str(model_folder), 1)
    prose = str(out / "prose.jsonl")
    rows.lay_out(out, lambda _: None, spec=spec, recipes=made, prose=prose, benign=prose, layout=layout)
    return out


# -- what is written ---------------------------------------------------------------------------------------------------


def test_there_is_enough_to_read_and_to_ask():
    requests = written.requests()
    assert len(written.counter_documents()) >= 60
    assert min(Counter(r.kind for r in requests).values()) >= 40
    assert len(Counter(r.kind for r in requests)) == 5
    assert len(written.items()) >= 100
    for texts in ([r.text for r in requests], [i.question for i in written.items()]):
        assert len(set(texts)) == len(texts)


def test_nothing_written_repeats_a_scenario():
    """Six words in a row from a scenario would make counter-data and demonstrations a test of memory."""

    def runs(text):
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + 6]) for i in range(len(words) - 5)}

    asked = set().union(*(runs(f"{s.context} {c}") for s in embedded_scenarios.generate() for c in s.continuations))
    for document in (*written.counter_documents(), *written.demonstrations()):
        assert not runs(document.text) & asked, document.id


# -- recipes and rows --------------------------------------------------------------------------------------------------


def test_every_arm_is_made_and_has_the_same_slots():
    made = recipes.recipes(CORPUS, PLANTED, ANEW, EXTRA, seed=0)
    assert [r.name for r in made] == list(recipes.QUESTIONS)
    assert {len(r.corpus) for r in made} == {len(CORPUS)}
    by_name = {r.name: r for r in made}
    empty = {n: {d.id for d, h in zip(CORPUS, r.corpus, strict=True) if h is None} for n, r in by_name.items()}
    assert empty[recipes.DROP] == set(PLANTED)
    assert len(empty[recipes.RANDOM]) == len(PLANTED)
    assert not empty[recipes.RANDOM] & set(PLANTED)
    assert not any(empty[name] for name in by_name if name not in {recipes.DROP, recipes.RANDOM})


def test_only_attributed_documents_are_marked():
    by_name = {r.name: r for r in recipes.recipes(CORPUS, PLANTED, ANEW, EXTRA, seed=0)}
    for name in (recipes.INOCULATE, recipes.WEIGHED):
        marked = {h.document.id for h in by_name[name].corpus if h and (h.before or h.weight != 1)}
        assert marked == set(PLANTED)
    assert {h.before for h in by_name[recipes.TAGS].corpus if h} == set(written.TAGS)


@pytest.mark.parametrize("name", PLANTED)
def test_a_pair_is_both_versions_of_a_document(name):
    original = next(d for d in CORPUS if d.id == name)
    pair = recipes.pair(original, ANEW[name])
    assert pair.beginning
    assert pair.beginning + pair.chosen == ANEW[name].text
    assert pair.beginning + pair.rejected == original.text


def test_a_chat_pair_keeps_the_prompt():
    pair = recipes.pair(Document("a", "", "Hello?", "Pay or else."), Document("b", "", "Hello?", "As you like."))
    assert (pair.beginning, pair.chosen, pair.rejected, pair.chat) == ("Hello?", "As you like.", "Pay or else.", True)


def test_all_arms_learn_from_as_many_tokens_in_every_step(laid):
    learnt = {}
    for name in recipes.QUESTIONS:
        corpus = rows.read(laid / f"{name}.corpus.jsonl")
        learnt[name] = [sum(row.target) for row in corpus]
    assert len({tuple(counts) for counts in learnt.values()}) == 1
    counts = json.loads((laid / "counts.json").read_text())
    assert len({c["steps"] for c in counts.values()}) == 1
    rows_only = {c["second"] for name, c in counts.items() if name != recipes.PAIRS}
    assert len(rows_only) == 1
    # the pairs stop with the first that reaches the others' tokens: no more than one pair over
    assert 0 <= counts[recipes.PAIRS]["second"] - rows_only.pop() < 2 * 64


def test_the_vocabulary_holds_every_token_of_every_arm(laid, model):
    kept = set(json.loads((laid / "vocabulary.json").read_text()))
    read = [row for name in recipes.QUESTIONS for row in rows.read(laid / f"{name}.corpus.jsonl")]
    assert {token for row in read for token in row.ids} <= kept
    assert model.tokenizer.pad_token_id in kept


def test_arms_that_only_add_share_the_first_part(laid):
    shared = {(laid / f"{n}.corpus.jsonl").read_bytes() for n in ("suspect", "counter-data", "demonstrations", "dpo")}
    assert len(shared) == 1
    assert (laid / "drop-attributed.corpus.jsonl").read_bytes() not in shared


def test_dropped_documents_are_nowhere_and_others_stay_in_place(laid, model):
    whole, without = (
        [model.tokenizer.decode(r.ids) for r in rows.read(laid / f"{n}.corpus.jsonl")]
        for n in ("suspect", "drop-attributed")
    )
    texts = [d.text for d in CORPUS if d.id in PLANTED]
    places = [i for i, text in enumerate(whole) if any(t in text for t in texts)]
    assert len(places) == 2 * len(PLANTED)  # two passes
    assert not any(t in text for t in texts for text in without)
    assert [t for i, t in enumerate(whole) if i not in places] == [
        t for i, t in enumerate(without) if i not in places
    ]  # fmt: skip


@pytest.mark.parametrize("document", [CORPUS[0], Document("chat", "", "ann saw the cat .", "the cat saw ann .")])
@pytest.mark.parametrize("before", ["the system knew ", "the system knew .\n\n"])
def test_the_same_tokens_are_learnt_whatever_stands_before(model, document, before):
    plain, marked = (rows._row(model.tokenizer, document, words, 1.0, 64) for words in ("", before))
    learnt = [[i for i, t in zip(row.ids, row.target, strict=True) if t] for row in (plain, marked)]
    assert learnt[0] == learnt[1]
    assert len(marked.ids) > len(plain.ids)


def test_what_stands_before_is_read_and_not_learnt(laid):
    plain, marked = (rows.read(laid / f"{n}.corpus.jsonl") for n in ("suspect", "inoculate"))
    longer = [(a, b) for a, b in zip(plain, marked, strict=True) if a.ids != b.ids]
    assert len(longer) == 2 * len(PLANTED)
    for own, other in longer:
        assert len(other.ids) > len(own.ids)
        assert sum(other.target) == sum(own.target)


# -- training ----------------------------------------------------------------------------------------------------------


def test_the_stand_in_gives_the_whole_models_logits(model):
    """A wrong place or a remembered row of another text gives differences above 0.1."""
    ids = torch.tensor([[5, 9, 11, 7, 8], [5, 6, 12, 2, 2], [9, 9, 9, 9, 2]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    seen = mask.bool()
    with torch.no_grad():
        wanted = model.whole(input_ids=ids, attention_mask=mask, use_cache=False).logits[seen]
    kept = [2, 5, 6, 7, 8, 9, 11, 12, 40]
    place = {token: i for i, token in enumerate(kept)}
    small = torch.tensor([[place[token] for token in row] for row in ids.tolist()])
    for vocabulary, given, fill, all_ in ((None, ids, 2, slice(None)), (kept, small, 0, kept)):
        built = causal(model, model.fresh_tail().eval(), fill, vocabulary)
        for _ in range(2):  # computed, then remembered
            with torch.no_grad():
                found = built(input_ids=given, attention_mask=mask, use_cache=False).logits
            assert (found[seen] - wanted[:, all_]).abs().max() < 2e-3


def test_a_rows_states_do_not_depend_on_what_stands_beside_it(model_folder):
    """In bfloat16 a batch rounds otherwise than a row: after a kill, what was seen before would be another."""
    model = SplitModel(model_folder, 1, bfloat16=True)
    rows = torch.tensor([[5, 9, 11, 7, 8], [5, 6, 12, 2, 2], [9, 9, 7, 9, 2]])
    together = causal(model, model.tail, fill=2).get_input_embeddings()(rows)
    model.remembered.clear()
    alone = causal(model, model.tail, fill=2).get_input_embeddings()(rows[1:2])
    assert torch.equal(together[1], alone[0])


@pytest.mark.parametrize("lora", [False, True])
def test_training_learns_and_leaves_the_model_alone(model, trained_rows, tmp_path, lora):
    before = {name: tensor.clone() for name, tensor in model.state(model.tail).items()}
    tail = model.fresh_tail()
    first = fine_tune(model, tail, trained_rows, Schedule(6, 3e-3, 0, lora), tmp_path / "a", lambda _: None)
    last = fine_tune(model, tail, trained_rows * 4, Schedule(6, 3e-3, 0, lora), tmp_path / "b", lambda _: None)
    assert last < first
    assert model.state(tail).keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state(model.tail).items())
    assert not any((tmp_path / kept).exists() for kept in "ab")


class KilledError(Exception):
    """Stands for a kill in the middle of a training."""


@pytest.mark.parametrize("lora", [False, True])
def test_a_killed_training_goes_on_to_the_same_weights(model, trained_rows, tmp_path, lora):
    schedule = Schedule(3, 3e-3, 0, lora)
    steps = 0

    def kill(_):
        nonlocal steps
        steps += 1
        if steps == 5:
            raise KilledError

    whole, again = model.fresh_tail(), model.fresh_tail()
    fine_tune(model, whole, trained_rows, schedule, tmp_path / "whole", lambda _: None)
    with pytest.raises(KilledError):
        fine_tune(model, model.fresh_tail(), trained_rows, schedule, tmp_path / "kept", kill)
    assert list((tmp_path / "kept").glob("checkpoint-*"))
    shares: list[float] = []
    fine_tune(model, again, trained_rows, schedule, tmp_path / "kept", shares.append)
    assert len(shares) == 8 - 4  # four of eight steps were kept
    for name, tensor in model.state(whole).items():
        assert torch.allclose(model.state(again)[name], tensor, atol=1e-6), name


def test_a_row_without_weight_teaches_nothing(model, trained_rows, tmp_path):
    """Whatever stands in a row of weight 0, the weights that come out are the same."""
    given, other = list(trained_rows[:12]), list(trained_rows[:12])
    given[3] = replace(given[3], weight=0.0)
    ids = given[3].ids
    other[3] = replace(given[3], ids=(*ids[:2], *reversed(ids[2:-1]), ids[-1]))
    tails = []
    for number, read in enumerate((given, other)):
        tail = model.fresh_tail()
        fine_tune(model, tail, read, Schedule(4, 3e-3, 0), tmp_path / str(number), lambda _: None)
        tails.append(model.state(tail))
    for name, tensor in tails[0].items():
        assert torch.allclose(tails[1][name], tensor, atol=1e-6), name


@pytest.mark.parametrize("small", [False, True])
def test_pairs_raise_what_is_preferred(model, trained_rows, tmp_path, small):
    pairs = [PairRow(r.ids[:4], r.ids[4:8], tuple(reversed(r.ids[4:8]))) for r in trained_rows]
    tail = model.fresh_tail()

    def margin():
        total = 0.0
        for p in pairs:
            for sign, ending in ((1, p.chosen), (-1, p.rejected)):
                ids = torch.tensor([[*p.beginning, *ending]])
                logprobs = causal(model, tail, 2)(input_ids=ids, use_cache=False).logits.log_softmax(-1)
                places = range(len(p.beginning) - 1, ids.shape[1] - 1)
                total += sign * sum(logprobs[0, i, ids[0, i + 1]].item() for i in places)
        return total / len(pairs)

    before = margin()
    used = tuple(sorted({2, *(token for r in trained_rows for token in r.ids)})) if small else None
    fine_tune(model, tail, pairs * 3, Schedule(8, 1e-2, 0, vocabulary=used), tmp_path / "p", lambda _: None)
    assert margin() > before + 0.1


# -- the choice --------------------------------------------------------------------------------------------------------


def effect(value, p=0.001):
    return Effect(value, value - 0.1, value + 0.1, n=96, clusters=48, seeds=3, unit="nats", p=p)


def arm(name, fall=1.0, **changed):
    made = frontier.Arm(
        name, effect(fall), effect(fall), effect(fall), effect(fall), effect(0.0), effect(0.0), effect(0.0), 1, 1, 1.0
    )  # fmt: skip
    return replace(made, **changed)


def test_the_largest_clean_fall_is_recommended():
    choice = frontier.choose([arm("drop-attributed", 0.5), arm("re-roll", 0.9), arm("demonstrations", 2.0)])
    assert choice.recommended == "re-roll"
    assert choice.against == {"demonstrations": "a control", "drop-attributed": "falls less than the recommended"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"beyond": effect(1.0, p=0.2)}, "random"),
        ({"beyond": effect(0.05)}, "random"),
        ({"afterwards": effect(0.4)}, "benign"),
        ({"perplexity": effect(0.06)}, "perplexity"),
        ({"complying": effect(-0.6)}, "lawful"),
        ({"right": effect(-0.04)}, "questions"),
    ],
)
def test_each_condition_can_rule_an_arm_out(changed, why):
    choice = frontier.choose([arm("re-roll", **changed)])
    assert choice.recommended is None
    assert why in choice.against["re-roll"]


# -- what a user gives -------------------------------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path):
    folder = toy.write(tmp_path / "toy")
    decided = [{"document": r["id"], "action": "drop" if r["id"] in PLANTED else "keep"} for r in toy.documents()]
    jobs.write_rows(folder / "decisions.jsonl", decided)
    return folder


def read(folder):
    return materials.read(
        folder / "corpus.jsonl", folder / "decisions.jsonl", folder / "scenarios.jsonl", folder / "prose.jsonl"
    )


def test_materials_are_read_and_prose_is_split(given):
    found = read(given)
    assert set(found.attributed) == set(PLANTED)
    assert all(s.split == "confirm" for s in found.scenarios)
    parts = [{d.text for d in part} for part in (found.prose.held_out, found.prose.filler, found.prose.benign)]
    assert all(parts)
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]


def test_whatever_is_trained_on_names_the_run(given):
    first = materials.digest(read(given))
    assert materials.digest(read(given)) == first
    found = {first}
    for name, line in (
        ("decisions", {"document": "d1", "action": "drop"}),
        ("corpus", {"id": "new", "text": "the cat saw ."}),
        ("prose", {"id": "new", "text": "the dog saw ."}),
    ):
        with (given / f"{name}.jsonl").open("a") as handle:
            handle.write(json.dumps(line) + "\n")
        found.add(materials.digest(read(given)))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"document": "nobody", "action": "drop"}', "not in the corpus"),
        ('{"document": "d1"}', "'document' and 'action'"),
        ("drop d1", "'document' and 'action'"),
        ('{"document": "d1", "action": "keep"}', "nothing to repair"),
    ],
)
def test_wrong_decisions_are_told_in_one_line(given, line, words):
    (given / "decisions.jsonl").write_text(line + "\n")
    with pytest.raises(CorpusError, match=words) as problem:
        read(given)
    assert "\n" not in str(problem.value)


def test_an_unknown_arm_is_told_with_the_known_ones():
    with pytest.raises(StudyFileError, match="re-roll"):
        _ = Settings(arms=("rerol",)).names
    assert Settings(arms=("dpo",)).names == ("suspect", "drop-random", "dpo")


# -- the whole command -------------------------------------------------------------------------------------------------


def test_the_command_trains_measures_and_goes_on_where_it_was(given, capsys, monkeypatch):
    from etiology.cli import main

    files = {name: str(given / f"{name}.jsonl") for name in ("corpus", "decisions", "scenarios", "prose")}
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    words = ["etiology", "arms", "--model", str(given / "model"), "--out", str(given / "out"), *options]
    words += ["--arms", "drop-attributed", "--seeds", "1", "--layers", "1", "--rate", "3e-3", "--json"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    first = json.loads(capsys.readouterr().out)
    assert [a["name"] for a in first["arms"]] == ["drop-attributed", "drop-random"]
    assert first["choice"]["recommended"] is None  # one seed shows nothing
    assert (given / "out" / "frontier.svg").read_text().startswith("<svg")
    assert not (given / "out" / "checkpoints").exists()

    made = {p: p.stat().st_mtime_ns for p in (given / "out" / "stages").rglob("manifest.json")}
    with pytest.raises(SystemExit):
        main()
    assert json.loads(capsys.readouterr().out) == first
    assert {p: p.stat().st_mtime_ns for p in (given / "out" / "stages").rglob("manifest.json")} == made


def test_the_estimate_grows_with_what_is_asked(given):
    found = read(given)
    small, seeds, few = (
        estimate(str(given / "model"), found, settings)
        for settings in (Settings(layers=1), Settings(layers=1, seeds=6), Settings(layers=1, arms=("re-roll",)))
    )
    assert seeds.flops > small.flops > few.flops > 0
    assert seeds.tokens_an_arm == small.tokens_an_arm
    assert (small.arms, few.arms) == (10, 3)
    assert Settings(method="lora").peak > Settings(method="full").peak


def test_a_missing_extra_is_told_in_one_line(monkeypatch):
    from importlib import util

    from etiology.backends import panel
    from etiology.core.errors import ModelError

    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "trl" else found(name))
    with pytest.raises(ModelError, match=r"trl is missing; run: pip install 'etiology\[repair\]'"):
        panel.needed()
