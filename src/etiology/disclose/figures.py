"""The figures, as inline SVG that a page can hold without a script or a file beside it.

Matplotlib is imported when a figure is drawn, not when this module is. Each drawing runs under matplotlib's own
defaults with a fixed salt, so that the same findings give the same bytes on every machine with the same version.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

from etiology.core.values import ArmResult, Cell, Effect
from etiology.core.visible import visible
from etiology.disclose import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.ticker import Locator

INK, MUTED, HAIRLINE = "#1f1d1a", "#5f5a52", "#d8d3ca"
ACCENT, BLUE, BAND, RANDOM = "#9a3412", "#1d5b8f", "#efece6", "#cfdfec"

_REFERENCE = re.compile(r"(^|url\()#")
_LONGEST_NAME = 34


@dataclass(frozen=True)
class Change:
    """One row of the dot plot."""

    name: str
    effect: Effect


def changes(arms: Iterable[ArmResult]) -> list[Change]:
    return [Change(arm.name, arm.effect) for arm in arms if arm.effect is not None]


@dataclass(frozen=True)
class Bands:
    """What the rows are read against: the smallest effect of interest, on both sides of zero, and the interval of the
    arm without as many random documents.
    """

    smallest: float | None = None
    random: Effect | None = None


def dot_plot(rows: Sequence[Change], bands: Bands, label: str, *, narrow: bool) -> Markup:
    """Every arm's change from the suspect: the suspect is the zero line, the dot the arm, the bar its interval.

    A filled dot has an interval that leaves zero out. The narrow drawing, for phones, writes each arm's name above
    its row.
    """

    def draw(figure: "Figure") -> None:
        (_draw_narrow if narrow else _draw_wide)(figure, rows, bands, label)

    height = (0.56 if narrow else 0.40) * len(rows) + 0.75
    identity = "changes-narrow" if narrow else "changes-wide"
    return drawn(draw, (3.75 if narrow else 10.0, height), identity, _spoken_changes(rows, label))


def heat_map(model: str, cells: Sequence[Cell], largest: float, index: int) -> Markup:
    """The threatened × leverage cells of one model. ``largest`` puts the models on one colour scale."""

    def draw(figure: "Figure") -> None:
        _draw_cells(figure, cells, largest)

    return drawn(draw, (3.1, 2.35), f"cells-{index}", _spoken_cells(model, cells))


def _draw_wide(figure: "Figure", rows: Sequence[Change], bands: Bands, label: str) -> None:
    axes = _row_axes(figure, (0.225, 0.545), rows, label)
    _draw_zero(axes, -0.6, len(rows) - 0.4, bands)
    for i, row in enumerate(rows):
        _name_row(axes, i, row, size=10)


def _draw_narrow(figure: "Figure", rows: Sequence[Change], bands: Bands, label: str) -> None:
    axes = _row_axes(figure, (0.03, 0.94), rows, label)
    for i, row in enumerate(rows):
        _draw_zero(axes, i - 0.2, i + 0.2, bands)
        _name_row(axes, i - 0.45, row, size=9.5)


def _name_row(axes: "Axes", y: float, row: Change, size: float) -> None:
    """The arm at the left edge of the figure and its change at the right one."""
    from matplotlib.transforms import blended_transform_factory

    beside = blended_transform_factory(axes.figure.transFigure, axes.transData)
    for x, words, side in ((0.0, _fit(row.name), "left"), (1.0, _said(row.effect), "right")):
        write(axes, x, y, words, ha=side, size=size).set_transform(beside)


def _draw_zero(axes: "Axes", top: float, bottom: float, bands: Bands) -> None:
    """A piece of the line that is the suspect, of the band within which a change is too small to matter, and of the
    random one.
    """
    if bands.smallest is not None:
        axes.fill_betweenx([top, bottom], -abs(bands.smallest), abs(bands.smallest), color=BAND, linewidth=0, zorder=0)
    random = bands.random
    if random is not None and math.isfinite(random.low) and math.isfinite(random.high):
        axes.fill_betweenx([top, bottom], random.low, random.high, color=RANDOM, linewidth=0, zorder=0.5)
    axes.plot([0, 0], [top, bottom], color=INK, linewidth=1, zorder=1)


def _row_axes(figure: "Figure", span: tuple[float, float], rows: Sequence[Change], label: str) -> "Axes":
    """Axes with a row per arm, the first on top, each with its dot and interval."""
    height = float(figure.get_size_inches()[1])
    axes = figure.add_axes((span[0], 0.55 / height, span[1], 1 - 0.75 / height))
    axes.set_ylim(len(rows) - 0.4, -0.6 if span[0] > 0.1 else -0.75)
    axes.set_yticks([])
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(HAIRLINE)
    axes.tick_params(axis="x", colors=MUTED, labelsize=9, length=3, color=HAIRLINE)
    axes.set_xlabel(visible(label), color=MUTED, fontsize=9.5, labelpad=6, parse_math=False)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", numbers.MINUS))
    axes.xaxis.set_major_locator(_few_ticks())
    for i, row in enumerate(rows):
        _draw_row(axes, i, row.effect)
    axes.margins(x=0.06)
    return axes


def _few_ticks() -> "Locator":
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])


def _draw_row(axes: "Axes", i: int, effect: Effect) -> None:
    clear = effect.low > 0 or effect.high < 0
    axes.plot([0, effect.value], [i, i], color=HAIRLINE, linewidth=1.2, zorder=2, solid_capstyle="butt")
    if math.isfinite(effect.low) and math.isfinite(effect.high):
        axes.plot([effect.low, effect.high], [i, i], color=ACCENT, linewidth=2.4, zorder=3, solid_capstyle="round")
    else:
        axes.axhline(i, color=ACCENT, linewidth=1.4, linestyle=":", zorder=3)  # the data don't bound it
    axes.plot([effect.value], [i], "o", ms=7.5, color=ACCENT, mfc=ACCENT if clear else "#ffffff", mew=1.8, zorder=4)


def _draw_cells(figure: "Figure", cells: Sequence[Cell], largest: float) -> None:
    from matplotlib.patches import Rectangle

    axes = figure.add_axes((0.20, 0.02, 0.79, 0.84))
    axes.set(xlim=(0, 2), ylim=(2, 0))
    axes.set_axis_off()
    for cell in cells:
        x, y = (0 if cell.leverage else 1), (0 if cell.threatened else 1)
        axes.add_patch(Rectangle((x + 0.012, y + 0.015), 0.976, 0.97, facecolor=shade(cell.level.value, largest), lw=0))
        point, interval = numbers.parts(cell.level.value, cell.level.low, cell.level.high, cell.level.unit)
        write(axes, x + 0.5, y + 0.36, point, ha="center", size=15)
        write(axes, x + 0.5, y + 0.62, interval or "", ha="center", size=8.5)
        write(axes, x + 0.5, y + 0.80, f"n = {cell.level.n}", ha="center", size=8.5)
    for i, words in enumerate(("leverage", "no leverage")):
        write(axes, i + 0.5, -0.12, words, ha="center", size=9.5, color=MUTED)
    for i, words in enumerate(("threat", "no threat")):
        write(axes, -0.06, i + 0.5, words, ha="right", size=9.5, color=MUTED)


def shade(value: float, largest: float) -> str:
    """White at zero, towards the accent above it and blue below, never so dark that the ink on it is hard to read."""
    share = 0.06 + 0.49 * min(1.0, abs(value) / largest) if largest else 0.06
    end = ACCENT if value >= 0 else BLUE
    mixed = (255 + share * (int(end[i : i + 2], 16) - 255) for i in (1, 3, 5))
    return "#" + "".join(f"{round(channel):02x}" for channel in mixed)


def write(axes: "Axes", x: float, y: float, words: str, *, ha: str, size: float, color: str = INK) -> "Text":
    shown = visible(words)
    return axes.text(x, y, shown, ha=ha, va="center", fontsize=size, color=color, parse_math=False, zorder=5)


def _fit(name: str) -> str:
    shown = " ".join(visible(name).split())
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"


def _said(effect: Effect) -> str:
    return numbers.effect(effect, plus=True)


def _spoken_changes(rows: Sequence[Change], label: str) -> str:
    said = "; ".join(f"{row.name}: {_said(row.effect)}" for row in rows)
    return f"Dot plot. {label}, with intervals. {said}."


def _spoken_cells(model: str, cells: Sequence[Cell]) -> str:
    said = "; ".join(
        f"{'threat' if cell.threatened else 'no threat'}, {'leverage' if cell.leverage else 'no leverage'}: "
        f"{numbers.effect(cell.level)}, n = {cell.level.n}"
        for cell in cells
    )
    return f"Heat map of the {model} model. {said}."


def drawn(draw: Callable[["Figure"], None], size: tuple[float, float], identity: str, spoken: str) -> Markup:
    """Draws outside pyplot and returns an ``<svg>`` element whose ids no other figure of the page has."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    raw = io.BytesIO()
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's font draws the text
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.hashsalt": identity, "svg.fonttype": "none"})
        figure = Figure(figsize=size)
        figure.set_canvas(FigureCanvasSVG(figure))
        figure.patch.set_visible(False)
        draw(figure)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        figure.savefig(raw, format="svg", metadata={"Date": None})
    return _inline(raw.getvalue(), identity, visible(spoken))


def _inline(svg: bytes, identity: str, spoken: str) -> Markup:
    """Strips what a page doesn't need, makes ids unique and says in words what the picture shows."""
    root = ET.fromstring(svg)  # noqa: S314 - what matplotlib has just written
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update({key: _own(key, value, identity) for key, value in attributes.items()})
    width, height = (float(root.attrib[side].removesuffix("pt")) * 4 / 3 for side in ("width", "height"))
    root.attrib.update({"width": f"{width:.0f}", "height": f"{height:.0f}", "role": "img", "aria-label": spoken})
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - the serialiser has escaped it


def _own(key: str, value: str, identity: str) -> str:
    if key == "id":
        return f"{identity}-{value}"
    if key == "href" or "url(#" in value:
        return _REFERENCE.sub(rf"\1#{identity}-", value)
    return value
