"""The gate over the ledger: whether the newest version shows a behaviour more often than the baseline.

1. Scenarios that both versions answered are paired; their differences are averaged in each cluster (organisation).
2. Each cluster bets once, with the pairs it had when it first had any (`stats.sequential`): answers that come later to
   the same scenarios are shown in the rates and do not bet again. One may therefore run the gate after every log, and
   stop at any time, with a chance of a false alarm of ``alpha`` over all looks.
3. The tests of the policy share ``alpha`` by Holm (1979) on p = 1 / e, valid whatever their dependence.
4. A version that is not capable, or has no answers, is neither passed nor failed: the question is unanswered.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isinf
from typing import Final, Literal

from etiology import stats
from etiology.core.visible import on_one_line
from etiology.watch.ledger import Answers, Capability, Entry, Ledger, LedgerError
from etiology.watch.policy import PREVIOUS, Policy, Watched

Status = Literal["regression", "no regression shown", "not capable", "capability unknown", "no answers"]
UNANSWERED: Final[tuple[Status, ...]] = ("not capable", "capability unknown", "no answers")


@dataclass(frozen=True)
class Tally:
    """Answers to the paired scenarios on one side."""

    hits: int
    n: int

    @property
    def share(self) -> float:
        return self.hits / self.n if self.n else 0.0


@dataclass(frozen=True)
class Finding:
    """One test of the policy. Rises are shares; positive: the newest version does it more often.

    ``rise`` is the mean over clusters, ``low`` and ``high`` its confidence sequence at 1 - alpha of this test alone.
    ``least`` is the smallest rise, the same in every cluster, that would have been found.
    """

    test: Watched
    status: Status
    capability: Capability
    before: Tally
    after: Tally
    clusters: int
    scenarios: int
    later: int
    rise: float
    low: float
    high: float
    e: float
    p: float
    least: float


@dataclass(frozen=True)
class Outcome:
    """All tests of one gate."""

    version: str
    baseline: str
    alpha: float
    unanswered_fail: bool
    findings: tuple[Finding, ...]

    @property
    def code(self) -> int:
        """0: no regression shown; 1: a regression; 2: no regression, and a test is unanswered."""
        if any(one.status == "regression" for one in self.findings):
            return 1
        open_ones = any(one.status in UNANSWERED for one in self.findings)
        return 2 if open_ones and self.unanswered_fail else 0


def gate(ledger: Ledger, policy: Policy, version: str | None = None) -> Outcome:
    """The newest version of ``ledger`` (or ``version``) against the policy's baseline. Errors: ``LedgerError``."""
    new, old = _versions(ledger, policy.baseline, version)
    found = [_finding(ledger, test, old, new, policy) for test in policy.tests]
    adjusted = stats.holm([one.p for one in found])
    called = tuple(_called(one, p, policy.alpha) for one, p in zip(found, adjusted, strict=True))
    return Outcome(new, old, policy.alpha, policy.unanswered == "fail", called)


def _versions(ledger: Ledger, baseline: str, version: str | None) -> tuple[str, str]:
    names = ledger.versions
    listed = ", ".join(names) or "none"
    new = version or (names[-1] if names else "")
    if new not in names:
        raise LedgerError(f"the ledger holds no version {new!r}; it holds {listed}")
    earlier = names[: names.index(new)]
    old = (earlier[-1] if earlier else "") if baseline == PREVIOUS else baseline
    if old not in names or old == new:
        raise LedgerError(f"there is no baseline to compare {new!r} with ({baseline!r}); the ledger holds {listed}")
    return new, old


# -- one test ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pair:
    """A scenario that both versions answered; ``at`` is the line that completed it, ``answers`` those of both."""

    scenario: str
    cluster: str
    at: int
    difference: float
    answers: int


def _finding(ledger: Ledger, test: Watched, old: str, new: str, policy: Policy) -> Finding:
    """The numbers of one test; p is unadjusted and nothing is called yet."""
    sides = [_lines(ledger, test, version) for version in (old, new)]
    tools = any(entry.tools for lines in sides for _, entry in lines)
    capability = ledger.capability(new, tools=tools)
    pairs = _pairs(*sides)
    names = {pair.scenario for pair in pairs}
    betting, bets = _bets(pairs)
    before, after = (_tally(lines, names) for lines in sides)
    e = stats.e_value(bets, test.tolerance)
    low, high = stats.bounds(bets, policy.alpha)
    return Finding(
        test=test,
        status=_unanswered(bets, capability),
        capability=capability,
        before=before,
        after=after,
        clusters=len(bets),
        scenarios=len(names),
        later=before.n + after.n - betting,
        rise=sum(bets) / len(bets) if bets else 0.0,
        low=low,
        high=high,
        e=e,
        p=min(1.0, 1 / e) if e else 1.0,
        least=stats.least_rise(len(bets), policy.alpha / len(policy.tests), test.tolerance),
    )


def _unanswered(bets: Sequence[float], capability: Capability) -> Status:
    if not bets:
        return "no answers"
    if capability == "not capable":
        return "not capable"
    return "capability unknown" if capability == "unknown" else "no regression shown"


def _called(finding: Finding, p: float, alpha: float) -> Finding:
    return replace(finding, p=p, status="regression" if p <= alpha else finding.status)


def _lines(ledger: Ledger, test: Watched, version: str) -> list[tuple[int, Entry]]:
    """The numbered lines of a version that the test speaks of, each with those of its answers that it speaks of."""
    out = []
    for number, entry in enumerate(ledger.entries):
        task = entry.task.rsplit("/", 1)[-1]
        if entry.version == version and entry.behaviour == test.behaviour and test.task in {None, task, entry.task}:
            kept = tuple(a for a in entry.answers if not a.control and test.autonomy in {None, a.autonomy})
            out.append((number, replace(entry, answers=kept)))
    return out


def _pairs(old: Sequence[tuple[int, Entry]], new: Sequence[tuple[int, Entry]]) -> list[_Pair]:
    before, after = _first(old), _first(new)
    return [
        _Pair(name, a.cluster, max(at, there), b.share - a.share, a.n + b.n)
        for name, (at, a) in before.items()
        if name in after
        for there, b in [after[name]]
    ]


def _first(lines: Sequence[tuple[int, Entry]]) -> dict[str, tuple[int, Answers]]:
    """Each scenario's answers in the first line that has it."""
    found: dict[str, tuple[int, Answers]] = {}
    for number, entry in lines:
        for answers in entry.answers:
            found.setdefault(answers.scenario, (number, answers))
    return found


def _bets(pairs: Sequence[_Pair]) -> tuple[int, list[float]]:
    """The answers that bet, and each cluster's mean difference over the pairs it had when it first had any."""
    of: dict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        of[pair.cluster].append(pair)
    betting = [[p for p in group if p.at == min(q.at for q in group)] for group in of.values()]
    return (
        sum(p.answers for group in betting for p in group),
        [sum(p.difference for p in group) / len(group) for group in betting],
    )


def _tally(lines: Sequence[tuple[int, Entry]], names: set[str]) -> Tally:
    own = [answers for _, entry in lines for answers in entry.answers if answers.scenario in names]
    return Tally(sum(a.hits for a in own), sum(a.n for a in own))


# -- words -------------------------------------------------------------------------------------------------------------


def words(outcome: Outcome) -> str:
    """The verdicts in plain lines."""
    head = f"{on_one_line(outcome.version)} against {on_one_line(outcome.baseline)}"
    return "\n".join([head, *(f"{on_one_line(one.test.name)}: {told(one)}" for one in outcome.findings)])


def told(one: Finding) -> str:
    """One verdict in a sentence."""
    called = one.status.upper() if one.status == "regression" else one.status
    if one.status == "no answers":
        return f"{called}: no scenario was answered by both; add logs of the same task for both versions"
    change = (
        f"rise {_points(one.rise)} points [{_points(one.low)}, {_points(one.high)}], e = {one.e:.3g}, p = {one.p:.2g}"
    )
    rates = f"{_rate(one.before)} before, {_rate(one.after)} now"
    return f"{called}: {change}; {rates}; {_design(one)}{_unsaid(one)}"


def _design(one: Finding) -> str:
    least = "none could be shown with so few" if isinf(one.least) else f"smallest found {100 * one.least:.0f} points"
    later = f"; {one.later} later answers are in the rates only" if one.later else ""
    return f"{one.scenarios} scenarios in {one.clusters} clusters, {least}{later}"


def _unsaid(one: Finding) -> str:
    said: Mapping[str, str] = {
        "not capable": ". It failed the plain errands: that it did not do this shows nothing",
        "capability unknown": ". Add a log of etiology/competence: without one, 'did not' may be 'could not'",
    }
    return said.get(one.status, "")


def _rate(tally: Tally) -> str:
    return f"{tally.hits} of {tally.n} ({100 * tally.share:.0f} %)"


def _points(share: float) -> str:
    return f"{100 * share:+.0f}"
