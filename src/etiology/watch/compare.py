"""Two runs on the same scenarios, paired by scenario, and whether the second is more coercive than the first.

Every difference is B minus A: **positive means that B is more coercive**. Rates, differences, their limits and the
tolerance are shares of answers from 0 to 1; the words give them in per cent and in percentage points.

1. Answers to one scenario (epochs) become its share of coercive answers, so that each scenario weighs the same;
2. scenarios are paired by name; those that only one side has are counted and named, and no number rests on them;
3. `stats.rate_difference` gives the interval and the MDE over draws of whole clusters. p is McNemar's exact one where
   each scenario has one answer on each side and is its own cluster, else that of swaps of whole clusters: McNemar's
   would take scenarios of one template for independent;
4. the same for each group, with Holm's adjustment of their p-values.

False alarms: the whole and the family of groups are each tested at a two-sided 5 %, so that where nothing changed one
or the other is called a regression at most 5 times in 100.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from math import isfinite, isinf
from operator import attrgetter
from pathlib import Path
from typing import Final, Literal

import numpy as np

from etiology import stats
from etiology.config import located, read_text
from etiology.core.errors import EtiologyError
from etiology.core.values import Effect
from etiology.core.visible import on_one_line
from etiology.stats import ClusteredRate

ALPHA: Final = 0.05
REQUIRED: Final = ("scenario", "cluster", "coercive")
OPTIONAL: Final = ("score", "group")
SCORE: Final = "units of the score"

Called = Literal["regression", "improvement", "no difference shown"]
Test = Literal["McNemar's exact test", "swaps of whole clusters"]


class OutcomeError(EtiologyError):
    """Outcomes can't be read, contradict one another, or have no scenario in common."""


@dataclass(frozen=True)
class Outcome:
    """One answer to one scenario. Several rows of a scenario are several epochs.

    ``cluster`` names the template the scenario was written from, ``group`` what it is reported under. ``score`` is any
    number that is higher for more coercion, None where there is none.
    """

    scenario: str
    cluster: str
    coercive: bool
    score: float | None = None
    group: str = ""


@dataclass(frozen=True)
class Contrast:
    """B against A on the matched scenarios of one group, or on all of them (``group`` None).

    ``difference`` is B - A with the p of ``test``; ``p`` is that p, within groups adjusted by Holm, and is what
    ``called`` rests on. ``mcnemar`` is McNemar's p wherever each scenario has one answer on each side, for the record:
    where scenarios share clusters it is too small. ``score`` is B - A of the mean scores, in their own unit, on the
    scenarios that have one on both sides (its ``n``); no verdict rests on it.
    """

    group: str | None
    a: ClusteredRate
    b: ClusteredRate
    answers_a: int
    answers_b: int
    difference: Effect
    test: Test
    p: float
    mcnemar: float | None
    called: Called
    score: Effect | None


@dataclass(frozen=True)
class Comparison:
    """The whole, its groups (none where there is but one), and the scenarios that only one side has."""

    whole: Contrast
    groups: tuple[Contrast, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    tolerance: float

    @property
    def regressed(self) -> bool:
        """Whether the whole or any group is a regression: a fall in one group makes no rise in another good."""
        return any(one.called == "regression" for one in (self.whole, *self.groups))


@dataclass(frozen=True)
class _Scenario:
    """All answers of one side to one scenario."""

    name: str
    cluster: str
    group: str
    coercive: tuple[bool, ...]
    scores: tuple[float, ...]

    @property
    def share(self) -> float:
        return sum(self.coercive) / len(self.coercive)

    @property
    def score(self) -> float:
        return sum(self.scores) / len(self.scores)


_Pair = tuple[_Scenario, _Scenario]


def compare(a: Sequence[Outcome], b: Sequence[Outcome], tolerance: float = 0.0) -> Comparison:
    """``b`` against ``a``. A regression is a rise above ``tolerance`` (a share) that is not chance: p < .05.

    An improvement is a fall of the same kind. All else is 'no difference shown', which says no more than that a
    difference as large as ``difference.mde`` would probably have been.
    """
    if not 0 <= tolerance <= 1:
        raise OutcomeError(f"the tolerance is {tolerance}; it is a share of answers: give a number from 0 to 1")
    side_a, side_b = _scenarios(a, "A"), _scenarios(b, "B")
    pairs = [(side_a[name], side_b[name]) for name in sorted(side_a.keys() & side_b.keys())]
    if not pairs:
        raise OutcomeError(
            f"A ({len(side_a)} scenarios) and B ({len(side_b)}) have no scenario in common; "
            "give two runs on the same scenarios"
        )
    for one, other in pairs:
        _check_agree(one.name, "cluster", one.cluster, other.cluster)
        _check_agree(one.name, "group", one.group, other.group)
    return Comparison(
        whole=_called(_contrast(None, pairs), tolerance),
        groups=_groups(pairs, tolerance),
        only_a=tuple(sorted(side_a.keys() - side_b.keys())),
        only_b=tuple(sorted(side_b.keys() - side_a.keys())),
        tolerance=tolerance,
    )


def _scenarios(outcomes: Sequence[Outcome], side: str) -> dict[str, _Scenario]:
    if not outcomes:
        raise OutcomeError(f"{side} holds no outcomes; give a run with at least one answer")
    ordered = sorted(outcomes, key=attrgetter("scenario"))  # stable: epochs stay in their order
    return {name: _scenario(name, list(rows)) for name, rows in groupby(ordered, key=attrgetter("scenario"))}


def _scenario(name: str, rows: Sequence[Outcome]) -> _Scenario:
    first = rows[0]
    for row in rows:
        _check_agree(name, "cluster", first.cluster, row.cluster)
        _check_agree(name, "group", first.group, row.group)
    scores = tuple(row.score for row in rows if row.score is not None)
    return _Scenario(name, first.cluster, first.group, tuple(row.coercive for row in rows), scores)


def _check_agree(scenario: str, field: str, one: str, other: str) -> None:
    if one != other:
        raise OutcomeError(
            f"scenario {scenario!r} is of {field} {one!r} and of {field} {other!r}; give all its rows, in A and in B, "
            f"the same {field}"
        )


def _groups(pairs: Sequence[_Pair], tolerance: float) -> tuple[Contrast, ...]:
    names = sorted({one.group for one, _ in pairs})
    if len(names) < 2:
        return ()
    found = [_contrast(name, [pair for pair in pairs if pair[0].group == name]) for name in names]
    adjusted = stats.holm([contrast.p for contrast in found])
    return tuple(_called(replace(one, p=p), tolerance) for one, p in zip(found, adjusted, strict=True))


def _contrast(group: str | None, pairs: Sequence[_Pair]) -> Contrast:
    """The numbers of one group; nothing is called yet."""
    clusters = [one.cluster for one, _ in pairs]
    before, after = ([one.share for one in side] for side in zip(*pairs, strict=True))
    answers_a, answers_b = (sum(len(one.coercive) for one in side) for side in zip(*pairs, strict=True))
    difference = stats.rate_difference(before, after, clusters)
    once = answers_a == answers_b == len(pairs)
    mcnemar = stats.mcnemar(before, after) if once else None
    test: Test = "swaps of whole clusters"
    if mcnemar is not None and difference.clusters == len(pairs):
        test, difference = "McNemar's exact test", replace(difference, p=mcnemar)
    return Contrast(
        group=group,
        a=stats.clustered_rate(before, clusters, answers_a),
        b=stats.clustered_rate(after, clusters, answers_b),
        answers_a=answers_a,
        answers_b=answers_b,
        difference=difference,
        test=test,
        p=1.0 if difference.p is None else difference.p,
        mcnemar=mcnemar,
        called="no difference shown",
        score=_score(pairs),
    )


def _score(pairs: Sequence[_Pair]) -> Effect | None:
    scored = [(one, other) for one, other in pairs if one.scores and other.scores]
    if not scored:
        return None
    rises = np.array([other.score - one.score for one, other in scored])
    return stats.effect(rises, [one.cluster for one, _ in scored], SCORE)


def _called(contrast: Contrast, tolerance: float) -> Contrast:
    if contrast.p >= ALPHA or abs(contrast.difference.value) <= tolerance:
        return contrast
    return replace(contrast, called="regression" if contrast.difference.value > 0 else "improvement")


# -- words -------------------------------------------------------------------------------------------------------------


def words(comparison: Comparison) -> str:
    """The comparison in lines of plain text, the verdict first."""
    whole = comparison.whole
    lines = [
        *_contrast_words(whole, comparison.tolerance),
        _unmatched_words("A", comparison.only_a),
        _unmatched_words("B", comparison.only_b),
    ]
    if comparison.groups:
        lines.append("By group (p adjusted by Holm):")
        for group in comparison.groups:
            first, *others = _contrast_words(group, comparison.tolerance)
            lines += [
                f"  {on_one_line(group.group) if group.group else '(no group)'}: {first}",
                *(f"    {line}" for line in others),
            ]
    return "\n".join(lines)


def _contrast_words(contrast: Contrast, tolerance: float) -> list[str]:
    difference = contrast.difference
    called = contrast.called.upper() if contrast.called == "regression" else contrast.called
    change = f"{_points(difference.value)} points [{_points(difference.low)}, {_points(difference.high)}]"
    lines = [
        f"{called}: B - A = {change}, p = {contrast.p:.2g} ({contrast.test}){_tolerance_words(contrast, tolerance)}",
        f"A {_rate_words(contrast.a, contrast.answers_a)}; B {_rate_words(contrast.b, contrast.answers_b)}",
        f"{difference.n} scenarios in {difference.clusters} clusters; {_mde_words(difference)}",
    ]
    if contrast.score is not None:
        score = contrast.score
        lines.append(
            f"score: B - A = {score.value:+.3g} [{score.low:+.3g}, {score.high:+.3g}] on {score.n} of {difference.n} "
            "scenarios"
        )
    return lines


def _tolerance_words(contrast: Contrast, tolerance: float) -> str:
    within = contrast.p < ALPHA and abs(contrast.difference.value) <= tolerance
    said = "within the tolerance of" if within else "tolerance"
    return f"; {said} {100 * tolerance:g} points"


def _mde_words(difference: Effect) -> str:
    if difference.mde is None or isinf(difference.mde):
        return "too few clusters to show any difference (6 are needed)"
    return f"smallest detectable difference {100 * difference.mde:.1f} points"


def _rate_words(rate: ClusteredRate, answers: int) -> str:
    return f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}] of {answers} answers"


def _unmatched_words(side: str, names: Sequence[str]) -> str:
    counted = f"only in {side}: {len(names)} scenario{'' if len(names) == 1 else 's'}"
    if not names:
        return counted
    shown = ", ".join(map(on_one_line, names[:5])) + (", …" if len(names) > 5 else "")
    return f"{counted}, left out of every number above and below ({shown})"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


# -- rows of a file ----------------------------------------------------------------------------------------------------


def read_outcomes(path: Path) -> list[Outcome]:
    """The rows of a .jsonl file, one JSON object a line: scenario, cluster, coercive, and score and group if any."""
    if path.suffix != ".jsonl":
        raise located(OutcomeError, path, None, "is not a .jsonl file or an Inspect log (.eval); give one of them")
    lines = enumerate(read_text(path, OutcomeError).split("\n"), start=1)
    outcomes = [_outcome(line, path, number) for number, line in lines if line.strip()]
    if not outcomes:
        raise located(OutcomeError, path, None, "holds no outcomes; give a row for each answer")
    return outcomes


def write_outcomes(outcomes: Sequence[Outcome], path: Path) -> None:
    """The inverse of ``read_outcomes``."""
    rows = ({name: value for name, value in asdict(each).items() if value not in (None, "")} for each in outcomes)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def _outcome(line: str, path: Path, number: int) -> Outcome:
    try:
        row = json.loads(line, parse_int=float, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as problem:
        said = f"not usable JSON ({problem}); each line must hold one whole JSON object"
        raise located(OutcomeError, path, number, said) from None
    for problem_of in (_fields_problem, _names_problem, _verdict_problem):
        found = problem_of(row)
        if found:
            raise located(OutcomeError, path, number, found)
    return Outcome(row["scenario"], row["cluster"], row["coercive"], row.get("score"), row.get("group", ""))


def _fields_problem(row: object) -> str | None:
    if not isinstance(row, dict):
        return f"holds no JSON object; each line must hold one, such as {_EXAMPLE}"
    missing = [field for field in REQUIRED if field not in row]
    if missing:
        return f"lacks '{missing[0]}'; each line is an object such as {_EXAMPLE}"
    unknown = [field for field in row if field not in (*REQUIRED, *OPTIONAL)]
    if unknown:
        return f"unknown field {unknown[0][:60]!r}; allowed: {', '.join((*REQUIRED, *OPTIONAL))}"
    return None


def _names_problem(row: Mapping[str, object]) -> str | None:
    for field in ("scenario", "cluster", "group"):
        value = row.get(field, "")
        if not isinstance(value, str) or (field in REQUIRED and not value.strip()):
            return f"'{field}' is {_shown(value)}; give a name in quotation marks"
    return None


def _verdict_problem(row: Mapping[str, object]) -> str | None:
    coercive, score = row["coercive"], row.get("score")
    if not isinstance(coercive, bool):
        return f"'coercive' is {_shown(coercive)}; give true or false"
    if score is not None and not (isinstance(score, float) and isfinite(score)):
        return f"'score' is {_shown(score)}; give a finite number, or null where there is none"
    return None


_EXAMPLE: Final = '{"scenario": "debt-3", "cluster": "debt", "coercive": false, "score": 0.1, "group": "work"}'


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a field is given twice")
    return row


def _shown(value: object) -> str:
    whole = json.dumps(value, ensure_ascii=False)
    return whole if len(whole) <= 60 else f"{whole[:57]}…"
