"""Arms as points: what is left of the behaviour against what else changed, the compute as the size of the point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from etiology.core.values import Effect
from etiology.disclose import numbers
from etiology.disclose.figures import ACCENT, BLUE, HAIRLINE, INK, MUTED, drawn, write

if TYPE_CHECKING:
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
        axes = figure.add_axes((0.09, 0.14, 0.88, 0.82))
        axes.axhline(0, color=INK, linewidth=1)
        axes.axvline(0, color=HAIRLINE, linewidth=1)
        for point in points:
            colour = ACCENT if point.chosen else BLUE
            x, y = point.worse.value, point.left.value
            for low, high, across in (
                (point.worse.low, point.worse.high, True),
                (point.left.low, point.left.high, False),
            ):
                if low > float("-inf") and high < float("inf"):
                    axes.plot(
                        [low, high] if across else [x, x], [y, y] if across else [low, high], color=HAIRLINE, lw=1.2
                    )
            axes.scatter([x], [y], s=AREA * point.compute / most, color=colour, zorder=4)
            write(axes, x, y, f"  {point.name}", ha="left", size=9, color=colour)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelsize=9)
        axes.set_xlabel("held-out perplexity, log-ratio to the suspect (right: worse)", color=MUTED, fontsize=9.5)
        axes.set_ylabel("behaviour, change from the suspect, nats (down: less)", color=MUTED, fontsize=9.5)

    said = "; ".join(
        f"{p.name}: behaviour {numbers.effect(p.left, plus=True)}, perplexity {numbers.effect(p.worse, plus=True)}"
        for p in points
    )
    return drawn(draw, (10.0, 6.2), "frontier", f"Arms by behaviour left and by what else changed. {said}.")
