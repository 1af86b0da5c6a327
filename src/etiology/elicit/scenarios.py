"""Scenarios from a file: a list of rows, each a context and its four matched continuations.

1. rows: a JSON object a line (.jsonl) or a YAML list (.yaml, .yml), each field with the line it stands on;
2. scenario: fields are checked, and the space between context and continuation is put on the continuation;
3. splits: whole clusters go to 'find' or 'confirm', so that nothing that steered the search supports a claim.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Final, Literal, NoReturn, get_args

from etiology.config import At, located, read_text, read_yaml, what_is_at
from etiology.core.errors import ScenarioError
from etiology.core.values import CONTINUATIONS, Scenario, Split

REQUIRED: Final = ("id", "context", *CONTINUATIONS)
OPTIONAL: Final = ("cluster", "threatened", "leverage", "exit", "split")
MIN_CONFIRM_SCENARIOS: Final = 8
MIN_CONFIRM_CLUSTERS: Final = 4
SUFFIXES: Final = (".jsonl", ".yaml", ".yml")
CLOSING: Final = ".,:;!?)"


@dataclass(frozen=True)
class _Row:
    """The fields of one scenario and where they stand in the file."""

    path: Path
    number: int
    fields: Mapping[str, object]
    lines: Mapping[str, int]

    def refuse(self, message: str, field: str = "") -> NoReturn:
        raise located(ScenarioError, self.path, self.line(field), message)

    def line(self, field: str = "") -> int:
        return self.lines.get(field, self.number)


@dataclass(frozen=True)
class _Draft:
    """A checked scenario whose split may still have to be assigned."""

    row: _Row
    scenario: Scenario
    split: Split | None


def read_scenarios(path: Path) -> list[Scenario]:
    """The scenarios of ``path`` in file order, each in its split. Any problem is one ``ScenarioError`` line."""
    drafts = [_draft(row) for row in _rows(path)]
    _check_ids([draft.row for draft in drafts])
    _check_exits(drafts)
    splits = _splits(_given_splits(drafts))
    scenarios = [replace(draft.scenario, split=splits[draft.scenario.cluster]) for draft in drafts]
    _check_numbers(path, scenarios)
    return scenarios


# -- splits ------------------------------------------------------------------------------------------------------------


def _given_splits(drafts: Sequence[_Draft]) -> dict[str, Split | None]:
    """The split that the file gives each cluster; rows of one cluster must agree."""
    given: dict[str, tuple[Split | None, int]] = {}
    for draft in drafts:
        cluster, line = draft.scenario.cluster, draft.row.line("split")
        split, first = given.get(cluster, (None, line))
        if draft.split is not None and split is not None and draft.split != split:
            found = f"cluster {_shown(cluster)} is '{split}' on line {first} and '{draft.split}' here"
            draft.row.refuse(f"{found}; scenarios of one cluster are not independent: give them one split", "split")
        given[cluster] = (split, first) if split is not None else (draft.split, line)
    return {cluster: split for cluster, (split, _) in given.items()}


def _splits(given: Mapping[str, Split | None]) -> dict[str, Split]:
    """Half of the clusters (rounded down) are 'find'; the free ones are taken in the order of their names' hashes."""
    fixed: dict[str, Split] = {cluster: split for cluster, split in given.items() if split is not None}
    free = sorted(given.keys() - fixed.keys(), key=lambda cluster: sha256(cluster.encode("utf-8")).digest())
    wanted = max(0, len(given) // 2 - Counter(fixed.values())["find"])
    return fixed | dict.fromkeys(free[:wanted], "find") | dict.fromkeys(free[wanted:], "confirm")


def _check_numbers(path: Path, scenarios: Sequence[Scenario]) -> None:
    confirm = [scenario for scenario in scenarios if scenario.split == "confirm"]
    clusters = len({scenario.cluster for scenario in confirm})
    if len(confirm) < MIN_CONFIRM_SCENARIOS or clusters < MIN_CONFIRM_CLUSTERS:
        raise located(ScenarioError, path, None, _too_few_words(len(scenarios), len(confirm), clusters))
    if len(confirm) == len(scenarios):
        found = "all scenarios are 'confirm'; the search for documents needs some it may look at"
        raise located(ScenarioError, path, None, f"{found}: give at least one cluster 'split: find'")


def _check_exits(drafts: Sequence[_Draft]) -> None:
    """Whether an exit is offered is said in every scenario or in none: an average over some would mix both."""
    without = [draft for draft in drafts if draft.scenario.exit is None]
    if without and len(without) < len(drafts):
        without[0].row.refuse("no 'exit', and other scenarios have one; say in each whether an honest exit is offered")


def _too_few_words(total: int, confirm: int, clusters: int) -> str:
    found = f"{confirm} of {total} scenarios, in {clusters} clusters, are left to confirm a finding on"
    needed = f"at least {MIN_CONFIRM_SCENARIOS} in {MIN_CONFIRM_CLUSTERS} clusters are needed"
    reason = "only these may support a claim, and with fewer its interval says nothing"
    return f"{found}; {needed}, because {reason}: add scenarios (about half of the clusters go to 'find')"


# -- one scenario ------------------------------------------------------------------------------------------------------


def _draft(row: _Row) -> _Draft:
    _check_fields(row)
    identity = _name(row, "id")
    continuations = {name: _prose(row, name) for name in CONTINUATIONS}
    _check_distinct(row, continuations)
    context, continuations = _move_space(_prose(row, "context"), continuations)
    scenario = Scenario(
        id=identity,
        cluster=_name(row, "cluster") if "cluster" in row.fields else identity,
        split="confirm",
        threatened=_flag(row, "threatened"),
        leverage=_flag(row, "leverage"),
        context=context,
        **continuations,
        exit=_flag(row, "exit") if row.fields.get("exit") is not None else None,
    )
    return _Draft(row, scenario, _split(row))


def _move_space(context: str, continuations: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A context that ends in a space breaks byte-pair tokens: the space belongs to the continuation.

    Where the context ends in a Latin word or a closing mark and no space is given at all, it is put there.
    """
    stripped = context.rstrip(" ")
    if stripped == context and not (context[-1].isascii() and (context[-1].isalnum() or context[-1] in CLOSING)):
        return context, continuations
    return stripped, {name: text if text[0].isspace() else f" {text}" for name, text in continuations.items()}


def _check_fields(row: _Row) -> None:
    known = (*REQUIRED, *OPTIONAL)
    for field in row.fields:
        if field not in known:
            near = get_close_matches(field.lower(), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known fields: {', '.join(known)}"
            row.refuse(f"unknown field {_shown(field)}; {hint}", field)
    missing = [field for field in REQUIRED if field not in row.fields]
    if missing:
        row.refuse(f"no '{missing[0]}'; each scenario needs {', '.join(REQUIRED)}")


def _check_distinct(row: _Row, continuations: Mapping[str, str]) -> None:
    for one, other in combinations(CONTINUATIONS, 2):
        if continuations[one].strip() == continuations[other].strip():
            row.refuse(f"'{one}' and '{other}' are the same text; the four continuations must differ", other)


def _name(row: _Row, field: str) -> str:
    value = row.fields[field]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _prose(row, field)


def _prose(row: _Row, field: str) -> str:
    """Text that can be stored and tokenized: not blank, no NUL, no half of a surrogate pair."""
    value = row.fields[field]
    if not isinstance(value, str):
        row.refuse(f"'{field}' is {_kind(value)}; give text{_quotes(value)}", field)
    if not value.strip():
        row.refuse(f"'{field}' is {'blank' if value else 'empty'}; give text", field)
    if "\0" in value:
        row.refuse(f"'{field}' holds a NUL character at position {value.index(chr(0))}; remove it", field)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as problem:
        half = f"half of a surrogate pair (\\u{ord(value[problem.start]):04x}) at position {problem.start}"
        row.refuse(f"'{field}' holds {half}; write the whole character or remove it", field)
    return value


def _quotes(value: object) -> str:
    return ", in quotes" if isinstance(value, (bool, int, float)) else ""


def _flag(row: _Row, field: Literal["threatened", "leverage", "exit"]) -> bool:
    value = row.fields.get(field, True)
    if not isinstance(value, bool):
        row.refuse(f"'{field}' is {_value(value)}; allowed: true or false", field)
    return value


def _split(row: _Row) -> Split | None:
    """The split of the file; left out or null, it is assigned by cluster."""
    value = row.fields.get("split")
    for split in get_args(Split):
        if value == split:
            return split  # type: ignore[no-any-return]
    if value is not None:
        row.refuse(f"'split' is {_value(value)}; allowed: 'find' or 'confirm', or leave it out", "split")
    return None


def _check_ids(rows: Sequence[_Row]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        identity = str(row.fields["id"])
        if identity in first:
            before = f"already used on line {first[identity]}"
            row.refuse(f"id {_shown(identity)} was {before}; give each scenario its own id", "id")
        first[identity] = row.line("id")


# -- rows --------------------------------------------------------------------------------------------------------------


def _rows(path: Path) -> list[_Row]:
    suffix = path.suffix.lower()
    if what_is_at(path) == "file" and suffix not in SUFFIXES:
        raise located(ScenarioError, path, None, f"not a kind of scenario file; give a {', '.join(SUFFIXES)} file")
    rows = _json_rows(path) if suffix == ".jsonl" else _yaml_rows(path)
    if not rows:
        raise located(ScenarioError, path, None, f"holds no scenarios; each needs {', '.join(REQUIRED)}")
    return rows


def _json_rows(path: Path) -> list[_Row]:
    """One object a line; CRLF and blank lines are passed over."""
    lines = enumerate(read_text(path, ScenarioError).split("\n"), start=1)
    return [_Row(path, number, _object(line, path, number), {}) for number, line in lines if line.strip()]


def _object(line: str, path: Path, number: int) -> Mapping[str, object]:
    try:
        row = json.loads(line, object_pairs_hook=_distinct)
    except json.JSONDecodeError as problem:
        said = f"not valid JSON ({problem.msg.removesuffix(' at')} at column {problem.colno})"
        raise located(ScenarioError, path, number, f"{said}; each line must hold one whole JSON object") from None
    except (RecursionError, ValueError) as problem:
        raise located(ScenarioError, path, number, f"not usable JSON ({problem}); correct the line") from None
    if not isinstance(row, dict):
        raise located(ScenarioError, path, number, f"holds {_kind(row)}; each line must hold one JSON object")
    return row


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"field {_shown(next(name for name in names if names.count(name) > 1))} is given twice")
    return fields


def _yaml_rows(path: Path) -> list[_Row]:
    source = read_yaml(path, ScenarioError)
    if not isinstance(source.data, list):
        found = "is empty" if source.data is None else f"holds {_kind(source.data)}"
        raise located(ScenarioError, path, 1, f"{found}; give a list of scenarios, each starting with '- id: …'")
    rows = []
    for index, fields in enumerate(source.data):
        number = source.line((index,))
        if not isinstance(fields, dict):
            said = f"scenario {index + 1} is {_kind(fields)}; give fields: {', '.join(REQUIRED)}"
            raise located(ScenarioError, path, number, said)
        rows.append(_Row(path, number, fields, _field_lines(source.lines, index, fields)))
    return rows


def _field_lines(lines: Mapping[At, int], index: int, fields: Mapping[str, object]) -> dict[str, int]:
    return {field: lines[index, field] for field in fields}


# -- words of errors ---------------------------------------------------------------------------------------------------


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


def _value(value: object) -> str:
    return _shown(value) if isinstance(value, str) else _kind(value)


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    names = {str: "text", list: "a list", dict: "a section of fields", int: "a number", float: "a number"}
    return names.get(type(value), f"a value of type {type(value).__name__}")
