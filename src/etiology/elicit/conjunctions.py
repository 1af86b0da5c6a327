"""Which combination of factor levels makes a model misbehave: every such combination as a hypothesis, weighed exactly.

1. A hypothesis says: where each of one to ``depth`` factors has one of certain levels, the rate is ``inside``, else it
   is ``outside``, and inside is the higher by at least LEAST_RISE. One more says that there is one rate everywhere.
2. The weight of each follows from all answers by Bayes' rule, with both rates integrated over a grid. A combination
   with a needless factor fits no better than the one without it and has more rivals, so the smaller one wins.
3. The question that tells most is the cell whose answer has the highest mutual information with 'which hypothesis'.

A regression on main effects and pairs can't hold a combination of three; see benchmarks/trigger.py for what it costs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etiology.core.errors import ScenarioError

Level = str | int | bool
Cell = tuple[int, ...]
"""The place of its level in each factor."""
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

LEAST_RISE: Final = 0.15
"""Smaller rises of the rate are not looked for: they would take hundreds of questions each."""
MOST_CELLS: Final = 5000
_LEVELS: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)
_RATES: Final = np.array([(o, i) for o in _LEVELS for i in _LEVELS if i - o >= LEAST_RISE], dtype=np.float32)
"""[pairs, (outside, inside)]"""
_TOLD: Final = np.log(np.concatenate([_RATES.T[:1], 1 - _RATES.T[:1], _RATES.T[1:], 1 - _RATES.T[1:]]))
"""What a hit outside, a miss outside, a hit inside and a miss inside add to the log-likelihood, [4, pairs]."""
_ONE_RATE: Final = np.linspace(0.0025, 0.9975, 200)
"""Finer than _LEVELS, so that a single rate is never second for want of its value."""


@dataclass(frozen=True)
class Factor:
    """One property of a situation. The first level is the calm one, which the matched control has."""

    name: str
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Trigger:
    """Factors that must each have one of the named levels, all at once."""

    parts: tuple[tuple[str, tuple[Level, ...]], ...]

    @property
    def words(self) -> str:
        """Such as 'threat + leverage=decider|bystander + no pressure'."""
        return " + ".join(_words(name, levels) for name, levels in self.parts)

    def holds(self, levels: Mapping[str, Level]) -> bool:
        return all(levels[name] in allowed for name, allowed in self.parts)


def _words(name: str, levels: Sequence[Level]) -> str:
    if isinstance(levels[0], bool) and len(levels) == 1:
        return name if levels[0] else f"no {name}"
    return f"{name}={'|'.join(map(str, levels))}"


@dataclass(frozen=True)
class Belief:
    """What the answers make of each hypothesis [hypotheses + 1]; the last is 'one rate everywhere'.

    ``weights`` sum to 1. ``inside`` and ``outside`` are the rates that are expected of the next answer there.
    """

    weights: NDArray[np.float64]
    inside: NDArray[np.float64]
    outside: NDArray[np.float64]

    @property
    def none(self) -> float:
        return float(self.weights[-1])

    @property
    def best(self) -> int:
        """The place of the likeliest combination."""
        return int(self.weights[:-1].argmax())


class Conjunctions:
    """Every combination of one to ``depth`` factors over the cells of a space. Errors: ``ScenarioError``.

    ``cells`` is [cells, factors], each the place of a level; ``holds`` is [hypotheses, cells], where each is fulfilled.
    """

    def __init__(self, factors: Sequence[Factor], depth: int = 3) -> None:
        _check(factors, depth)
        places = np.array(list(product(*(range(len(f.levels)) for f in factors))), dtype=np.intp)
        triggers, holds = [], []
        for chosen in _choices(factors, depth):
            triggers.append(
                Trigger(tuple((factors[f].name, tuple(factors[f].levels[s] for s in some)) for f, some in chosen))
            )
            holds.append(np.all([np.isin(places[:, f], some) for f, some in chosen], axis=0))
        self._set(factors, places, triggers, np.array(holds))

    def _set(self, factors: Sequence[Factor], cells: NDArray[np.intp], triggers: list[Trigger], holds: Flags) -> None:
        self.factors, self.cells, self.triggers, self.holds = tuple(factors), cells, triggers, holds
        self._holds = holds.astype(np.float32)
        sizes = np.array([len(t.parts) for t in triggers], dtype=np.intp)
        each = 0.5 / max(len(np.unique(sizes)), 1) / np.maximum(np.bincount(sizes), 1)
        self._prior = np.log(np.append(each[sizes], 0.5))

    def outside(self, trigger: Trigger) -> tuple["Conjunctions", NDArray[np.intp]]:
        """What is left where ``trigger`` is not fulfilled, with the places of those cells here.

        Of combinations that can't be told apart there the smallest stays. There may be none.
        """
        kept = np.flatnonzero(~self.holds[self.triggers.index(trigger)])
        holds = self.holds[:, kept]
        _, first = np.unique(np.packbits(holds, axis=1), axis=0, return_index=True)
        some = [h for h in sorted(first) if 0 < holds[h].sum() < len(kept)]
        left = object.__new__(Conjunctions)
        left._set(self.factors, self.cells[kept], [self.triggers[h] for h in some], holds[some])
        return left, kept

    def levels(self, cell: int) -> dict[str, Level]:
        return {f.name: f.levels[place] for f, place in zip(self.factors, self.cells[cell], strict=True)}

    def belief(self, asked: Floats, hits: Floats) -> Belief:
        """The weights after ``asked`` answers in each cell, of which ``hits`` (a sum of shares) show the behaviour.

        Both are [cells].
        """
        return self._weigh(self._counts(asked, hits), float(asked.sum()), float(hits.sum()))

    def choose(
        self, asked: Floats, hits: Floats, count: int, rng: np.random.Generator, allowed: Flags | None = None
    ) -> list[int]:
        """The ``count`` cells to ask together: each tells most once those before it are answered as is expected.

        What is expected is drawn from the belief. Of cells that tell as much, one that was asked least often is drawn.
        """
        asked, hits = asked.astype(np.float32), hits.astype(np.float32)
        counts, chosen = self._counts(asked, hits), []
        for _ in range(count):
            belief = self._weigh(counts, float(asked.sum()), float(hits.sum()))
            rate, tells = self._foretold(belief)
            if allowed is not None:
                tells[~allowed] = -1.0
            ties = np.flatnonzero(tells >= tells.max() - 1e-3 * abs(tells.max()))
            cell = int(rng.choice(ties[asked[ties] == asked[ties].min()]))
            answer = float(rng.random() < rate[cell])
            counts += self._holds[:, cell, None] * np.array([1.0, answer], dtype=np.float32)
            asked[cell] += 1
            hits[cell] += answer
            chosen.append(cell)
        return chosen

    def _counts(self, asked: Floats, hits: Floats) -> Floats:
        """Answers and hits inside each combination, [hypotheses, 2]."""
        return self._holds @ np.stack([asked, hits], axis=1)

    def _weigh(self, counts: Floats, n: float, k: float) -> Belief:
        n_in, k_in = counts[:, :1], counts[:, 1:]
        told = np.concatenate([k - k_in, (n - k) - (n_in - k_in), k_in, n_in - k_in], axis=1)
        outside, inside = _RATES.T
        fits = told @ _TOLD  # [hypotheses, pairs of rates]
        top = fits.max(axis=1, initial=-np.inf, keepdims=True)
        shares = np.exp(fits - top)
        sums = shares.sum(axis=1)
        flat = k * np.log(_ONE_RATE) + (n - k) * np.log(1 - _ONE_RATE)
        flat_shares = np.exp(flat - flat.max())
        evidence = np.append(top[:, 0] + np.log(sums / len(_RATES)), flat.max() + np.log(flat_shares.mean()))
        weights = np.exp(self._prior + evidence - (self._prior + evidence).max())
        one = flat_shares @ _ONE_RATE / flat_shares.sum()
        return Belief(
            weights / weights.sum(), np.append(shares @ inside / sums, one), np.append(shares @ outside / sums, one)
        )

    def _foretold(self, belief: Belief) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each cell the rate that is expected, and the nats that an answer tells about which hypothesis is true."""
        w, inside, outside = belief.weights, belief.inside, belief.outside
        unsure_in, unsure_out = _entropy(inside), _entropy(outside)
        steps = np.stack([w * (inside - outside), w * (unsure_in - unsure_out)])[:, :-1].astype(np.float32)
        everywhere = np.array([[w @ outside], [w @ unsure_out]])
        rate, unsure = everywhere + steps @ self._holds
        rate = rate.clip(0.0, 1.0)
        return rate, _entropy(rate) - unsure


def _entropy(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    p = rate.clip(1e-9, 1 - 1e-9)
    return np.asarray(-p * np.log(p) - (1 - p) * np.log1p(-p))


def _choices(factors: Sequence[Factor], depth: int) -> Iterator[tuple[tuple[int, tuple[int, ...]], ...]]:
    """Every choice of one to ``depth`` factors with some, not all, of the levels of each, smaller ones first."""
    subsets = [
        [s for size in range(1, len(f.levels)) for s in combinations(range(len(f.levels)), size)] for f in factors
    ]
    for size in range(1, depth + 1):
        for chosen in combinations(range(len(factors)), size):
            for some in product(*(subsets[f] for f in chosen)):
                yield tuple(zip(chosen, some, strict=True))


def _check(factors: Sequence[Factor], depth: int) -> None:
    if not factors or depth < 1:
        raise ScenarioError("a trigger is sought among one factor or more, in combinations of one or more")
    for factor in factors:
        if len(set(factor.levels)) != len(factor.levels) or len(factor.levels) < 2:
            raise ScenarioError(f"factor '{factor.name}': give two levels or more, each once, not {factor.levels}")
    if len({f.name for f in factors}) < len(factors):
        raise ScenarioError("two factors have one name; name each once")
    cells = prod(len(f.levels) for f in factors)
    if cells > MOST_CELLS:
        raise ScenarioError(f"{cells} cells are more than can be searched ({MOST_CELLS}); leave out factors or levels")


def screen(space: Conjunctions, strength: int, rng: np.random.Generator) -> list[int]:
    """Few cells in which every combination of ``strength`` levels of different factors occurs (a covering array).

    Each next cell holds the most combinations not yet seen. With main effects nearly balanced it is also the start of
    any regression; unlike a fraction of a factorial it takes factors of unequal numbers of levels.
    """
    sizes = np.array([len(f.levels) for f in space.factors])
    seen_by, offset = [], 0
    for chosen in combinations(range(len(sizes)), min(strength, len(sizes))):
        seen_by.append(offset + np.ravel_multi_index(tuple(space.cells[:, f] for f in chosen), sizes[list(chosen)]))
        offset += int(prod(sizes[list(chosen)]))
    ids, unseen, design = np.stack(seen_by, axis=1), np.ones(offset, dtype=bool), []
    while unseen.any():
        gains = unseen[ids].sum(axis=1)
        cell = int(rng.choice(np.flatnonzero(gains == gains.max())))
        unseen[ids[cell]] = False
        design.append(cell)
    return design
