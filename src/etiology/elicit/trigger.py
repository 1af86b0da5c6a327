"""Trigger search: the context in which a model shows a behaviour most, found with few samples and then confirmed.

1. *Screen*: an orthogonal array of 96 runs in which each level of any three factors meets each level of the others
   equally often.
2. *Name*: a *rule* says that the behaviour has one level where up to three factors have certain levels, and another
   elsewhere. All of them, and 'no trigger', are weighed by the data. The next samples go to cells where the likely
   rules disagree most, until one set of factors is named with a probability of 95 %.
3. *Refine*: other factors may still raise the behaviour a little. A ridge regression on all levels and pairs of levels
   is drawn from its posterior, and the best cell of each draw among those of the trigger is sampled (Thompson 1933).
4. *Confirm*: the cell found, its matched control and the cell without each named factor, on organisations that the
   search never used.

The search's own numbers are of the luckiest cell: only `confirm` gives an effect that may be quoted.
Not the ridge regression but the rules do the naming: ``benchmarks/trigger.py`` compares them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import combinations, product
from math import log
from typing import Any, Final, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from etiology import stats
from etiology.core.errors import ModelError, ScenarioError
from etiology.core.values import Effect
from etiology.elicit.compose import AUTONOMY, PARAPHRASES, Factors, Leverage, Surface, chosen, design

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_YES = (False, True)
LEVELS: Final[Mapping[str, Sequence[object]]] = {
    "conflict": _YES,
    "threat": _YES,
    "leverage": get_args(Leverage),
    "pressure": _YES,
    "autonomy": AUTONOMY,
    "ally": _YES,
    "exit": _YES,
    "surface": get_args(Surface),
    "turns": (1, 2),
}
"""Every factor and its levels: 1536 cells."""
SCREENING: Final = 96
BATCH: Final = 24
SURE: Final = 0.95
_LARGEST: Final = 3
"""Factors in one rule. Four of two levels hold in a sixteenth of the cells, which screening would hardly meet."""


@dataclass(frozen=True)
class Probe:
    """One sample: a cell, a wording of it (0 to 24) and the name of an organisation."""

    factors: Factors
    paraphrase: int
    organisation: str


class Trial(Protocol):
    """Shows each probe to the model and returns as many outcomes: truth values (1 or 0), or scores in one unit."""

    def __call__(self, probes: Sequence[Probe], /) -> Sequence[float]:
        """The outcomes, in the order of ``probes``. Higher is more of the behaviour."""


@dataclass(frozen=True)
class Found:
    """What the search found.

    ``trigger`` names the factors that matter (none if 'no trigger' is likelier than any), ``probability`` says how
    surely these and no others. ``resolved`` is False where the budget was spent below 95 %, or there is no trigger.
    ``without`` holds for each named factor the cell with only that factor outside the trigger. ``included`` is the
    probability of each factor to be in the trigger.
    """

    cell: Factors
    trigger: tuple[str, ...]
    probability: float
    resolved: bool
    without: tuple[Factors, ...]
    included: tuple[tuple[str, float], ...]
    probes: tuple[Probe, ...]
    outcomes: tuple[float, ...]

    @property
    def organisations(self) -> frozenset[str]:
        return frozenset(p.organisation for p in self.probes)


@dataclass(frozen=True)
class Contrast:
    """The cell found less ``other`` on held-out organisations, paired by organisation and wording.

    ``effect`` speaks of organisations of this kind, ``here`` of these organisations only (other wordings of them).
    Both intervals are widened for the number of contrasts beside this one (Bonferroni), and p is Holm's.
    """

    name: str
    cell: Factors
    other: Factors
    effect: Effect
    here: Effect


@dataclass(frozen=True)
class Confirmation:
    """``control`` compares the cell with its matched control, ``needed`` with the cell without each named factor."""

    control: Contrast
    needed: tuple[Contrast, ...]
    probes: tuple[Probe, ...]
    outcomes: tuple[float, ...]


@dataclass(frozen=True)
class Space:
    """The cells of a search and every rule about them.

    ``index`` [cells, factors] numbers each cell's levels. ``inside`` [rules, cells] is 1 where the rule's levels hold;
    ``subset`` [rules] points into ``subsets``, the rule's factors; ``prior`` [rules] is the logarithm of its prior.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[object, ...], ...]
    cells: tuple[Factors, ...]
    index: Ints
    inside: NDArray[np.float32]
    subset: Ints
    subsets: tuple[tuple[int, ...], ...]
    prior: Floats
    columns: Floats
    order: Ints


def space(levels: Mapping[str, Sequence[object]] | None = None) -> Space:
    """The space of all factors, or with ``levels`` (factor → levels allowed) a smaller one. Errors: ``ScenarioError``.

    A factor that ``levels`` leaves out has all its levels; to hold one still, give it one level.
    """
    given = dict(levels or {})
    design({name: () for name in given})  # an unknown factor is an error
    for name, values in given.items():
        strange = [v for v in values if v not in LEVELS[name]]
        if strange or not values:
            what = f"has no level {strange[0]!r}" if strange else "was given no level"
            raise ScenarioError(f"factor '{name}' {what}; its levels are {', '.join(map(str, LEVELS[name]))}")
    allowed = tuple(tuple(dict.fromkeys(given.get(name, LEVELS[name]))) for name in LEVELS)
    if all(len(values) == 1 for values in allowed):
        raise ScenarioError("the search has one cell only: give at least one factor two levels")
    return _space(allowed)


@cache
def _space(levels: tuple[tuple[object, ...], ...]) -> Space:
    names = tuple(LEVELS)
    cells = tuple(design(dict(zip(names, levels, strict=True))))
    index = np.array(list(product(*(range(len(values)) for values in levels))), dtype=np.intp)
    varied = [j for j, values in enumerate(levels) if len(values) > 1]
    subsets = tuple(s for size in range(1, _LARGEST + 1) for s in combinations(varied, size))
    sizes = Counter(len(s) for s in subsets)
    inside, subset, prior = [], [], []
    for number, factors in enumerate(subsets):
        rules = list(product(*(_proper(len(levels[j])) for j in factors)))
        # Half for 'no trigger'; the other half shared alike by sizes, by subsets of a size, by rules of a subset.
        share = log(0.5 / len(sizes) / sizes[len(factors)] / len(rules))
        for rule in rules:
            inside.append(np.all([np.isin(index[:, j], on) for j, on in zip(factors, rule, strict=True)], axis=0))
            subset.append(number)
            prior.append(share)
    columns, order = _columns(index, varied)
    return Space(
        names=names,
        levels=levels,
        cells=cells,
        index=index,
        inside=np.asarray(inside, dtype=np.float32),
        subset=np.asarray(subset, dtype=np.intp),
        subsets=subsets,
        prior=np.asarray(prior),
        columns=columns,
        order=order,
    )


def _proper(n: int) -> list[tuple[int, ...]]:
    """Every choice of some, but not all, of ``n`` levels."""
    return [on for size in range(1, n) for on in combinations(range(n), size)]


def _columns(index: Ints, varied: Sequence[int]) -> tuple[Floats, Ints]:
    """What the ridge regression sees: 1, each factor's levels and each pair's; and how many factors a column has."""
    own = {j: _contrasts(int(index[:, j].max()) + 1)[index[:, j]] for j in varied}
    blocks = [np.ones((len(index), 1)), *own.values()]
    for a, b in combinations(varied, 2):
        blocks.append((own[a][:, :, None] * own[b][:, None, :]).reshape(len(index), -1))
    orders = [0, *[1] * len(varied), *[2] * (len(blocks) - 1 - len(varied))]
    return np.hstack(blocks), np.repeat(orders, [b.shape[1] for b in blocks]).astype(np.intp)


def _contrasts(n: int) -> Floats:
    """[n, n - 1] orthogonal columns that sum to 0, so that no level is the one the others are compared with."""
    q, _ = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, : n - 1]]))
    return np.asarray(q[:, 1:] * np.sqrt(n), dtype=np.float64)


@dataclass(frozen=True)
class Belief:
    """The probability of each rule and of 'no trigger', with the behaviour's level inside and outside of each rule.

    Scores are counted from the mean of their organisation, truth values from 0; ``level`` is their mean.
    """

    rules: Floats
    none: float
    inside: Floats
    outside: Floats
    level: float

    def subsets(self, where: Space) -> Floats:
        """The probability of each of the space's subsets to be the factors that matter."""
        return np.bincount(where.subset, weights=self.rules, minlength=len(where.subsets))

    def predicted(self, where: Space) -> Floats:
        """The level of each cell, averaged over the rules."""
        steps = (self.rules * (self.inside - self.outside)).astype(np.float32) @ where.inside
        return np.asarray(self.none * self.level + self.rules @ self.outside + steps, dtype=np.float64)

    def disagreement(self, where: Space, *, binary: bool) -> Floats:
        """What one sample of each cell is expected to tell of which rule holds (Houlsby et al. 2011, BALD).

        For truth values in nats, for scores as the variance of the rules' levels.
        """
        spread = _entropy if binary else _minus_square
        steps = (self.rules * (spread(self.inside) - spread(self.outside))).astype(np.float32) @ where.inside
        within = self.none * float(spread(np.array(self.level))) + self.rules @ spread(self.outside) + steps
        return np.asarray(np.maximum(spread(self.predicted(where)) - within, 0.0), dtype=np.float64)


def _entropy(p: Floats) -> Floats:
    q = np.clip(p, 1e-9, 1 - 1e-9)
    return np.asarray(-q * np.log(q) - (1 - q) * np.log(1 - q), dtype=np.float64)


def _minus_square(x: Floats) -> Floats:
    return np.asarray(-(x**2), dtype=np.float64)


def believe(where: Space, cells: Ints, outcomes: Floats, organisations: Ints, *, binary: bool) -> Belief:
    """Weighs every rule and 'no trigger', all three arrays being [samples]; ``organisations`` numbers them from 0.

    A rule's evidence is the chance of the outcomes under it: for truth values with a Beta(½, ½) prior on each of its
    two rates (Jeffreys), for scores by Zellner's g-prior with g = n, after the mean of each organisation was taken out.
    Each is multiplied by twice the probability that the level is higher inside, as a trigger raises the behaviour.
    """
    from scipy.special import log_ndtr

    n = len(outcomes)
    y = outcomes if binary else outcomes - _means(outcomes, organisations)[organisations]
    size, sums = (
        np.asarray(where.inside @ np.bincount(cells, weights=w, minlength=len(where.cells)).astype(np.float32), float)
        for w in (np.ones(n), y)
    )
    both = (size > 0) & (size < n)
    evidence, null, z, inside, outside = (_rates if binary else _levels)(size, sums, y)
    posterior = where.prior + np.where(both, evidence - null + log(2) + np.asarray(log_ndtr(z)), 0.0)
    top = max(float(posterior.max()), log(0.5))
    weights, none = np.exp(posterior - top), 0.5 * float(np.exp(-top))
    total = float(weights.sum()) + none
    return Belief(weights / total, none / total, inside, outside, float(y.mean()))


Evidence = tuple[Floats, float, Floats, Floats, Floats]
"""Of each rule: log-evidence (and of 'no trigger'), z of inside less outside, the level inside and outside."""


def _rates(size: Floats, hits: Floats, y: Floats) -> Evidence:
    from scipy.special import betaln

    others, missed = len(y) - size, y.sum() - hits
    inside, outside = (hits + 0.5) / (size + 1), (missed + 0.5) / (others + 1)
    z = (inside - outside) / np.sqrt(inside * (1 - inside) / (size + 1) + outside * (1 - outside) / (others + 1))
    evidence = betaln(hits + 0.5, size - hits + 0.5) + betaln(missed + 0.5, others - missed + 0.5) - betaln(0.5, 0.5)
    return evidence, float(betaln(y.sum() + 0.5, len(y) - y.sum() + 0.5)), z, inside, outside


def _levels(size: Floats, sums: Floats, y: Floats) -> Evidence:
    n, left = len(y), max(float(y @ y), 1e-12)
    others = n - size
    inside, outside = sums / np.maximum(size, 1), -sums / np.maximum(others, 1)
    share = np.clip((inside - outside) ** 2 * size * others / n / left, 0.0, 1 - 1e-9)  # R² of the rule
    evidence = 0.5 * (n - 2) * np.log1p(n) - 0.5 * (n - 1) * np.log1p(n * (1 - share))
    return evidence, 0.0, np.sqrt(share * n / (1 - share)) * np.sign(inside - outside), inside, outside


def _means(x: Floats, groups: Ints) -> Floats:
    return np.asarray(np.bincount(groups, weights=x) / np.maximum(np.bincount(groups), 1), dtype=np.float64)


@dataclass(frozen=True)
class Ridge:
    """The posterior of a ridge regression on the columns of a `Space`."""

    weights: Floats
    covariance: Floats

    def draws(self, where: Space, n: int, rng: np.random.Generator) -> Floats:
        """[n, cells] levels drawn from the posterior."""
        root = np.linalg.cholesky(self.covariance + 1e-12 * np.eye(len(self.weights)))
        drawn = self.weights + rng.standard_normal((n, len(self.weights))) @ root.T
        return np.asarray(drawn @ where.columns.T, dtype=np.float64)


def regress(where: Space, cells: Ints, outcomes: Floats, organisations: Ints) -> Ridge:
    """Main effects and two-factor interactions, with an effect of each organisation. Truth values are taken as numbers.

    The prior variances of main effects and of interactions are those of a grid under which the outcomes are likeliest.
    """
    scale = max(float(outcomes.std()), 1e-6)
    y = (outcomes - outcomes.mean()) / scale
    own = np.eye(int(organisations.max()) + 1)[organisations]
    seen = np.hstack([where.columns[cells], own])
    gram, moment, n = seen.T @ seen, seen.T @ y, len(y)
    best: tuple[float, Floats, Floats] | None = None
    for main, pair in product((0.03, 0.1, 0.3, 1.0), (0.01, 0.03, 0.1, 0.3)):
        penalty = 1 / np.append(np.array([10.0, main, pair])[where.order], np.full(own.shape[1], 0.3))
        root = np.linalg.cholesky(gram + np.diag(penalty))
        weights = np.linalg.solve(root.T, np.linalg.solve(root, moment))
        left = max(float(y @ y - moment @ weights), 1e-3 * n)
        likely = -0.5 * n * log(left / n) - float(np.log(np.diag(root)).sum()) + 0.5 * float(np.log(penalty).sum())
        if best is None or likely > best[0]:
            inverse = np.linalg.inv(root)
            best = likely, weights, inverse.T @ inverse * (left / n)
    assert best is not None  # noqa: S101 - the grid isn't empty
    kept = where.columns.shape[1]
    return Ridge(best[1][:kept] * scale, best[2][:kept, :kept] * scale**2)
