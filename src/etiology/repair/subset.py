"""The smallest set of documents whose removal takes away most of what removing all of them does. A pure search.

Notation: A the attributed documents, best first; f(S, seed) how far the behaviour falls without S; wanted: a share w of
f(A). A set is *enough* when the mean over seeds of f(S, seed) - w · f(A, seed) is not below zero; where that mean is
within its standard error of zero, seeds are added up to a limit.

1. Halving: the shortest beginning of A that is enough, by bisection (as if a longer one never did less).
2. Putting back: the last half of the set is put back; if what remains is enough, it stays out of the set, else each of
   its halves is tried, down to single documents (delta debugging, Zeller and Hildebrandt 2002).
3. Step 2 again, until nothing could be put back.

Nothing here proves that no smaller set exists elsewhere: effects need not add up. Every decision looks at noisy numbers
and keeps the lucky ones, so what is found must be measured again, with other seeds and other scenarios.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

Fall = Callable[[tuple[str, ...], int], float]
"""How far the behaviour falls without these documents, with this seed (nats; positive: it falls)."""

PASSES = 3


@dataclass(frozen=True)
class Tried:
    """A set that was removed: its documents, mean fall, and how many seeds that took."""

    documents: tuple[str, ...]
    fall: float
    seeds: int
    enough: bool


@dataclass(frozen=True)
class Search:
    """``share`` of the whole fall that is wanted; ``seeds`` at first and at most."""

    share: float = 0.9
    seeds: int = 2
    most_seeds: int = 4


@dataclass(frozen=True)
class Smallest:
    """The set that was found (in the order of A), and every set tried, in order."""

    documents: tuple[str, ...]
    tried: tuple[Tried, ...]


def smallest(ranked: Sequence[str], fall: Fall, search: Search) -> Smallest:
    """The search above. ``ranked`` is A, the most suspected first."""
    meter = _Meter(tuple(ranked), fall, search)
    low, high = 0, len(ranked)  # the beginning of length high is enough, that of length low is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if meter.enough(tuple(ranked[:middle])) else (middle, high)
    kept = tuple(ranked[:high])
    for _ in range(PASSES):
        fewer = _put_back(kept, kept, meter)
        if fewer == kept:
            break
        kept = fewer
    return Smallest(kept, tuple(meter.tried.values()))


def _put_back(kept: tuple[str, ...], group: tuple[str, ...], meter: "_Meter") -> tuple[str, ...]:
    """``kept`` without those of ``group`` that need not be removed. The last, least suspected, are tried first."""
    without = tuple(name for name in kept if name not in group)
    if without and meter.enough(without):
        return without
    if len(group) > 1:
        half = len(group) // 2
        for part in (group[half:], group[:half]):
            kept = _put_back(kept, part, meter)
    return kept


class _Meter:
    """Asks for falls and remembers the answers."""

    def __init__(self, whole: tuple[str, ...], fall: Fall, search: Search) -> None:
        self.whole, self.fall, self.search = whole, fall, search
        self.tried: dict[tuple[str, ...], Tried] = {}
        self._all: dict[int, float] = {}

    def enough(self, documents: tuple[str, ...]) -> bool:
        if documents not in self.tried:
            self.tried[documents] = self._try(documents)
        return self.tried[documents].enough

    def _try(self, documents: tuple[str, ...]) -> Tried:
        falls: list[float] = []
        over: list[float] = []
        while len(falls) < self.search.seeds or (len(falls) < self.search.most_seeds and _unsure(over)):
            seed = len(falls)
            falls.append(self.fall(documents, seed))
            if seed not in self._all:
                self._all[seed] = self.fall(self.whole, seed)
            over.append(falls[-1] - self.search.share * self._all[seed])
        return Tried(documents, mean(falls), len(falls), mean(over) >= 0)


def _unsure(over: Sequence[float]) -> bool:
    """Whether the mean is within its standard error of zero."""
    return len(over) < 2 or abs(mean(over)) < stdev(over) / len(over) ** 0.5
