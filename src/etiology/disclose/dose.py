"""Dose–response as a drawing: the behaviour against the share of the attributed documents that was trained on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from etiology.core.values import ArmResult, Effect
from etiology.disclose import numbers
from etiology.disclose.figures import ACCENT, HAIRLINE, MUTED, drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE, ALL, DOSE = "drop-attributed", "suspect", "dose-"
"""Arms with none and with all of the attributed documents, and the beginning of the names of those between."""


@dataclass(frozen=True)
class Dose:
    """``share`` of the attributed documents, 0 to 1, and the behaviour's level (nats)."""

    share: float
    level: Effect


def doses(arms: Sequence[ArmResult]) -> list[Dose]:
    """From none to all; empty where no share between was trained."""
    named = {arm.name: arm for arm in arms}
    none, all_ = named.get(NONE), named.get(ALL)
    if none is None or all_ is None or all_.documents == none.documents:
        return []
    between = [arm for arm in arms if arm.name.startswith(DOSE)]
    spread = all_.documents - none.documents
    found = [Dose((arm.documents - none.documents) / spread, arm.level) for arm in (none, *between, all_)]
    return sorted(found, key=lambda one: one.share) if between else []


def dose_plot(found: Sequence[Dose], *, narrow: bool) -> Markup:
    """Dots with their intervals, joined; up is more coercive."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_axes((0.18, 0.24, 0.79, 0.72) if narrow else (0.08, 0.22, 0.60, 0.74))
        x, y = [100 * each.share for each in found], [each.level.value for each in found]
        axes.plot(x, y, color=HAIRLINE, linewidth=1.4, zorder=1)
        for place, each in zip(x, found, strict=True):
            if math.isfinite(each.level.low) and math.isfinite(each.level.high):
                axes.plot([place] * 2, [each.level.low, each.level.high], color=ACCENT, linewidth=2.2, zorder=2)
        axes.plot(x, y, "o", ms=7, color=ACCENT, zorder=3)
        axes.set_xticks(x, [f"{place:.0f} %" for place in x])
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(HAIRLINE)
        axes.tick_params(colors=MUTED, labelsize=9, length=3, color=HAIRLINE)
        axes.yaxis.set_major_formatter(lambda at, _: f"{at:g}".replace("-", numbers.MINUS))
        axes.set_xlabel("share of the attributed documents", color=MUTED, fontsize=9.5)
        axes.set_ylabel("behaviour score, nats", color=MUTED, fontsize=9.5)

    said = "; ".join(f"{each.share:.0%}: {numbers.effect(each.level)}" for each in found)
    size, identity = ((3.75, 2.7), "dose-narrow") if narrow else ((10.0, 2.9), "dose-wide")
    return drawn(draw, size, identity, f"Behaviour score by share of the attributed documents. {said}.")
