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
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etiology.config import located, read_yaml
from etiology.core.errors import ScanError
from etiology.scan.arrays import coded, codes, floats, numbers, values
from etiology.scan.cascade import STAGES
from etiology.store import sha256_of_file

ACTIONS: Final = ("keep", "drop", "rewrite", "down-weight", "tag")
CHANGING: Final = ("rewrite", "tag")
CALIBRATED: Final = "calibrated"
UNREADABLE: Final = "no text that can be read"

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
        lines = path.read_text(encoding="utf-8").split("\n")
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
    """Decisions on the rows of a shard. ``rule`` [rows] is the number of the rule that fits; -1: none, -2: unreadable.

    ``action`` [rows] numbers ACTIONS; ``reason`` and ``by`` [rows] number their words.
    """

    rows: Any
    ids: Any
    rule: NDArray[np.int64]
    action: NDArray[np.int8]
    reason: NDArray[np.int16]
    reasons: tuple[str, ...]
    by: NDArray[np.int16]
    authors: tuple[str, ...]
    weight: NDArray[np.float32]

    def of(self, *actions: str) -> NDArray[np.bool_]:
        """[rows] whether the action is one of these."""
        return np.isin(self.action, [ACTIONS.index(name) for name in actions])

    @property
    def counts(self) -> dict[str, int]:
        """Documents by action."""
        found = np.bincount(self.action, minlength=len(ACTIONS)).tolist()
        return {name: count for name, count in zip(ACTIONS, found, strict=True) if count}

    @property
    def table(self) -> Any:
        """As DECISIONS has it."""
        columns = [
            self.rows.combine_chunks(),
            self.ids.combine_chunks(),
            coded(self.action, ACTIONS),
            coded(self.reason, self.reasons),
            coded(self.by, self.authors),
            numbers(self.weight),
        ]
        return pa.Table.from_arrays(columns, schema=DECISIONS)


def decide(ready: Ready, attributes: Any, groups: Sequence[str]) -> Decided:
    """The decisions on a shard, from its attributes. ``groups``: the group of each family of cues, by number."""
    rules = ready.policy.rules
    ids = attributes["id"].to_pylist()
    rule = np.full(len(ids), -1, dtype=np.int64)
    for number in reversed(range(len(rules))):
        rule[_fits(ready, number, attributes, ids, groups)] = number
    rule[codes(attributes["stage"], STAGES) == STAGES.index("bad")] = -2
    # The last two places of each list are found by -2 and -1.
    actions = [*(r.action for r in rules), ready.policy.unreadable, "keep"]
    weights = [*(r.weight if r.action == "down-weight" else 1.0 for r in rules), 1.0, 1.0]
    reason, reasons = rule % (len(rules) + 2), [*(r.reason for r in rules), UNREADABLE, "no rule fits"]
    by, authors = np.zeros(len(ids), dtype=np.int64), [ready.policy.author]
    for i in np.flatnonzero(rule >= 0).tolist():
        listed = (ready.lists[int(rule[i])] or {}).get(ids[i])
        if listed is not None:
            reason[i] = _number(
                reasons, f"{rules[int(rule[i])].reason}: {listed.reason}" if listed.reason else reasons[reason[i]]
            )
            by[i] = _number(authors, f"{authors[0]}, after {listed.by}" if listed.by else authors[0])
    return Decided(
        rows=attributes["row"],
        ids=attributes["id"],
        rule=rule,
        action=np.asarray([ACTIONS.index(a) for a in actions], np.int8)[rule],
        reason=reason.astype(np.int16),
        reasons=tuple(reasons),
        by=by.astype(np.int16),
        authors=tuple(authors),
        weight=np.asarray(weights, np.float32)[rule],
    )


def _number(words: list[str], word: str) -> int:
    """The number of a word, which is added if it is new. A list's own reasons are few, or its ranks: at most 32,000."""
    if word not in words:
        if len(words) >= np.iinfo(np.int16).max:
            raise ScanError("a list gives more than 32,000 different reasons; shorten them")
        words.append(word)
    return words.index(word)


def _fits(ready: Ready, number: int, attributes: Any, ids: list[str], groups: Sequence[str]) -> NDArray[np.bool_]:
    rule = ready.policy.rules[number]
    fits = np.ones(len(ids), dtype=np.bool_)
    if (listed := ready.lists[number]) is not None:
        # A study's decisions name kept documents too.
        wanted = {name for name, row in listed.items() if row.action != "keep"}
        fits &= np.fromiter((name in wanted for name in ids), np.bool_, len(ids))
    if rule.score is not None:
        least = ready.threshold if rule.score == CALIBRATED else rule.score
        fits &= floats(attributes["score"], -1.0) >= float(np.float32(least))
    if rule.cues is not None:
        fits &= _cued(attributes["spans"], {i for i, g in enumerate(groups) if g in rule.cues})
    return fits


def _cued(spans: Any, families: set[int]) -> NDArray[np.bool_]:
    out = np.zeros(len(spans), dtype=np.bool_)
    start = 0
    for chunk in spans.chunks:
        named = np.isin(values(chunk.flatten().field("family"), np.int16), sorted(families))
        owners = np.repeat(np.arange(len(chunk)), values(chunk.value_lengths(), np.int32))
        out[start + owners[named]] = True
        start += len(chunk)
    return out
