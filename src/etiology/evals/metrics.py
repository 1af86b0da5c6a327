"""Rates and levels of a log, by cell, with the interval that clusters leave; and each cell beside its matched control.

A metric takes every answer (``scores="unreduced"``): answers to one scenario become its share, so that each scenario
weighs the same, and scenarios of one organisation are one cluster. Names read 'attempted, CELL', 'attempted low, CELL'.
Samples of another task set, which say nothing of cells, are one cell and a cluster each.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, cast

from inspect_ai.scorer import Metric, SampleScore, Value, metric

from etiology import stats


@dataclass(frozen=True)
class _Item:
    """All answers to one scenario."""

    scenario: str
    cluster: str
    cell: str
    pair: str
    control: bool
    values: tuple[float, ...]

    @property
    def share(self) -> float:
        return sum(self.values) / len(self.values)


@metric(scores="unreduced")
def rates(of: str, by: str = "cell") -> Metric:
    """The share of answers for which the score's metadata says ``of``, grouped by the sample's metadata ``by``.

    *Interval*: Wilson's where each scenario is its own cluster, else over draws of whole clusters; one cluster that
    holds several scenarios gives 0 to 1.
    """

    def value(scores: list[SampleScore]) -> Value:
        out: dict[str, float] = {}
        for name, items in _grouped(_items(scores, of), by).items():
            rate, low, high = _rate(items)
            out |= {f"{of}, {name}": rate, f"{of} low, {name}": low, f"{of} high, {name}": high}
        return out

    return value


@metric(scores="unreduced")
def levels(of: str) -> Metric:
    """The mean of the number ``of`` in each cell, with its interval over draws of whole clusters."""

    def value(scores: list[SampleScore]) -> Value:
        out: dict[str, float] = {}
        for name, items in _grouped(_items(scores, of), "cell").items():
            level = stats.effect([i.share for i in items], [i.cluster for i in items], of)
            out |= {f"{of}, {name}": level.value, f"{of} low, {name}": level.low, f"{of} high, {name}": level.high}
        return out

    return value


@metric(scores="unreduced")
def beyond_control(of: str, *, share: bool = True) -> Metric:
    """Each cell minus its matched control, paired by organisation and wording. ``share``: ``of`` is a truth value."""

    def value(scores: list[SampleScore]) -> Value:
        items = _items(scores, of)
        controls = {i.pair: i for i in items if i.control}
        out: dict[str, float] = {}
        for name, group in _grouped([i for i in items if not i.control], "cell").items():
            pairs = [(controls[i.pair], i) for i in group if i.pair in controls]
            if not pairs:
                continue
            was, became = [c.share for c, _ in pairs], [i.share for _, i in pairs]
            clusters = [i.cluster for _, i in pairs]
            change = (
                stats.rate_difference(was, became, clusters)
                if share
                else stats.effect([b - a for a, b in zip(was, became, strict=True)], clusters, of)
            )
            label = f"{of} beyond control"
            out |= {
                f"{label}, {name}": change.value,
                f"{label} low, {name}": change.low,
                f"{label} high, {name}": change.high,
            }
        return out

    return value


def _rate(items: Sequence[_Item]) -> tuple[float, float, float]:
    clusters = [i.cluster for i in items]
    answers = [v for i in items for v in i.values]
    if len(set(clusters)) == len(answers):
        rate = stats.rate(int(sum(answers)), len(answers))
        return rate.value, rate.low, rate.high
    over = stats.clustered_rate([i.share for i in items], clusters, len(answers))
    return over.value, over.low, over.high


def _items(scores: Sequence[SampleScore], of: str) -> list[_Item]:
    values: dict[str, list[float]] = defaultdict(list)
    about: dict[str, Mapping[str, Any]] = {}
    for one in scores:
        found = float(cast("Mapping[str, Any]", one.score.metadata)[of])
        if not isnan(found):
            about[str(one.sample_id)] = one.sample_metadata or {}
            values[str(one.sample_id)].append(found)
    return [
        _Item(
            name,
            at.get("cluster", name),
            at.get("cell", "all"),
            at.get("pair", name),
            at.get("control", False),
            tuple(values[name]),
        )
        for name, at in about.items()
    ]


def _grouped(items: Sequence[_Item], by: str) -> dict[str, list[_Item]]:
    out: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        out[str(getattr(item, by))].append(item)
    return out
