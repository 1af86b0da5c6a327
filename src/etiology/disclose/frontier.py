"""Arms as points: what is left of the behaviour against what else changed, the compute as the size of the point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from etiology.core.values import Effect
from etiology.core.visible import visible
from etiology.disclose import numbers
from etiology.disclose.figures import ACCENT, BLUE, HAIRLINE, INK, MUTED, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AREA = 90


@dataclass(frozen=True)
class Point:
    """``left``: change of the behaviour from the suspect, nats (below zero: less of it); ``worse``: log-ratio of
    held-out perplexity; ``compute``: seconds a seed; ``chosen``: the recommended arm.
    """

    name: str
    left: Effect
    worse: Effect
    compute: float
    chosen: bool


def frontier(points: Sequence[Point]) -> Markup:
    """Down is less of the behaviour, right is worse prose; larger points took longer."""
    most = max(point.compute for point in points) or 1.0

    def draw(figure: "Figure") -> None:
        axes = figure.add_axes((0.09, 0.12, 0.70, 0.85))
        axes.axhline(0, color=INK, linewidth=1)
        axes.axvline(0, color=HAIRLINE, linewidth=1)
        for place, point in enumerate(sorted(points, key=lambda p: -p.left.value)):
            _draw_point(axes, point, most, 1 - (place + 0.5) / len(points))
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelsize=9)
        axes.set_xlabel("held-out perplexity, log-ratio to the suspect (right: worse)", color=MUTED, fontsize=9.5)
        axes.set_ylabel("behaviour, change from the suspect, nats (down: less)", color=MUTED, fontsize=9.5)

    said = "; ".join(
        f"{p.name}: behaviour {numbers.effect(p.left, plus=True)}, perplexity {numbers.effect(p.worse, plus=True)}"
        for p in points
    )
    return drawn(draw, (10.0, 6.2), "frontier", f"Arms by behaviour left and by what else changed. {said}.")


def _draw_point(axes: "Axes", point: Point, most: float, height: float) -> None:
    """The point with its intervals, and its name at a ``height`` (share of the figure) to the right, where names have
    room.
    """
    colour = ACCENT if point.chosen else BLUE
    x, y = point.worse.value, point.left.value
    if math.isfinite(point.worse.high - point.worse.low):
        axes.plot([point.worse.low, point.worse.high], [y, y], color=HAIRLINE, linewidth=1.2, zorder=2)
    if math.isfinite(point.left.high - point.left.low):
        axes.plot([x, x], [point.left.low, point.left.high], color=HAIRLINE, linewidth=1.2, zorder=2)
    axes.scatter([x], [y], s=AREA * point.compute / most, color=colour, zorder=4)
    line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.5}
    axes.annotate(
        visible(point.name),
        xy=(x, y),
        xytext=(1.02, height),
        textcoords="axes fraction",
        va="center",
        fontsize=9.5,
        color=colour,
        arrowprops=line,
    )
