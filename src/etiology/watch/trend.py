"""The trend page: one self-contained HTML file of what the ledger holds: rate by version, autonomy and capability.

A version that is not capable is drawn hollow and called so in the table: its zeros are no sign of safety.
"""

import io
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from etiology.core.unclaimed import reads_like_a_number, refuse_unclaimed
from etiology.core.visible import in_page, on_one_line
from etiology.watch.autonomy import Level, level
from etiology.watch.ledger import LEVELS, Capability, Ledger, LedgerError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = {"advise": "#0072b2", "draft": "#009e73", "approve": "#e69f00", "alone": "#d55e00", "": "#555555"}
"""Apart for readers who see few colours (Okabe and Ito 2008)."""
APART: Final = 0.07
NO_LEVEL: Final = "no autonomy stated"


@dataclass(frozen=True)
class Point:
    """One version at one level of autonomy. ``score`` is its capability as a number, None where none is known."""

    version: str
    autonomy: str
    capability: Capability
    score: float | None
    found: Level

    @property
    def level(self) -> str:
        return self.autonomy or NO_LEVEL

    @property
    def hollow(self) -> bool:
        """Whether its rate says nothing of what it would do."""
        return self.capability == "not capable"


@dataclass(frozen=True)
class Part:
    """One behaviour: its points in the order of versions, and its drawing."""

    behaviour: str
    points: tuple[Point, ...]
    svg: str


def points(ledger: Ledger) -> dict[str, list[Point]]:
    """By behaviour, every version and level with answers; calm controls are left out."""
    out: dict[str, list[Point]] = defaultdict(list)
    for behaviour in dict.fromkeys(e.behaviour for e in ledger.entries if e.answers):
        for version in ledger.versions:
            for autonomy in (*LEVELS, ""):
                own = [e for e in ledger.entries if (e.version, e.behaviour) == (version, behaviour)]
                answers = [a for e in own for a in e.answers if a.autonomy == autonomy and not a.control]
                if answers:
                    tools = any(e.tools for e in own for a in e.answers if a.autonomy == autonomy)
                    known = ledger.capability(version, tools=tools)
                    point = Point(version, autonomy, known, ledger.score(version), level(autonomy, answers))
                    out[behaviour].append(point)
    return dict(out)


def page(ledger: Ledger, title: str) -> str:
    """The whole page. The same ledger gives the same bytes.

    Errors: ``LedgerError`` where it holds no answers; ``EvidenceError`` for a title that holds a number.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = points(ledger)
    if not found:
        raise LedgerError("the ledger holds no answers yet; add a log with: etiology watch add LOG --ledger FILE")
    parts = [Part(name, tuple(own), draw(own, f"trend-{i}")) for i, (name, own) in enumerate(found.items())]
    environment = Environment(
        loader=PackageLoader("etiology.watch", "."),
        autoescape=True,
        finalize=in_page,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.tests["numeric"] = reads_like_a_number
    head = ledger.entries[-1].sha256
    made = environment.get_template("trend.html").render(title=title, parts=parts, head=head, lines=len(ledger.entries))
    refuse_unclaimed(made, "Give a title without a number; numbers are in the tables")
    return made


# -- drawing -----------------------------------------------------------------------------------------------------------


def draw(own: Sequence[Point], identity: str) -> str:
    """An ``<svg>`` of two panels: rate by version, and rate by capability where that is known."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    raw = io.BytesIO()
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's font draws the text
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.hashsalt": identity, "svg.fonttype": "none"})
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        _panels(figure, own)
        figure.savefig(raw, format="svg", metadata={"Date": None})
    return _inline(raw.getvalue().decode(), identity, _spoken(own))


def _panels(figure: "Figure", own: Sequence[Point]) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    versions = list(dict.fromkeys(p.version for p in own))
    for autonomy in dict.fromkeys(p.autonomy for p in own):
        at = [p for p in own if p.autonomy == autonomy]
        aside = APART * ((*LEVELS, "").index(autonomy) - 1.5)  # so that equal rates don't hide one another
        _line(left, at, [versions.index(p.version) + aside for p in at])
        known = [(p, p.score) for p in at if p.score is not None]
        _line(right, [p for p, _ in known], [score for _, score in known], joined=False)
    left.set_xticks(range(len(versions)), [_short(v) for v in versions], parse_math=False)
    left.set_xlim(-0.4, len(versions) - 0.6)
    left.set(ylim=(-3, 103), xlabel="version", ylabel="answers with the behaviour, %")
    right.set(xlabel="capability (errands done, or the number given)")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=5, frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)


def _line(axes: "Axes", at: Sequence[Point], x: Sequence[float], *, joined: bool = True) -> None:
    """Dots with intervals; hollow where the version is not capable. Lines join capable versions alone."""
    if not at:
        return
    colour = COLOURS[at[0].autonomy]
    y = [100 * p.found.rate.value for p in at]
    for place, value, p in zip(x, y, at, strict=True):
        axes.plot([place] * 2, [100 * p.found.rate.low, 100 * p.found.rate.high], color=colour, lw=1.5, alpha=0.5)
        axes.plot([place], [value], "o", color=colour, mfc="white" if p.hollow else colour, ms=7)
    firm = [(place, value) for place, value, p in zip(x, y, at, strict=True) if joined and not p.hollow]
    xs, ys = [place for place, _ in firm], [value for _, value in firm]
    axes.plot(xs, ys, "-o", color=colour, lw=1, label=at[0].level, ms=5)


def _short(name: str, longest: int = 14) -> str:
    shown = on_one_line(name)
    return shown if len(shown) <= longest else f"…{shown[1 - longest :]}"


def _spoken(own: Sequence[Point]) -> str:
    said = (
        f"{on_one_line(p.version)}, {on_one_line(p.level)}: {100 * p.found.rate.value:.0f} % of {p.found.n} "
        f"({p.capability})"
        for p in own
    )
    return f"Rates by version and autonomy. {'; '.join(said)}."


def _inline(svg: str, identity: str, spoken: str) -> str:
    """The drawing as an element of a page: no ids that another drawing has, and its content said in words."""
    root = ET.fromstring(svg)  # noqa: S314 - what matplotlib has just written
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        kept = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update({key: _own(key, value, identity) for key, value in kept.items()})
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag == "metadata"]:
            parent.remove(child)
    root.attrib.update({"role": "img", "aria-label": spoken, "width": "100%", "height": "auto"})
    return ET.tostring(root, encoding="unicode")


def _own(key: str, value: str, identity: str) -> str:
    if key == "id":
        return f"{identity}-{value}"
    return re.sub(r"^#|(?<=url\()#", f"#{identity}-", value) if key == "href" or "url(#" in value else value
