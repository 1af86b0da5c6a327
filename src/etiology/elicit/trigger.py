"""Which contexts elicit a behaviour, found with few questions and confirmed where nothing was searched.

1. screen: a covering design, in which every combination of ``depth`` levels occurs;
2. search: batches of the questions that tell most about which combination of levels is the trigger (Thompson draws
   stand in for the answers that a batch can't wait for), until one is likely enough or the budget is spent;
3. reduce: a combination is named with a factor only if it is likelier with it than without; what was seen where that
   factor alone is not fulfilled is told with it. Then the cells outside it are searched for another;
4. confirm: on held-out scenarios, each asked in the trigger and in its matched control, which differ in the trigger's
   factors alone while all other factors vary from pair to pair. The intervals hold for all candidates together.

The answers that chose a trigger are no part of its confirmation, so that the choice leaves no bias there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etiology import stats
from etiology.core.errors import ScenarioError
from etiology.core.values import Effect
from etiology.elicit.conjunctions import Belief, Conjunctions, Factor, Level, Trigger, screen

Levels = Mapping[str, Level]
"""One cell: the level of each factor."""
Ask = Callable[[Sequence[Levels]], Sequence[float | None]]
"""One answer to one question in each cell: whether it shows the behaviour (or how strongly, 0 to 1); None: unscored."""

LEVEL: Final = 0.05
"""Of all confirmed triggers of a search together."""
POWER: Final = 0.8
PLANTED_RATES: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Pair:
    """A held-out scenario's two answers, as of ``Ask``. ``cluster`` is its organisation."""

    trigger: float | None
    control: float | None
    cluster: str


Check = Callable[[Sequence[tuple[Levels, Levels]]], Sequence[Pair]]
"""One held-out scenario for each (trigger cell, control cell), asked in both."""


@dataclass(frozen=True)
class Plan:
    """How a search goes. ``budget`` counts all questions, and keeps 2 × ``pairs`` back for each candidate.

    A combination is named from a probability of ``sure`` on; ``most`` are named, of ``depth`` factors at most. When the
    budget is spent, the likeliest is named if it is as sure that there is any. ``worlds`` are simulated to say what
    'none' rules out; with 0 it isn't said.
    """

    budget: int = 400
    batch: int = 8
    pairs: int = 60
    sure: float = 0.95
    most: int = 3
    depth: int = 3
    worlds: int = 20

    def __post_init__(self) -> None:
        if min(self.batch, self.pairs, self.most, self.depth, self.worlds + 1) < 1 or not 0.5 <= self.sure < 1:
            raise ScenarioError(f"{self}: numbers must be at least 1 (worlds 0), and sure from .5 to below 1")
        if self.budget <= 2 * self.pairs:
            raise ScenarioError(
                f"budget {self.budget}: {2 * self.pairs} questions are kept back to confirm what is found; give more"
            )


@dataclass(frozen=True)
class Seen:
    """The share of ``n`` answers that show the behaviour; of none it is 0."""

    share: float
    n: int


@dataclass(frozen=True)
class Suspect:
    """A combination named by the search. ``probability`` is of it and no other combination (nor none).

    ``after`` is how many questions had been asked by then. ``without`` has, by a factor's name, what was seen where
    that factor alone is not fulfilled.
    """

    trigger: Trigger
    probability: float
    after: int
    inside: Seen
    outside: Seen
    without: Mapping[str, Seen]


@dataclass(frozen=True)
class Confirmation:
    """A suspect on held-out scenarios. ``effect`` is its rate minus that of its matched control, a share of answers.

    Its interval holds together with those of the other candidates. ``control`` has the levels of the control.
    """

    suspect: Suspect
    control: Trigger
    inside: Seen
    outside: Seen
    effect: Effect

    @property
    def confirmed(self) -> bool:
        return self.effect.low > 0


@dataclass(frozen=True)
class Found:
    """What a search found. ``none`` is the probability, after the first round, that no combination matters.

    ``overall`` is what was seen in all questions of the search. Where none was confirmed, ``ruled_out`` is the least
    rate at which a trigger of ``depth`` factors would have been named with a probability of 80 %; infinite if at none.
    """

    candidates: tuple[Confirmation, ...]
    none: float
    overall: Seen
    searched: int
    confirming: int
    unscored: int
    ruled_out: float | None = None

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """Those that were confirmed."""
        return tuple(c.suspect.trigger for c in self.candidates if c.confirmed)


def search(factors: Sequence[Factor], ask: Ask, check: Check, plan: Plan | None = None, seed: int = 0) -> Found:
    """Search with ``ask``, on scenarios that may steer, and confirm with ``check``, on scenarios that may not.

    The same seed and answers give the same questions. Errors: ``ScenarioError``.
    """
    plan = plan or Plan()
    rng = np.random.default_rng(seed)
    space = Conjunctions(factors, plan.depth)
    record = _Record(space, ask)
    suspects, none = _suspects(record, plan, rng)
    candidates = confirm(factors, suspects, check, plan.pairs, rng)
    found = Found(
        candidates,
        none,
        record.seen(np.ones(len(space.cells), dtype=bool)),
        searched=record.put,
        confirming=2 * plan.pairs * len(suspects),
        unscored=record.put - int(record.asked.sum()),
    )
    if found.triggers or not plan.worlds:
        return found
    return replace(found, ruled_out=smallest_rate(space, plan, found.overall.share, rng))


class _Record:
    """What was asked in each cell of a space, and what was answered. ``put`` counts questions, unscored ones too."""

    def __init__(self, space: Conjunctions, ask: Ask) -> None:
        self.space, self.ask, self.put = space, ask, 0
        self.asked = np.zeros(len(space.cells), dtype=np.float32)
        self.hits = np.zeros(len(space.cells), dtype=np.float32)

    def add(self, cells: Sequence[int]) -> None:
        answers = self.ask([self.space.levels(cell) for cell in cells])
        for cell, answer in zip(cells, answers, strict=True):
            if answer is not None:
                self.asked[cell] += 1
                self.hits[cell] += answer
        self.put += len(cells)

    def seen(self, where: NDArray[np.bool_]) -> Seen:
        n = int(self.asked[where].sum())
        return Seen(float(self.hits[where].sum()) / n if n else 0.0, n)


def _suspects(record: _Record, plan: Plan, rng: np.random.Generator) -> tuple[list[Suspect], float]:
    """The combinations to confirm, likeliest first found, and how likely it was at first that there is none."""
    space, cells = record.space, np.arange(len(record.space.cells))
    room = plan.budget - 2 * plan.pairs
    record.add(screen(space, plan.depth, rng)[:room])
    suspects: list[Suspect] = []
    none = 1.0
    while len(suspects) < plan.most and room > 0 and space.triggers:
        belief = _settle(space, cells, record, plan, room, rng, first=not suspects)
        none = none if suspects else belief.none
        probability = float(belief.weights[belief.best])
        # Each further candidate widens all intervals, so a second must be likely itself.
        if belief.none > 1 - plan.sure or (suspects and probability < 0.5):
            break
        suspects.append(_suspect(record, space.triggers[belief.best], probability))
        space, kept = space.outside(space.triggers[belief.best])
        cells = cells[kept]
        room -= 2 * plan.pairs
    return suspects, none


def _settle(
    space: Conjunctions,
    cells: NDArray[np.intp],
    record: _Record,
    plan: Plan,
    room: int,
    rng: np.random.Generator,
    *,
    first: bool,
) -> Belief:
    """Ask in ``cells`` until one combination is sure or ``room`` is used up. Later rounds also end at a sure 'none'.

    The first does not: how small a rate 'none' rules out is what the budget was given for.
    """
    while True:
        belief = space.belief(record.asked[cells], record.hits[cells])
        count = min(plan.batch, room - record.put)
        sure = belief.weights[belief.best] >= plan.sure or (belief.none >= plan.sure and not first)
        if sure or count < 1:
            return belief
        chosen = space.choose(record.asked[cells], record.hits[cells], count, rng)
        record.add([int(cells[c]) for c in chosen])


def _suspect(record: _Record, trigger: Trigger, probability: float) -> Suspect:
    space = record.space
    fulfilled = {part[0]: space.holds[space.triggers.index(Trigger((part,)))] for part in trigger.parts}
    inside = np.all(list(fulfilled.values()), axis=0)
    without = {
        name: ~own & np.all([f for other, f in fulfilled.items() if other != name] or [~own], axis=0)
        for name, own in fulfilled.items()
    }
    return Suspect(
        trigger,
        probability,
        record.put,
        record.seen(inside),
        record.seen(~inside),
        {name: record.seen(where) for name, where in without.items()},
    )


def confirm(
    factors: Sequence[Factor], suspects: Sequence[Suspect], check: Check, pairs: int, rng: np.random.Generator
) -> tuple[Confirmation, ...]:
    """Each suspect on ``pairs`` held-out scenarios, beside its matched control.

    Bonferroni: each interval is at 1 - LEVEL over the number of suspects, so that they hold together.
    """
    return tuple(
        _confirmation(s, control_of(factors, s.trigger), check(_matched(factors, s.trigger, pairs, rng)), len(suspects))
        for s in suspects
    )


def control_of(factors: Sequence[Factor], trigger: Trigger) -> Trigger:
    """The trigger's factors, each at its first level that is not the trigger's."""
    levels = {f.name: f.levels for f in factors}
    return Trigger(
        tuple((name, (next(v for v in levels[name] if v not in allowed),)) for name, allowed in trigger.parts)
    )


def _matched(
    factors: Sequence[Factor], trigger: Trigger, pairs: int, rng: np.random.Generator
) -> list[tuple[Levels, Levels]]:
    """Trigger and control cells, alike in all other factors, whose levels are drawn anew for each pair."""
    calm = {name: only[0] for name, only in control_of(factors, trigger).parts}
    out: list[tuple[Levels, Levels]] = []
    for _ in range(pairs):
        rest = {f.name: f.levels[rng.integers(len(f.levels))] for f in factors}
        pressed = {name: allowed[rng.integers(len(allowed))] for name, allowed in trigger.parts}
        out.append((rest | pressed, rest | calm))
    return out


def _confirmation(suspect: Suspect, control: Trigger, pairs: Sequence[Pair], family: int) -> Confirmation:
    """A pair of which one answer is unscored says nothing and is left out."""
    whole = [(p.control, p.trigger, p.cluster) for p in pairs if p.trigger is not None and p.control is not None]
    if not whole:
        nothing = Effect(0.0, -1.0, 1.0, n=0, clusters=0, seeds=1, unit="share of answers", p=1.0, mde=inf)
        return Confirmation(suspect, control, Seen(0.0, 0), Seen(0.0, 0), nothing)
    calm, pressed, clusters = zip(*whole, strict=True)
    effect = stats.rate_difference(calm, pressed, clusters, level=LEVEL / family)
    n = len(whole)
    return Confirmation(suspect, control, Seen(sum(pressed) / n, n), Seen(sum(calm) / n, n), effect)


def words(found: Found) -> str:
    """The result in a few lines."""
    lines = [_line(c, len(found.candidates)) for c in found.candidates]
    if not found.triggers:
        lines.append(_none(found))
    if found.unscored:
        lines.append(f"{found.unscored} of the {found.searched} questions got no verdict and count for nothing.")
    return "\n".join(lines)


def _line(c: Confirmation, family: int) -> str:
    s, e = c.suspect, c.effect
    parts = "; ".join(
        f"where only '{_only(s.trigger, name).words}' is not so: {_share(seen)}" for name, seen in s.without.items()
    )
    together = f", over all {family} candidates" if family > 1 else ""
    return (
        f"{'Confirmed' if c.confirmed else 'Not confirmed'}: {s.trigger.words}\n"
        f"  held-out: {_share(c.inside)} answers, in the control ({c.control.words}) {_share(c.outside)}; difference "
        f"{e.value:+.0%}, 95 % interval{together} {e.low:+.0%} to {e.high:+.0%}, {e.clusters} organisations\n"
        f"  search: named after {s.after} questions, probability {s.probability:.2f}; {_share(s.inside)}, elsewhere "
        f"{_share(s.outside)}; {parts}"
    )


def _none(found: Found) -> str:
    said = (
        f"{'No trigger was confirmed' if found.candidates else 'No trigger found'} in {found.searched} questions. The "
        f"behaviour shows in {_share(found.overall)} answers."
    )
    if found.ruled_out is None:
        return said
    if found.ruled_out == inf:
        return f"{said} That is too few to say that there is none: no trigger would have been named reliably."
    return f"{said} One that raises this to {found.ruled_out:.0%} would be named in {POWER:.0%} of simulated runs."


def _only(trigger: Trigger, name: str) -> Trigger:
    return Trigger(tuple(part for part in trigger.parts if part[0] == name))


def _share(seen: Seen) -> str:
    return f"{seen.share:.0%} of {seen.n}" if seen.n else "nothing asked"


def smallest_rate(space: Conjunctions, plan: Plan, base: float, rng: np.random.Generator) -> float:
    """The least of PLANTED_RATES at which the search names a planted trigger in 80 % of ``plan.worlds`` simulations.

    A combination of ``depth`` factors is drawn for each, where the rate is that; elsewhere it is ``base``. Infinite: at
    none of them. Simulated independent answers are the best case: scenarios that differ in how readily they elicit the
    behaviour need more.
    """
    rates = [rate for rate in PLANTED_RATES if rate > base]
    low, high = 0, len(rates)
    while low < high:
        middle = (low + high) // 2
        if _power(space, plan, base, rates[middle], rng) >= POWER:
            high = middle
        else:
            low = middle + 1
    return rates[low] if low < len(rates) else inf


def _power(space: Conjunctions, plan: Plan, base: float, rate: float, rng: np.random.Generator) -> float:
    largest = max(len(t.parts) for t in space.triggers)
    deep = [h for h, trigger in enumerate(space.triggers) if len(trigger.parts) == largest]
    named = 0
    for _ in range(plan.worlds):
        planted = space.triggers[int(rng.choice(deep))]

        def answer(cells: Sequence[Levels], planted: Trigger = planted) -> list[float]:
            return [float(rng.random() < (rate if planted.holds(cell) else base)) for cell in cells]

        suspects, _ = _suspects(_Record(space, answer), replace(plan, most=1), rng)
        named += any(s.trigger == planted for s in suspects)
    return named / plan.worlds
