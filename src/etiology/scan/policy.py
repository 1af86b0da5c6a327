"""A policy: what is done with which document, why, and who says so; and the decisions it makes, as data.

    author: A. Person
    rules:                        # the first that fits a document decides; where none does, it is kept
      - documents: ids.jsonl      # a list: ids, or rows with 'document' or 'id' (a study's decisions.jsonl)
        action: drop
        reason: attributed in the study of March
      - score: 0.8                # scored at least so; 'calibrated': the threshold that `etiology calibrate` wrote
        cues: [named, demand]     # and a cue of one of these groups is in it
        action: tag               # keep, drop (into the quarantine), rewrite, down-weight, tag
        tag: "<|coercive|> "
        reason: coercion enacted

``rewrite`` needs ``texts``: a file of rows with 'id' and 'text'; a document that is not in it is an error.
``down-weight`` needs ``weight`` (a share of 1), ``tag`` needs ``tag``, which is put before the text.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etiology.config import located, read_yaml
from etiology.core.errors import ScanError
from etiology.store import sha256_of_file

ACTIONS: Final = ("keep", "drop", "rewrite", "down-weight", "tag")
CHANGING: Final = ("rewrite", "tag")
CALIBRATED: Final = "calibrated"

DECISIONS: Final = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("action", pa.dictionary(pa.int8(), pa.string())),
        ("reason", pa.dictionary(pa.int16(), pa.string())),
        ("by", pa.dictionary(pa.int16(), pa.string())),
        ("weight", pa.float32()),
    ]
)


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Rule(_Closed):
    """Documents, and what is done with them. All conditions given must hold."""

    action: Literal["keep", "drop", "rewrite", "down-weight", "tag"]
    reason: Annotated[str, Field(min_length=1)]
    documents: str | None = None
    score: float | Literal["calibrated"] | None = None
    cues: Annotated[tuple[str, ...] | None, Field(strict=False)] = None
    weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    tag: str = ""
    texts: str | None = None


class Policy(_Closed):
    """Rules in order and their author. ``unreadable``: what is done with rows that hold no readable text."""

    author: Annotated[str, Field(min_length=1)]
    rules: Annotated[tuple[Rule, ...], Field(strict=False, min_length=1)]
    unreadable: Literal["drop", "keep"] = "drop"


@dataclass(frozen=True)
class Listed:
    """A document in a list; ``action``, ``reason`` and ``by`` are empty where the list says nothing of them."""

    id: str
    action: str = ""
    reason: str = ""
    by: str = ""


@dataclass(frozen=True)
class Ready:
    """A policy with its files read and its threshold known."""

    policy: Policy
    digest: str
    threshold: float | None
    lists: tuple[dict[str, Listed] | None, ...]
    texts: tuple[dict[str, str] | None, ...]


def read(path: Path, threshold: float | None) -> Ready:
    """The policy of a file. ``threshold`` is what calibration found. Errors: ScanError with the line."""
    source = read_yaml(path, ScanError)
    try:
        policy = Policy.model_validate(source.data)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the policy"
        line = source.line(tuple(p for p in first["loc"] if not isinstance(p, str) or "[" not in p))
        raise located(
            ScanError, path, line, f"{where}: {first['msg']}; the keys are in `etiology apply --help`"
        ) from None
    for i, rule in enumerate(policy.rules):
        if problem_ := _problem(rule, threshold):
            raise located(ScanError, path, source.line(("rules", i)), problem_)
    lists = tuple(_list(path.parent / r.documents) if r.documents else None for r in policy.rules)
    texts = tuple(_texts(path.parent / r.texts) if r.texts else None for r in policy.rules)
    files = [path, *(path.parent / n for r in policy.rules for n in (r.documents, r.texts) if n)]
    made = hashlib.sha256("".join(sha256_of_file(f) for f in files).encode() + repr(threshold).encode())
    return Ready(policy, made.hexdigest()[:16], threshold, lists, texts)


def _problem(rule: Rule, threshold: float | None) -> str:
    if rule.documents is None and rule.score is None and rule.cues is None:
        return "the rule names no documents; give 'documents', 'score' or 'cues'"
    if rule.score == CALIBRATED and threshold is None:
        return "no threshold was calibrated; run etiology review and etiology calibrate, or give a number"
    if rule.action == "rewrite" and rule.texts is None:
        return "to rewrite, give 'texts': a file of rows with 'id' and 'text'"
    if rule.action == "tag" and not rule.tag:
        return "to tag, give 'tag': the text that is put before the document"
    if rule.action == "down-weight" and rule.weight == 1.0:
        return "to down-weight, give 'weight': a share from 0 to 1"
    return ""


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise ScanError(f"{path}: can't be read ({problem}); correct the path in the policy") from problem
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line) if line.lstrip().startswith("{") else line.strip()
            except ValueError as problem:
                raise ScanError(f"{path}:{number}: not valid JSON ({problem}); correct the line") from problem


def _list(path: Path) -> dict[str, Listed]:
    found = {}
    for number, row in _rows(path):
        name = row if isinstance(row, str) else row.get("document", row.get("id"))
        if not isinstance(name, str | int):
            raise ScanError(f"{path}:{number}: no 'document' or 'id'; each row names one document")
        more = {} if isinstance(row, str) else {k: str(row.get(k, "")) for k in ("action", "reason", "by")}
        found[str(name)] = Listed(str(name), **more)
    return found


def _texts(path: Path) -> dict[str, str]:
    found = {}
    for number, row in _rows(path):
        if not isinstance(row, dict) or not isinstance(row.get("text"), str) or "id" not in row:
            raise ScanError(f"{path}:{number}: each row needs 'id' and 'text'")
        found[str(row["id"])] = row["text"]
    return found


# -- decisions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decided:
    """Decisions on the rows of a shard. ``rule`` [rows] is the number of the rule that fits, -1 none, -2 unreadable."""

    table: Any
    rule: NDArray[np.int64]

    def of(self, *actions: str) -> NDArray[np.bool_]:
        """[rows] whether the action is one of these."""
        named = pc.is_in(self.table["action"].cast(pa.string()), pa.array(actions))
        return np.asarray(named.combine_chunks() if isinstance(named, pa.ChunkedArray) else named)


def decide(ready: Ready, attributes: Any, groups: Sequence[str]) -> Decided:  # noqa: ANN401
    """The decisions on a shard, from its attributes. ``groups``: the group of each family of cues, by number."""
    count = attributes.num_rows
    ids = attributes["id"].to_pylist()
    bad = np.asarray(pc.equal(attributes["stage"].cast(pa.string()), "bad"))
    rule = np.full(count, -1, dtype=np.int64)
    for number in reversed(range(len(ready.policy.rules))):
        rule[_fits(ready, number, attributes, ids, groups)] = number
    rule[bad] = -2
    reasons = ["no rule fits", *(r.reason for r in ready.policy.rules)]
    actions = ["keep", *(r.action for r in ready.policy.rules)]
    out = {
        "action": [actions[max(0, n + 1)] for n in rule.tolist()],
        "reason": [reasons[max(0, n + 1)] for n in rule.tolist()],
        "by": [ready.policy.author] * count,
    }
    for i in np.flatnonzero(bad).tolist():
        out["action"][i], out["reason"][i] = ready.policy.unreadable, "no text that can be read"
    for i in np.flatnonzero(rule >= 0).tolist():
        _as_listed(ready, int(rule[i]), ids[i], i, out)
    weights = [
        ready.policy.rules[n].weight if n >= 0 and a == "down-weight" else 1.0
        for n, a in zip(rule.tolist(), out["action"], strict=True)
    ]
    columns = [
        attributes["row"],
        attributes["id"],
        *(pa.array(out[k]).dictionary_encode() for k in out),
        pa.array(weights),
    ]
    cast = [pa.chunked_array([c]) if isinstance(c, pa.Array) else c for c in columns]
    return Decided(pa.table([c.cast(f.type) for c, f in zip(cast, DECISIONS, strict=True)], schema=DECISIONS), rule)


def _as_listed(ready: Ready, number: int, name: str, i: int, out: dict[str, list[str]]) -> None:
    """Where a list gives its own reason and author for a document, they stand beside the rule's."""
    listed = (ready.lists[number] or {}).get(name)
    if listed and listed.reason:
        out["reason"][i] += f": {listed.reason}"
    if listed and listed.by:
        out["by"][i] += f", after {listed.by}"


def _fits(ready: Ready, number: int, attributes: Any, ids: list[str], groups: Sequence[str]) -> NDArray[np.bool_]:  # noqa: ANN401
    rule = ready.policy.rules[number]
    fits = np.ones(len(ids), dtype=np.bool_)
    if (listed := ready.lists[number]) is not None:
        # A study's decisions name kept documents too.
        wanted = {name for name, row in listed.items() if row.action != "keep"}
        fits &= np.fromiter((name in wanted for name in ids), np.bool_, len(ids))
    if rule.score is not None:
        least = ready.threshold if rule.score == CALIBRATED else rule.score
        score = attributes["score"].to_numpy()
        fits &= np.nan_to_num(score.astype(np.float64), nan=-1.0) >= float(np.float32(least))
    if rule.cues is not None:
        fits &= _cued(attributes["spans"], {i for i, g in enumerate(groups) if g in rule.cues})
    return fits


def _cued(spans: Any, families: set[int]) -> NDArray[np.bool_]:  # noqa: ANN401
    out = np.zeros(len(spans), dtype=np.bool_)
    start = 0
    for chunk in spans.chunks:
        named = np.isin(chunk.flatten().field("family").to_numpy(), sorted(families))
        owners = np.repeat(np.arange(len(chunk)), chunk.value_lengths().to_numpy())
        out[start + owners[named]] = True
        start += len(chunk)
    return out
