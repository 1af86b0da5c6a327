"""How far the behaviour falls without sets of documents, against how many they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from etiology.core.values import Effect
from etiology.disclose import numbers
from etiology.disclose.figures import ACCENT, BAND, BLUE, INK, MUTED, drawn, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Removal:
    """A set that the search tried: how many documents, and the mean fall (nats) on find scenarios."""

    documents: int
    fall: float


def removals(
    tried: Sequence[Removal], confirmed: Mapping[str, tuple[int, Effect]], random: tuple[int, Effect]
) -> Markup:
    """Hollow: sets of the search. Filled: measured on confirm scenarios. Band: as many random documents as the set."""
    most = max([removal.documents for removal in tried] + [count for count, _ in confirmed.values()])

    def draw(figure: "Figure") -> None:
        axes = figure.add_axes((0.08, 0.15, 0.89, 0.81))
        axes.axhspan(random[1].low, random[1].high, color=BAND, linewidth=0)
        axes.axhline(0, color=INK, linewidth=1)
        write(axes, most, random[1].value, f"{random[0]} random documents", ha="right", size=9, color=MUTED)
        x, y = [removal.documents for removal in tried], [removal.fall for removal in tried]
        axes.plot(x, y, "o", ms=6, mfc="none", mec=BLUE, zorder=3)
        for name, (count, effect) in confirmed.items():
            axes.plot([count, count], [effect.low, effect.high], color=ACCENT, linewidth=2.2, zorder=4)
            axes.plot([count], [effect.value], "o", ms=8, color=ACCENT, zorder=5)
            write(axes, count, effect.value, f"    {name}", ha="left", size=9, color=ACCENT)
        axes.set_xlim(0, 1.15 * most)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelsize=9)
        axes.set_xlabel("documents left out", color=MUTED, fontsize=9.5)
        axes.set_ylabel("fall of the behaviour, nats", color=MUTED, fontsize=9.5)

    said = "; ".join(f"{name}, {count} documents: {numbers.effect(e)}" for name, (count, e) in confirmed.items())
    spoken = (
        f"Fall of the behaviour by documents left out. {said}; {random[0]} random ones: {numbers.effect(random[1])}."
    )
    return drawn(draw, (10.0, 4.6), "removals", spoken)
