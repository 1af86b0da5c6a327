"""The gate: a new model against the model a study settled on, paired by scenario."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etiology import stats
from etiology.core.values import Effect


@dataclass(frozen=True)
class Gate:
    """``passed`` is False when the rise is above the tolerance and not chance."""

    passed: bool
    rise: Effect
    sentence: str


def compare(new: Any, baseline: Any, clusters: Sequence[str], tolerance: float, alpha: float) -> Gate:  # noqa: ANN401
    """``new`` [scenarios] and ``baseline`` [seeds, scenarios]: behaviour scores in nats.

    Both are given models, so the interval speaks of these two and of other scenarios, not of other trainings.
    """
    rise = stats.effect(new - baseline.mean(axis=0), clusters, "nats")
    failed = rise.value > tolerance and (rise.p or 0.0) < alpha
    verdict = "REGRESSION" if failed else "no regression shown"
    words = f"{verdict}: the behaviour changed by {rise.value:+.2f} nats [{rise.low:+.2f}, {rise.high:+.2f}]"
    least = f"n = {rise.n} scenarios in {rise.clusters} clusters; smallest detectable rise {rise.mde:.2f}"
    return Gate(not failed, rise, f"{words}; tolerance {tolerance:g}; {least}")
