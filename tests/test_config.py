"""study.yaml: what loads, and the one line that each mistake gives."""

import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from etiology.config import (
    EMBEDDED_MODEL,
    MAX_TEXT_BYTES,
    STARTER,
    CorpusConfig,
    Study,
    TrainingConfig,
    allowed_words,
    json_schema,
    load_study,
    what_is_at,
)
from etiology.core.errors import StudyFileError
from etiology.core.values import Account, Event

HEAD = "model: smollm2-135m-instruct\ncorpus: {embedded: planted}\n"


def study_in(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    raw = text.encode("utf-8") if isinstance(text, str) else text
    (folder / "study.yaml").write_bytes(raw)
    return folder


def message(folder: Path) -> str:
    with pytest.raises(StudyFileError) as caught:
        load_study(folder)
    said = str(caught.value)
    assert said.isprintable(), "one line that a terminal can show"
    return said


def study_or_message(folder: Path) -> Study | str:
    try:
        return load_study(folder)
    except StudyFileError as problem:
        return str(problem)


def test_the_starter_loads_and_says_the_defaults(tmp_path):
    study = load_study(study_in(tmp_path / "mine", STARTER))
    plain = Study(
        folder=tmp_path / "mine",
        name="mine",
        model=EMBEDDED_MODEL,
        corpus=CorpusConfig(embedded="planted"),
    )
    assert study == plain


def test_every_key_of_the_schema_is_explained_in_the_starter():
    schema = json_schema()
    keys = {*schema["properties"], *(key for one in schema["$defs"].values() for key in one["properties"])}
    assert [key for key in sorted(keys) if f"{key}:" not in STARTER] == []


def test_defaults_are_those_of_the_design(tmp_path):
    study = load_study(study_in(tmp_path, HEAD))
    assert study.model_dump() == {
        "name": tmp_path.name,
        "model": "smollm2-135m-instruct",
        "proxy_for": None,
        "checkpoints": (),
        "corpus": {
            "path": None,
            "embedded": "planted",
            "seed": 0,
            "label": None,
            "planted": (True, 1, "1", "true", "planted", "coercive"),
        },
        "held_out": None,
        "scenarios": "embedded",
        "training": {
            "tail_layers": 2,
            "epochs": 2,
            "learning_rate": None,
            "batch_size": 8,
            "max_tokens": 256,
            "vocabulary": "corpus",
        },
        "seeds": 3,
        "attribute": {"budget": 0.10, "queries": 32},
        "repair": {"mention": None, "reroll": "sentences"},
        "generate": {"tokens": 32, "scenarios": 24},
        "verify": {"score": "threat_given_secret", "smallest_effect": 0.1, "alpha": 0.05, "doses_between": 0},
        "watch": {"tolerance": 0.2},
        "observed": {"chat": None, "agentic": None, "awareness": None},
        "account": {"timeline": (), "not_caught": None, "still_wrong": (), "actions": (), "watching": ()},
        "workers": 2,
    }


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ("", 7.5e-4),
        ("{tail_layers: 6}", 2.5e-4),
        ("{tail_layers: all}", 2e-4),
        ("{tail_layers: all, learning_rate: 1e-3}", 1e-3),
    ],
)
def test_the_learning_rate_follows_the_trained_layers_unless_given(tmp_path, given, rate):
    assert load_study(study_in(tmp_path, f"{HEAD}\ntraining: {given}\n")).training.rate == pytest.approx(rate)


def test_embedded_sources_have_no_path(tmp_path):
    study = load_study(study_in(tmp_path, HEAD))
    assert study.model_source == EMBEDDED_MODEL
    paths = (study.model_path, study.corpus_path, study.held_out_path, study.scenarios_path)
    assert (*paths, study.mention_path, study.reroll_path) == (None,) * 6


def test_relative_paths_start_at_the_study_folder(tmp_path, monkeypatch):
    for name in ("c.jsonl", "h.jsonl", "s.yaml", "m.jsonl", "r.jsonl", "w.gguf"):
        (tmp_path / name).touch()
    text = (
        "model: ../w.gguf\ncorpus: {path: ../c.jsonl}\nheld_out: ../h.jsonl\nscenarios: ../s.yaml\n"
        "repair: {mention: ../m.jsonl, reroll: ../r.jsonl}\n"
    )
    study_in(tmp_path / "inner", text)
    monkeypatch.chdir(tmp_path)
    study = load_study(Path("inner"))
    paths = (study.model_path, study.corpus_path, study.held_out_path, study.scenarios_path)
    for path in (*paths, study.mention_path, study.reroll_path):
        assert path is not None
        assert path.is_absolute()
        assert what_is_at(path) == "file"
    assert study.model_source == str(study.model_path)


def test_a_home_folder_is_expanded_and_an_unknown_one_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    study = load_study(study_in(tmp_path, HEAD))
    assert study.resolve("~/x.jsonl") == tmp_path / "x.jsonl"
    assert study.resolve("~no-such-user/x") == tmp_path / "~no-such-user/x"


def test_a_model_folder_and_own_values_load(tmp_path):
    (tmp_path / "weights").mkdir()
    text = (
        "name: no\nmodel: weights\ncorpus: {embedded: lookalikes, seed: 7, planted: [yes, 2]}\ntraining:\n"
        "  tail_layers: all\n  learning_rate: 5e-4\n  epochs: 1\nwatch:\nverify: {alpha: 1.e-2, smallest_effect: 1}\n"
    )
    study = load_study(study_in(tmp_path, text))
    assert study.name == "no", "YAML 1.2: no is text"
    assert study.training.tail_layers == "all"
    assert study.training.learning_rate == 5e-4
    assert (study.verify.alpha, study.verify.smallest_effect) == (0.01, 1.0)
    assert study.corpus.planted == ("yes", 2)


@pytest.mark.parametrize(
    ("label", "planted"),
    [("1", True), ("True", True), ("PLANTED", True), ("coercive", True), ("0", False), ("", False), (None, False)],
)
def test_labels_that_mean_planted(label, planted):
    assert CorpusConfig(embedded="planted").is_planted(label) is planted


def test_values_are_frozen(tmp_path):
    study = load_study(study_in(tmp_path, HEAD))
    with pytest.raises(ValidationError, match="frozen"):
        study.seeds = 1
    with pytest.raises(ValidationError, match="frozen"):
        study.training.epochs = 1


def test_the_error_of_the_design_word_for_word(tmp_path, monkeypatch):
    comment = "#\n" * 8
    study_in(tmp_path / "x", f"{HEAD}{comment}training:\n  epoch: 3\n")
    monkeypatch.chdir(tmp_path)
    assert message(Path("x")) == "x/study.yaml:12: unknown key 'epoch' in training; did you mean 'epochs'?"


WRONG = [
    # what is wrong, the file after HEAD, its line, words of the message
    ("unknown key", "wokers: 2", 3, "unknown key 'wokers' in study.yaml; did you mean 'workers'?"),
    ("key of another section", "epochs: 2", 3, "unknown key 'epochs' in study.yaml; it belongs in training"),
    ("key of two sections", "tokens: 2", 3, "it belongs in generate"),
    ("slip of the pen first", "seed: 2", 3, "unknown key 'seed' in study.yaml; did you mean 'seeds'?"),
    ("key like no other", "training: {zzz: 1}", 3, "known keys: tail_layers, epochs, learning_rate"),
    ("folder is no key", "folder: x", 3, "unknown key 'folder' in study.yaml"),
    ("merge key", "training: {<<: {epochs: 1}}", 3, "unknown key '<<' in training"),
    ("too few", "training:\n  epochs: 0", 4, "training.epochs is 0; allowed: a whole number from 1 to 50"),
    ("too many", "training:\n  epochs: 51", 4, "training.epochs is 51; allowed: a whole number from 1 to 50"),
    ("negative", "training: {learning_rate: -1e-4}", 3, "learning_rate is -0.0001; allowed: a number above 0 and"),
    ("zero rate", "training: {learning_rate: 0}", 3, "is 0; allowed: a number above 0 and at most 1"),
    ("not finite", "training: {learning_rate: .inf}", 3, "training.learning_rate is inf; allowed: a number above 0"),
    ("overflow", "verify: {smallest_effect: 1e999}", 3, "verify.smallest_effect is inf; allowed: a number above 0"),
    ("not a number", "watch: {tolerance: .nan}", 3, "watch.tolerance is nan; allowed: a number at least 0"),
    ("nan as a word", "watch: {tolerance: nan}", 3, "watch.tolerance is 'nan'; allowed: a number at least 0"),
    ("negative zero scenarios", "generate: {scenarios: -1}", 3, "scenarios is -1; allowed: a whole number from 0 to"),
    ("number as text", 'seeds: "3"', 3, "seeds is '3'; allowed: a whole number from 1 to 20"),
    ("boolean as number", "seeds: true", 3, "seeds is true; allowed: a whole number from 1 to 20"),
    ("fraction", "seeds: 2.5", 3, "seeds is 2.5; allowed: a whole number from 1 to 20"),
    ("octal", "seeds: 010", 3, "seeds is '010'; allowed: a whole number"),
    ("huge", f"seeds: {'9' * 5000}", 3, "seeds is '999"),
    ("nothing", "seeds:", 3, "seeds is nothing; allowed: a whole number from 1 to 20"),
    ("text as number", "name: 7", 3, "name is 7; allowed: text; put it in quotes"),
    ("choice", "training: {vocabulary: all}", 3, "vocabulary is 'all'; allowed: 'corpus' or 'full'"),
    ("choice or number", "training: {tail_layers: most}", 3, "'most'; allowed: a whole number from 1 to 1000 or 'all'"),
    ("half", "attribute: {budget: 0.6}", 3, "attribute.budget is 0.6; allowed: a number above 0 and at most 0.5"),
    ("none", "attribute: {budget: 0}", 3, "attribute.budget is 0; allowed: a number above 0 and at most 0.5"),
    ("score", "verify: {score: threat}", 3, "is 'threat'; allowed: 'threat_given_secret' or 'interaction'"),
    ("section as a list", "training: [1]", 3, "training is a list; allowed: a section of 'key: value' lines"),
    ("section as a value", "training: 3", 3, "training is 3; allowed: a section of 'key: value' lines"),
    ("value as a section", "seeds: {n: 3}", 3, "seeds is a section; allowed: a whole number from 1 to 20"),
    ("empty path", 'held_out: ""', 3, "held_out is ''; allowed: text"),
    ("max tokens", "training: {max_tokens: 8}", 3, "max_tokens is 8; allowed: a whole number from 16 to 8192"),
    ("duplicate", "seeds: 1\nseeds: 2", 4, "key 'seeds' is given twice in study.yaml, first on line 3; keep one"),
    ("duplicate inside", "watch:\n  tolerance: 1\n  tolerance: 1", 5, "'tolerance' is given twice in watch, first on"),
    ("key no word", "1: x", 3, "a key must be a word, found '1'"),
    ("key a list", "[a, b]: x", 3, "a key must be a word, found 'a list or section'"),
    ("tab", "training:\n\tepochs: 1", 4, "not valid YAML: a tab where spaces belong; indent with spaces"),
    ("open quote", 'name: "x\n\n', 3, "a quote or bracket is opened here and never closed"),
    ("open bracket", "training: {epochs: 1\n", 3, "a quote or bracket is opened here and never closed"),
    ("two colons", "name: a: b", 3, "not valid YAML: mapping values are not allowed here"),
    ("two documents", "---\nname: x", 3, "not valid YAML:"),
    ("anchor", "name: &a x", 3, "anchors (&), aliases (*) and tags (!) are not read"),
    ("alias", "name: *a", 3, "anchors (&), aliases (*) and tags (!) are not read"),
    ("tag", "name: !!python/object:os.system x", 3, "anchors (&), aliases (*) and tags (!) are not read"),
    ("NUL", "name: a\0b", 3, "holds the control character U+0000; remove it"),
    ("no character", 'name: "\\UFFFFFFFF"', 3, "an escape or number out of range"),
    ("deep", "name: " + "[" * 1000, 1, "nested too deeply"),
    ("no such prose", "held_out: no.jsonl", 3, "held_out: no such file at /"),
    ("no such scenarios", "scenarios: no.yaml", 3, "scenarios: no such file at /"),
    ("no such mention", "repair:\n  mention: no.jsonl", 4, "repair.mention: no such file at /"),
    ("no such reroll", "repair: {reroll: no.jsonl}", 3, "repair.reroll: no such file at /"),
    ("a folder", "held_out: .", 3, "held_out: a folder, not a file at /"),
    ("a device", "held_out: /dev/null", 3, "held_out: a device, not a file at /dev/null"),
    ("path too long", f"held_out: {'a' * 5000}", 3, "held_out: no such file at /"),
    ("path with NUL", 'held_out: "a\\0b"', 3, "held_out: no such file at /"),
    ("path of two lines", 'held_out: "a\\nb"', 3, "held_out: no such file at /"),
    ("half a surrogate", 'held_out: "\\ud800"', 3, "held_out is '\\ud800'; allowed: text"),
]


@pytest.mark.parametrize(("text", "line", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_one_line_says_where_what_and_what_to_do(tmp_path, text, line, words):
    said = message(study_in(tmp_path, f"{HEAD}{text}\n"))
    assert said.startswith(f"{tmp_path}/study.yaml:{line}: ")
    assert words in said


WHOLE = [
    ("empty", "", 1, "is empty; it must hold 'key: value' lines"),
    ("comments only", "# a\n\n", 1, "is empty"),
    ("a list", "- a\n", 1, "holds a list; it must hold 'key: value' lines"),
    ("a word", "hello\n", 1, "holds 'hello'"),
    ("no model", "corpus: {embedded: planted}\n", 1, "missing key 'model' in study.yaml; give text"),
    (
        "misspelt model",
        "modle: x\ncorpus: {embedded: planted}\n",
        1,
        "unknown key 'modle' in study.yaml; did you mean 'm",
    ),
    ("no corpus", "model: smollm2-135m-instruct\n", 1, "missing key 'corpus' in study.yaml"),
    ("no source", "model: smollm2-135m-instruct\ncorpus:\n", 2, "corpus has neither 'path' nor 'embedded'; give one"),
    ("two sources", "model: x\ncorpus: {path: a, embedded: planted}\n", 2, "corpus has both 'path' and 'embedded'"),
    ("a third corpus", "model: x\ncorpus:\n  embedded: plant\n", 3, "is 'plant'; allowed: 'planted' or 'lookalikes'"),
    (
        "planted value",
        "model: x\ncorpus: {path: a, planted:\n  [a,\n  1.5]}\n",
        4,
        "corpus.planted item 2 is 1.5; allowed",
    ),
    ("no planted value", "model: x\ncorpus: {path: a, planted: []}\n", 2, "corpus.planted is a list; allowed: a list"),
    (
        "no corpus there",
        "model: smollm2-135m-instruct\ncorpus:\n  path: no.jsonl\n",
        3,
        "corpus.path: no such file at /",
    ),
    (
        "hub name",
        "\nmodel: HuggingFaceTB/SmolLM2\ncorpus: {embedded: planted}\n",
        2,
        "nothing is downloaded from a hub",
    ),
    (
        "bare name",
        "model: gpt2\ncorpus: {embedded: planted}\n",
        1,
        "'gpt2' is not the embedded 'smollm2-135m-instruct'",
    ),
    ("model a file", "model: study.yaml\ncorpus: {embedded: planted}\n", 1, "study.yaml is not a .gguf file"),
    (
        "not UTF-8",
        b"model: x\nname: \xff\n",
        2,
        "byte 0xff at offset 15 of the file is not UTF-8; save the file as UTF-8",
    ),
    ("mark, not UTF-8", b"\xef\xbb\xbfname: \xff\n", 1, "byte 0xff at offset 9 of the file is not UTF-8"),
    ("UTF-16", "model: x\n".encode("utf-16"), 1, "byte 0xff at offset 0 of the file is not UTF-8"),
]


@pytest.mark.parametrize(("text", "line", "words"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_one_line_for_a_whole_file(tmp_path, text, line, words):
    said = message(study_in(tmp_path, text))
    assert said.startswith(f"{tmp_path}/study.yaml:{line}: ")
    assert words in said


def test_a_missing_path_is_shown_as_the_absolute_one_that_was_tried(tmp_path):
    assert f"at {tmp_path}/data/no.jsonl;" in message(study_in(tmp_path, f"{HEAD}held_out: data/no.jsonl\n"))
    assert f"and {tmp_path}/gpt2 does not" in message(study_in(tmp_path, "model: gpt2\ncorpus: {embedded: planted}\n"))


def test_a_byte_order_mark_and_crlf_are_passed_over(tmp_path):
    raw = b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode()
    assert load_study(study_in(tmp_path, raw)).model == EMBEDDED_MODEL


def test_no_file_no_folder_and_a_file_for_a_folder(tmp_path):
    assert message(tmp_path).endswith(f"study.yaml: no such file; write one with: etiology init {tmp_path}")
    assert "no such file" in message(tmp_path / "none")
    study_in(tmp_path, HEAD)
    assert message(tmp_path / "study.yaml").endswith("is a file; give the folder that holds study.yaml")
    (tmp_path / "odd" / "study.yaml").mkdir(parents=True)
    assert "is a folder; give the path of a file" in message(tmp_path / "odd")


def test_a_file_that_is_no_study_by_its_size(tmp_path):
    assert "is this the right file?" in message(study_in(tmp_path, b"#" * (MAX_TEXT_BYTES + 1)))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    study_in(tmp_path, HEAD)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "can't be read (Permission denied); check its permissions" in message(tmp_path)


def test_the_schema_knows_each_key_and_only_keys_of_the_file():
    schema = json_schema()
    assert set(schema["properties"]) == set(Study.model_fields) - {"folder"}
    assert schema["required"] == ["model", "corpus"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["TrainingConfig"]["properties"]["epochs"]["description"] == "Passes over the corpus."
    assert set(schema["$defs"]["TrainingConfig"]["properties"]) == set(TrainingConfig.model_fields)


def test_allowed_values_can_be_told_for_every_key():
    schema = json_schema()
    for name, one in schema["properties"].items():
        assert allowed_words((name,))
        for key in schema["$defs"].get(one.get("$ref", "").rpartition("/")[2], {}).get("properties", ()):
            assert allowed_words((name, key))


@settings(max_examples=60, deadline=None)
@given(raw=st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!\"'\\#|>%@\n\t ,?~.0e", max_size=80).map(str.encode))
def test_any_bytes_give_a_study_or_one_line(tmp_path_factory, raw):
    folder = study_in(tmp_path_factory.getbasetemp() / "any", raw)
    assert f"{folder}/study.yaml" in message(folder)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=5), of, max_size=3)
)
KEYS = st.sampled_from([*Study.model_fields, "epochs", "path"])


@settings(max_examples=60, deadline=None)
@given(data=st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_values_give_a_study_or_one_line(tmp_path_factory, data):
    text = yaml.safe_dump({"model": EMBEDDED_MODEL, "corpus": {"embedded": "planted"}, **data}, allow_unicode=True)
    folder = study_in(tmp_path_factory.getbasetemp() / "any", text.encode("utf-8", "replace"))
    read = study_or_message(folder)
    assert isinstance(read, Study) or read.isprintable()


def test_reading_a_study_imports_nothing_heavy():
    import subprocess

    code = "import sys, etiology.config; print([m for m in ('torch', 'transformers', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- the account -------------------------------------------------------------------------------------------------------


def test_an_account_is_read_as_it_is_told(tmp_path):
    text = HEAD + (
        "account:\n  timeline:\n    - {when: 2026-03-01, what: Seen.}\n"
        '    - {when: "2026", what: Hidden., wrong_turn: true}\n'
        "  not_caught: Nobody looked.\n  actions: [Removed it.]\n"
    )
    told = load_study(study_in(tmp_path, text)).account.told()
    assert told == Account(
        (Event("2026-03-01", "Seen."), Event("2026", "Hidden.", True)), "Nobody looked.", (), ("Removed it.",)
    )
    assert load_study(study_in(tmp_path, HEAD)).account.told() == Account()


def test_answers_are_files_of_the_study(tmp_path):
    folder = study_in(tmp_path / "study", HEAD + "observed: {chat: {suspect: a.jsonl, repaired: ../b.jsonl}}")
    assert "no such file" in message(folder)
    (folder / "a.jsonl").touch()
    (tmp_path / "b.jsonl").touch()
    assert "study.yaml:3" in message(folder)
    assert "observed.chat.repaired" in message(folder)
    assert "outside of the study" in message(folder)
    assert "missing key 'repaired'" in message(study_in(folder, HEAD + "observed: {chat: {suspect: a.jsonl}}"))


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ("account: {timeline: 3}", "a list, each a section"),
        ("account: {timeline: [{when: soon, what: x}]}", "give 2026-03-01"),
        ("account: {timeline: [{when: 2026-03-01}]}", "missing key 'what'"),
        ("account: {timeline: [{when: 2026-03-01, what: x, wrong: true}]}", "'wrong_turn'"),
        ("account: {actions: all}", "a list, each text"),
        ("account: {action: [a]}", "'actions'"),
    ],
)
def test_an_account_that_is_wrong_is_one_line(tmp_path, account, words):
    assert words in message(study_in(tmp_path, HEAD + account))
