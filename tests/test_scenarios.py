"""A scenario file: what is read, how its clusters are split, and the one line that each mistake gives."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from etiology.core.errors import ScenarioError
from etiology.core.values import CONTINUATIONS, Scenario
from etiology.elicit.scenarios import MIN_CONFIRM_CLUSTERS, MIN_CONFIRM_SCENARIOS, read_scenarios

Row = dict[str, object]


def row(number: int, **changed: object) -> Row:
    return {"id": f"s{number}", "context": "It said:", **{name: f" {name}." for name in CONTINUATIONS}, **changed}


def rows(number: int = 16) -> list[Row]:
    return [row(n) for n in range(number)]


def with_row(**changed: object) -> list[Row]:
    """Good scenarios, of which the third is changed; a field changed to ... is left out."""
    third = {field: value for field, value in row(2, **changed).items() if value is not ...}
    return [*rows()[:2], third, *rows()[3:]]


def json_file(folder: Path, some: list[Row], name: str = "s.jsonl") -> Path:
    return raw_file(folder, "".join(f"{json.dumps(one)}\n" for one in some).encode(), name)


def yaml_file(folder: Path, some: list[Row], name: str = "s.yaml") -> Path:
    return raw_file(folder, yaml.safe_dump(some, sort_keys=False, allow_unicode=True).encode(), name)


def raw_file(folder: Path, raw: bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def message(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        read_scenarios(path)
    said = str(caught.value)
    assert said.isprintable(), "one line that a terminal can show"
    assert said.startswith(str(path))
    return said


def scenarios_or_message(path: Path) -> list[Scenario] | str:
    try:
        return read_scenarios(path)
    except ScenarioError as problem:
        return str(problem)


def by_id(path: Path) -> dict[str, Scenario]:
    return {scenario.id: scenario for scenario in read_scenarios(path)}


def test_each_kind_of_file_gives_the_same_scenarios_in_its_order(tmp_path):
    read = read_scenarios(json_file(tmp_path, rows()))
    assert [scenario.id for scenario in read] == [one["id"] for one in rows()]
    assert read_scenarios(yaml_file(tmp_path, rows())) == read
    assert read_scenarios(yaml_file(tmp_path, rows(), "S.YML")) == read
    marked = b"\xef\xbb\xbf" + json_file(tmp_path, rows()).read_bytes().replace(b"\n", b"\r\n\r\n")
    assert read_scenarios(raw_file(tmp_path, marked, "crlf.jsonl")) == read


def test_defaults(tmp_path):
    scenario = by_id(json_file(tmp_path, rows()))["s3"]
    assert (scenario.cluster, scenario.threatened, scenario.leverage) == ("s3", True, True)
    assert scenario.context == "It said:"
    assert scenario.continuations == (" coerce.", " mention.", " threaten.", " bland.")


def test_what_is_given_is_kept(tmp_path):
    given = with_row(id=7, cluster=8, threatened=False, leverage=False, split="find")
    for path in (json_file(tmp_path, given), yaml_file(tmp_path, given)):
        scenario = by_id(path)["7"]
        assert (scenario.cluster, scenario.threatened, scenario.leverage) == ("8", False, False)
        assert scenario.split == "find"


def test_whether_an_exit_is_offered_is_said_in_all_scenarios_or_in_none(tmp_path):
    assert {scenario.exit for scenario in read_scenarios(json_file(tmp_path, rows()))} == {None}
    said = [{**row, "exit": bool(number % 2)} for number, row in enumerate(rows())]
    assert [scenario.exit for scenario in read_scenarios(json_file(tmp_path, said))] == [row["exit"] for row in said]
    del said[3]["exit"]
    with pytest.raises(ScenarioError, match=r":4: no 'exit', and other scenarios have one"):
        read_scenarios(json_file(tmp_path, said))


def test_yaml_text_stays_text(tmp_path):
    raw = yaml_file(tmp_path, rows()).read_text().replace("bland: ' bland.'", "bland: no", 1).encode()
    assert by_id(raw_file(tmp_path, raw, "no.yaml"))["s0"].bland.strip() == "no"


SPACES = [
    # context, continuation, the context read, the continuation read
    ("It said: ", "Yes", "It said:", " Yes"),
    ("It said:  ", " Yes", "It said:", " Yes"),
    ("It said:\n ", "Yes", "It said:\n", " Yes"),
    ("It said:", "Yes", "It said:", " Yes"),
    ("It said", "yes", "It said", " yes"),
    ('It said: "', "Yes", 'It said: "', "Yes"),
    ("它说", "好", "它说", "好"),
    ("It said:", " Yes", "It said:", " Yes"),
    ("It said:\n", "Yes", "It said:\n", "Yes"),
]


@pytest.mark.parametrize(("context", "text", "context_read", "text_read"), SPACES)
def test_the_space_before_a_continuation_belongs_to_it(tmp_path, context, text, context_read, text_read):
    given = with_row(context=context, **{name: f"{text} {name}" for name in CONTINUATIONS})
    scenario = by_id(json_file(tmp_path, given))["s2"]
    assert scenario.context == context_read
    assert scenario.continuations == tuple(f"{text_read} {name}" for name in CONTINUATIONS)


@settings(max_examples=60, deadline=None)
@given(
    context=st.text("a \n", min_size=1).filter(str.strip),
    texts=st.lists(st.text("ab", min_size=1), min_size=4, max_size=4, unique=True),
)
def test_moving_the_space_loses_none_and_leaves_no_context_that_ends_in_one(tmp_path_factory, context, texts):
    given = with_row(context=context, **dict(zip(CONTINUATIONS, texts, strict=True)))
    scenario = by_id(json_file(tmp_path_factory.getbasetemp(), given))["s2"]
    assert not scenario.context.endswith(" ")
    whole = context.rstrip(" ") + " " * (not context.endswith("\n"))
    assert [scenario.context + text for text in scenario.continuations] == [whole + text for text in texts]


def splits_of(scenarios: list[Scenario]) -> dict[str, set[str]]:
    splits: dict[str, set[str]] = defaultdict(set)
    for scenario in scenarios:
        splits[scenario.cluster].add(scenario.split)
    return splits


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(24)), clusters=st.integers(8, 12))
def test_clusters_stay_together_whatever_the_order(tmp_path_factory, order, clusters):
    some = [row(n, cluster=f"c{n % clusters}") for n in range(24)]
    folder = tmp_path_factory.getbasetemp()
    read = read_scenarios(json_file(folder, some))
    splits = splits_of(read)
    assert all(len(split) == 1 for split in splits.values())
    assert sum(split == {"find"} for split in splits.values()) == clusters // 2
    again = by_id(json_file(folder, [some[n] for n in order]))
    assert again == {scenario.id: scenario for scenario in read}


def test_the_split_of_a_name_is_the_same_on_every_machine(tmp_path):
    some = [row(n, cluster=f"c{n // 2}") for n in range(16)]
    read = read_scenarios(json_file(tmp_path, some))
    assert sorted({scenario.cluster for scenario in read if scenario.split == "find"}) == ["c0", "c3", "c4", "c6"]


def test_a_split_given_on_one_row_holds_for_its_cluster(tmp_path):
    some = [row(n, cluster=f"c{n // 2}") for n in range(20)]
    some[1]["split"] = "find"
    some[2]["split"] = "confirm"
    some[4]["split"] = None
    splits = splits_of(read_scenarios(json_file(tmp_path, some)))
    assert splits["c0"] == {"find"}
    assert splits["c1"] == {"confirm"}
    assert sum(split == {"find"} for split in splits.values()) == 5


def test_more_than_half_may_be_given_to_find(tmp_path):
    some = [row(n, cluster=f"c{n // 2}", split="find" if n < 12 else None) for n in range(20)]
    splits = splits_of(read_scenarios(json_file(tmp_path, some)))
    assert [cluster for cluster, split in splits.items() if split == {"find"}] == [f"c{n}" for n in range(6)]


BAD_ROWS: list[tuple[str, Row, str, str]] = [
    # what is wrong, the change to the third row, the field its YAML line is that of ("" for the row), the message
    ("unknown", {"Contxt": "a"}, "Contxt", "unknown field 'Contxt'; did you mean 'context'?"),
    ("like no other", {"zzz": 1}, "zzz", "unknown field 'zzz'; known fields: id, context, coerce, mention"),
    ("missing", {"bland": ...}, "", "no 'bland'; each scenario needs id, context, coerce, mention, threaten, bland"),
    ("no id", {"id": ...}, "", "no 'id'; each scenario needs id"),
    ("number", {"context": 3}, "context", "'context' is a number; give text, in quotes"),
    ("boolean", {"bland": True}, "bland", "'bland' is true; give text, in quotes"),
    ("null", {"coerce": None}, "coerce", "'coerce' is empty; give text"),
    ("list", {"coerce": ["a"]}, "coerce", "'coerce' is a list; give text"),
    ("section", {"coerce": {"a": "b"}}, "coerce", "'coerce' is a section of fields; give text"),
    ("empty", {"mention": ""}, "mention", "'mention' is empty; give text"),
    ("blank", {"mention": " \n "}, "mention", "'mention' is blank; give text"),
    ("NUL", {"threaten": "a\0"}, "threaten", "'threaten' holds a NUL character at position 1; remove it"),
    ("boolean id", {"id": True}, "id", "'id' is true; give text, in quotes"),
    ("fraction id", {"id": 1.5}, "id", "'id' is a number; give text, in quotes"),
    ("blank id", {"id": " "}, "id", "'id' is blank; give text"),
    ("null cluster", {"cluster": None}, "cluster", "'cluster' is empty; give text"),
    ("duplicate", {"id": "s1"}, "id", "id 's1' was already used on line "),
    ("flag", {"threatened": "yes"}, "threatened", "'threatened' is 'yes'; allowed: true or false"),
    ("number flag", {"leverage": 1}, "leverage", "'leverage' is a number; allowed: true or false"),
    ("split", {"split": "test"}, "split", "'split' is 'test'; allowed: 'find' or 'confirm', or leave it out"),
    ("list split", {"split": ["find"]}, "split", "'split' is a list; allowed: 'find' or 'confirm'"),
    ("same", {"bland": "coerce. "}, "bland", "'coerce' and 'bland' are the same text; the four continuations must"),
]


@pytest.mark.parametrize(
    ("changed", "field", "words"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS]
)
def test_a_scenario_that_cannot_be_used(tmp_path, changed, field, words):
    some = with_row(**changed)
    path = json_file(tmp_path, some)
    assert message(path).startswith(f"{path}:3: {words}")
    path = yaml_file(tmp_path, some)
    text = path.read_text().split("\n")
    third = [number for number, line in enumerate(text, start=1) if line.startswith("- ")][2]
    line = next((n for n, one in enumerate(text, start=1) if n >= third and f"{field}:" in one), third)
    assert message(path).startswith(f"{path}:{line if field else third}: {words}")


def test_one_cluster_in_two_splits(tmp_path):
    some = rows()
    some[4] |= {"cluster": "c", "split": "find"}
    some[5] |= {"cluster": "c"}
    some[6] |= {"cluster": "c", "split": "confirm"}
    path = json_file(tmp_path, some)
    said = "cluster 'c' is 'find' on line 5 and 'confirm' here; scenarios of one cluster are not independent"
    assert message(path).startswith(f"{path}:7: {said}: give them one split")


BAD_FILES = [
    ("empty.jsonl", b"", "", "holds no scenarios; each needs id, context"),
    ("blank.jsonl", b"\n\n", "", "holds no scenarios"),
    ("empty.yaml", b"# none\n", ":1", "is empty; give a list of scenarios, each starting with '- id: …'"),
    ("none.yaml", b"[]\n", "", "holds no scenarios"),
    ("section.yaml", b"a: b\n", ":1", "holds a section of fields; give a list of scenarios"),
    ("words.yaml", b"- id: a\n- b\n", ":2", "scenario 2 is text; give fields: id, context"),
    ("twice.yaml", b"- id: a\n  id: b\n", ":2", "key 'id' is given twice in item 1, first on line 1; keep one"),
    ("tab.yaml", b"- id: a\n\tcontext: b\n", ":2", "not valid YAML: a tab where spaces belong; indent with spaces"),
    ("alias.yaml", b"- &a {id: a}\n- *a\n", ":1", "anchors (&), aliases (*) and tags (!) are not read"),
    ("deep.yaml", b"[" * 1000, ":1", "is nested too deeply"),
    ("cut.jsonl", b'{"id": 1}\n{"id"\n', ":2", "not valid JSON (Expecting ':' delimiter at column 6); each line must"),
    ("list.jsonl", b"[1]\n", ":1", "holds a list; each line must hold one JSON object"),
    ("twice.jsonl", b'{"id": 1, "id": 2}\n', ":1", "not usable JSON (field 'id' is given twice); correct the line"),
    ("deep.jsonl", b"[" * 200_000, ":1", "not usable JSON (maximum recursion depth"),
    ("half.jsonl", b'{"id": "\\ud800"}\n', ":1", "no 'context'; each scenario needs"),
    (
        "bytes.jsonl",
        b'\n{"id": "\xff"}\n',
        ":2",
        "byte 0xff at offset 9 of the file is not UTF-8; save the file as UTF-8",
    ),
    ("bytes.yaml", b"- id: \xff\n", ":1", "byte 0xff at offset 6 of the file is not UTF-8"),
    ("s.csv", b"id,context\n", "", "not a kind of scenario file; give a .jsonl, .yaml, .yml file"),
]


@pytest.mark.parametrize(("name", "raw", "line", "words"), BAD_FILES, ids=[case[0] for case in BAD_FILES])
def test_a_file_that_cannot_be_used(tmp_path, name, raw, line, words):
    path = raw_file(tmp_path, raw, name)
    assert message(path).startswith(f"{path}{line}: {words}")


def test_half_of_a_surrogate_pair(tmp_path):
    path = json_file(tmp_path, with_row(bland="ab\ud800"))
    assert message(path).startswith(f"{path}:3: 'bland' holds half of a surrogate pair (\\ud800) at position 2; write")


def test_no_file_and_a_folder(tmp_path):
    for name in ("no.jsonl", "no.yaml", "no"):
        assert message(tmp_path / name).endswith(f"no such file (tried {tmp_path}/{name}); correct the path")
    assert message(tmp_path).endswith("is a folder; give the path of a file")


TOO_FEW = [
    # number of scenarios, clusters, what is left to confirm with
    (1, 1, "1 of 1 scenarios, in 1 clusters"),
    (14, 14, "7 of 14 scenarios, in 7 clusters"),
    (60, 6, "30 of 60 scenarios, in 3 clusters"),
]


@pytest.mark.parametrize(("number", "clusters", "found"), TOO_FEW)
def test_too_few_to_confirm_a_finding(tmp_path, number, clusters, found):
    path = json_file(tmp_path, [row(n, cluster=f"c{n % clusters}") for n in range(number)])
    said = message(path)
    assert said.startswith(f"{path}: {found}, are left to confirm a finding on; at least 8 in 4 clusters are needed")
    assert said.endswith("add scenarios (about half of the clusters go to 'find')")


def test_the_smallest_files_that_are_enough(tmp_path):
    for number, clusters in ((16, 8), (15, 15)):
        read = read_scenarios(json_file(tmp_path, [row(n, cluster=f"c{n % clusters}") for n in range(number)]))
        confirm = [scenario for scenario in read if scenario.split == "confirm"]
        assert len(confirm) >= MIN_CONFIRM_SCENARIOS
        assert len({scenario.cluster for scenario in confirm}) >= MIN_CONFIRM_CLUSTERS


def test_all_to_confirm_leaves_none_to_find_with(tmp_path):
    path = json_file(tmp_path, [row(n, split="confirm") for n in range(16)])
    assert message(path).endswith("needs some it may look at: give at least one cluster 'split: find'")


@settings(max_examples=60, deadline=None)
@given(
    raw=st.binary(max_size=100) | st.text("-: {}[]\"'\nidcontext,\\", max_size=80).map(str.encode),
    name=st.sampled_from(["any.jsonl", "any.yaml"]),
)
def test_any_bytes_raise_nothing_but_a_scenario_error(tmp_path_factory, raw, name):
    message(raw_file(tmp_path_factory.getbasetemp(), raw, name))


JSON: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
)
FIELDS = st.sampled_from(["id", "cluster", "context", "split", "threatened", "bland", "other"])


@settings(max_examples=60, deadline=None)
@given(changed=st.dictionaries(FIELDS, JSON))
def test_any_row_raises_nothing_but_a_scenario_error(tmp_path_factory, changed):
    path = json_file(tmp_path_factory.getbasetemp(), with_row(**changed))
    read = scenarios_or_message(path)
    assert read.isprintable() if isinstance(read, str) else len(read) == len(rows())
