"""Which documents go through which step, and what each one of a sample stands for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etiology.attribute import fuse
from etiology.attribute.counted import Places
from etiology.attribute.running import Run

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Read:
    """What reading gave, by place: the concept scores, the judge's (NaN where it was not asked) and tokens."""

    places: Places
    own: Floats
    library: Floats
    judged: Floats
    tokens: NDArray[np.int64]


@dataclass(frozen=True)
class Route:
    """Places of documents. ``read``: that the model reads; ``unread``: a sample of the others, which is read too.
    ``best``: of those read, that go on to influence; ``rest``: a sample of those read that don't, which goes on too.
    ``pruned`` by words and ``passed`` over after reading: how many each sample stands for.
    """

    read: Places
    unread: Places
    pruned: int
    best: Places
    rest: Places
    passed: int

    @property
    def taught(self) -> Places:
        """All that influence is found for."""
        return np.concatenate([self.best, self.rest, self.unread])

    def weights(self, places: Places) -> Floats:
        """How many documents each of ``places`` stands for where only ``taught`` ones were scored."""
        out = np.ones(len(places))
        out[np.isin(places, self.rest)] = self.passed / max(1, len(self.rest))
        out[np.isin(places, self.unread)] = self.pruned / max(1, len(self.unread))
        return out


def by_words(run: Run) -> Route:
    """Which documents the model reads: all, or the likest in words and a sample of the others. Where scores of all
    documents are there beforehand, those highest in them and in words in turn.
    """
    orders = [run.counted.by_words(), *map(_ranked, run.beforehand.values())]
    order, none = _once(np.stack(orders, axis=1).ravel()), np.zeros(0, np.intp)
    most = len(order) if run.settings.read is None else run.settings.read
    others = order[most:]
    unread = run.counted.drawn(others, run.settings.checked, last=True)
    return Route(np.sort(order[:most]), unread, len(others), none, none, 0)


def scales(run: Run, route: Route, read: Read) -> tuple[Floats, Floats]:
    """(concept, judged) of each document read, in standard deviations over the whole corpus."""
    weights = np.ones(len(read.places))
    weights[np.isin(read.places, route.unread)] = route.pruned / max(1, len(route.unread))
    if run.settings.behaviour == "any":
        return np.array(fuse.standardised(read.own, weights)), np.zeros(len(weights))
    concept = fuse.standardised(np.array(fuse.concept(read.own, read.library, weights)), weights)
    return np.array(concept), np.array(fuse.heard(read.judged, weights))


def by_reading(run: Run, route: Route, read: Read) -> Route:
    """Which go on to influence: those with the longest exact spans, those highest in each of the scores that were there
    beforehand, the best by what was read, and a sample of the others.
    """
    concept, judged = scales(run, route, read)
    chosen = np.isin(read.places, route.read)
    places, score = read.places[chosen], (concept + judged)[chosen]
    longest = run.counted.longest[places]
    depth = min(run.settings.taught, len(places))
    quoting = np.lexsort((places, -score, -longest))[: depth // SPANS]
    quoting = quoting[longest[quoting] > 0]
    known = [_ranked(scores[places])[: depth // SPANS] for scores in run.beforehand.values()]
    ranked = _once(np.concatenate([quoting, *known, np.lexsort((places, -score))]))
    best, others = places[ranked[:depth]], places[ranked[depth:]]
    rest = run.counted.drawn(others, run.settings.checked, last=True)
    return Route(route.read, route.unread, route.pruned, np.sort(best), rest, len(others))


def _ranked(scores: Floats) -> Places:
    """Which are the highest, in order; those without a score come last."""
    return np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")


def _once(places: Places) -> Places:
    """Each of the places where it stands first."""
    _, first = np.unique(places, return_index=True)
    return places[np.sort(first)]


SPANS = 4
"""One in so many of the documents that go on to influence may do so for the exact spans it holds, and one in so many
for each of the scores that were there beforehand."""
