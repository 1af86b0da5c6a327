"""From the steps' scores to the ranking, what it is sure of, and what it cost; and the files that hold it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etiology.attribute import controls, counted, fuse, price, uncertain
from etiology.attribute.controls import Controls
from etiology.attribute.counted import Places
from etiology.attribute.parts import Cost, Parts
from etiology.attribute.route import Read, Route, scales
from etiology.attribute.running import Run
from etiology.attribute.uncertain import Candidate, Interval, Lost, Scales

Floats = NDArray[np.float64]

MARGIN = 2
"""Candidates are so many times the documents asked for, so that an interval of ranks can reach beyond these."""


@dataclass(frozen=True)
class Row:
    """One document that every step scored. Positive scores: removing it is expected to lower the behaviour.

    ``concept`` and ``judged`` are in standard deviations over the corpus, ``influence`` (of all tokens) and ``passage``
    (of the strongest one) in the engine's units; ``longest`` is the words of its longest exact span; ``index`` and
    ``imported``, where asked for, decide what goes on and are not in ``fused``. ``interval`` is
    there for the candidates. ``sampled``: it is here because a step that set it aside was checked.
    """

    id: str
    shard: int
    file: str
    row: int
    rank: int
    fused: float
    concept: float
    judged: float
    influence: float
    passage: float
    bm25: float
    longest: int
    index: float | None
    imported: float | None
    spans: tuple[tuple[int, int], ...]
    pieces: tuple[tuple[str, float], ...]
    interval: Interval | None
    sampled: bool

    @property
    def beforehand(self) -> dict[str, float]:
        """Scores that were there before the model read, by name."""
        each = {"index": self.index, "imported": self.imported}
        return {name: score for name, score in each.items() if score is not None}


@dataclass(frozen=True)
class Found:
    """The result. ``rows`` are by rank; ``lost`` and ``costs`` by step; ``negative``: controls of the concept
    direction. ``tokens``: of the corpus, estimated from those that were read; ``floor``: operations of forward and
    backward of the attributed layers over all of it.
    """

    rows: tuple[Row, ...]
    top: int
    documents: int
    unusable: int
    cut: int
    tokens: int
    instances: int
    controls: int
    layers: int
    first: int
    depth: int
    read: int
    lost: tuple[Lost, ...]
    negative: Controls | None
    costs: dict[str, Cost]
    floor: float

    @property
    def cost(self) -> Cost:
        return sum(self.costs.values(), Cost())

    @property
    def price(self) -> float:
        """Operations as a share of the floor."""
        return self.cost.flops / self.floor if self.floor else 0.0


def joined(run: Run, parts: Parts, step: str, names: Sequence[str]) -> dict[str, Any]:
    """Columns of all parts of a step, and the documents' ``places``."""
    numbers = parts.numbers(step)
    read = [parts.read(step, n, ["row", *names]) for n in numbers]
    places = [run.counted.places(n, each["row"]) for n, each in zip(numbers, read, strict=True)]
    out: dict[str, Any] = {name: _together([each[name] for each in read]) for name in names}
    return {"places": np.concatenate(places), **out}


def _together(columns: Sequence[Any]) -> Any:  # noqa: ANN401 - arrays, or lists of what no array holds
    if isinstance(columns[0], list):
        return [value for column in columns for value in column]
    return np.concatenate(columns).astype(np.float64 if columns[0].dtype.kind == "f" else columns[0].dtype)


@dataclass(frozen=True)
class Scored:
    """What every step gave the documents that went through all [S], and the scales on which they are fused.

    ``fixed`` is the part of the fused score that does not depend on the instances: the library's and the judge's.
    """

    places: Places
    concept: Floats
    judged: Floats
    influence: Floats
    passage: Floats
    pieces: list[tuple[tuple[str, float], ...]]
    fused: Floats
    fixed: Floats
    scales: Scales

    def candidates(self, top: int) -> Places:
        """Places of the best, for intervals."""
        return self.places[np.argsort(-self.fused, kind="stable")[: MARGIN * top]]


def scored(run: Run, parts: Parts, way: Route, read: Read) -> Scored:
    """Fuse what was read with influence, on the scale of the whole corpus: with equal weights, none chosen by labels.

    Influence of a part of the layers counts by their share (docs/decisions/0008).
    """
    taught = joined(run, parts, "influence", ("influence", "passage", "pieces", "weights"))
    places = taught["places"]
    concept, judged = scales(run, way, read)
    order = np.argsort(read.places)
    at = order[np.searchsorted(read.places[order], places)]
    over = np.ones(len(read.places))
    over[np.isin(read.places, way.unread)] = way.pruned / max(1, len(way.unread))
    own = uncertain.scale(read.own, over)
    raw = _raw_concept(run, read, over)
    among = uncertain.scale(taught["passage"], way.weights(places))
    both = Scales(own, uncertain.scale(raw, over), among, run.weight)
    passage = np.array([both.passage(score) for score in taught["passage"]])
    known = concept[at] + judged[at]
    fixed = known - np.array([own(score) for score in read.own[at]]) / (both.concept.deviation or 1.0)
    fused = known + run.weight * passage
    texts = zip(taught["pieces"], taught["weights"], strict=True)
    pieces = [tuple(zip(each, weights, strict=True)) for each, weights in texts]
    return Scored(
        places, concept[at], judged[at], taught["influence"], taught["passage"], pieces, fused, fixed, both
    )  # fmt: skip


def _raw_concept(run: Run, read: Read, over: Floats) -> Floats:
    """The concept score before it is brought to standard deviations again."""
    if run.settings.behaviour == "any":
        return np.array(fuse.standardised(read.own, over))
    return np.array(fuse.concept(read.own, read.library, over))


def conclude(run: Run, parts: Parts, way: Route, scored: Scored) -> Found:
    """The ranking, its intervals, what pruning may have lost, and the price."""
    order = np.lexsort((scored.places, -scored.fused))
    main = np.isin(scored.places, way.best)
    best = np.sort(scored.fused[main])[::-1]
    bar = float(best[min(run.settings.top, len(best)) - 1])
    tokens, costs = _tokens(run, parts), {step: parts.cost(step) for step in STEPS}
    return Found(
        rows=_rows(run, parts, scored, order, ~main),
        top=run.settings.top,
        documents=len(run.counted),
        unusable=run.counted.unusable,
        cut=run.counted.cut,
        tokens=tokens,
        instances=len(run.instances),
        controls=sum(instance.control is not None for instance in run.instances),
        layers=run.scope.layers,
        first=run.scope.first,
        depth=len(way.best),
        read=len(way.read),
        lost=(
            uncertain.lost("words", way.pruned, _of(scored, way.unread), bar),
            uncertain.lost("reading", way.passed, _of(scored, way.rest), bar),
        ),
        negative=_negative(run, parts, scored.places[order][: run.settings.top]),
        costs={step: cost for step, cost in costs.items() if cost.seconds},
        floor=price.floor(run.shape, run.scope, tokens),
    )


def _negative(run: Run, parts: Parts, best: Places) -> Controls | None:
    """The negative controls of the concept direction."""
    read = joined(run, parts, "reading", ("specific", "permuted", "unrelated"))
    told = parts.read("preparing", 0, ["matched", "agree"])
    agreement = int(told["matched"][0]), int(told["agree"][0])
    at = np.flatnonzero(np.isin(read["places"], best))
    return controls.concluded(agreement, (read["specific"], read["permuted"], read["unrelated"]), at)


STEPS = ("words", "index", "preparing", "reading", "influence", "blocks")


def _of(scored: Scored, places: Places) -> list[float]:
    return [float(x) for x in scored.fused[np.isin(scored.places, places)]]


def _tokens(run: Run, parts: Parts) -> int:
    """Tokens of the corpus: counted where it was read, and for the rest by its characters."""
    read = joined(run, parts, "reading", ("tokens",))
    characters = run.counted.characters
    return round(float(read["tokens"].sum()) * float(characters.sum()) / float(characters[read["places"]].sum()))


def _rows(run: Run, parts: Parts, scored: Scored, order: Places, sampled: NDArray[np.bool_]) -> tuple[Row, ...]:
    places = scored.places[order]
    known = counted.names_and_spans(parts, run.counted, places)
    found = _intervals(run, parts, scored)
    return tuple(
        Row(
            id=name,
            shard=int(run.counted.shard[place]),
            file=run.counted.files[int(run.counted.shard[place])],
            row=int(run.counted.row[place]),
            rank=rank,
            fused=float(scored.fused[i]),
            concept=float(scored.concept[i]),
            judged=float(scored.judged[i]),
            influence=float(scored.influence[i]),
            passage=float(scored.passage[i]),
            bm25=float(run.counted.bm25[place]),
            longest=int(run.counted.longest[place]),
            index=_at(run, "index", place),
            imported=_at(run, "imported", place),
            spans=tuple(spans),
            pieces=scored.pieces[i],
            interval=found.get(int(place)),
            sampled=bool(sampled[i]),
        )
        for rank, (i, place, (name, spans)) in enumerate(zip(order, places, known, strict=True), start=1)
    )


def _at(run: Run, name: str, place: int) -> float | None:
    """A document's score that was there beforehand."""
    if name not in run.beforehand or np.isnan(run.beforehand[name][place]):
        return None
    return float(run.beforehand[name][place])


def _intervals(run: Run, parts: Parts, scored: Scored) -> dict[int, Interval]:
    """By place; none where there is but one block, from which nothing else can be drawn."""
    count = len(run.blocks)
    if count < 2:
        return {}
    read = joined(run, parts, "blocks", ("influences", "projections"))
    candidates = [
        Candidate(np.reshape(influences, (count, -1)), np.reshape(projections, (count, -1)))
        for influences, projections in zip(read["influences"], read["projections"], strict=True)
    ]
    at = [int(np.flatnonzero(scored.places == place)[0]) for place in read["places"]]
    sizes = [len(block) for block in run.blocks]
    axes, fixed = run.block_axes.astype(np.float64), scored.fixed[at].tolist()
    found = uncertain.intervals(candidates, axes, sizes, fixed, scored.scales, seed=run.settings.seed)
    return dict(zip(read["places"].tolist(), found, strict=True))


# -- files -------------------------------------------------------------------------------------------------------------


def publish(run: Run, parts: Parts, found: Found) -> None:
    """``attributions.parquet`` and ``index.html`` and ``summary.json``, each moved into place when whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from etiology.attribute.page import page

    table = pa.Table.from_pylist([_record(row, row.rank <= found.top) for row in found.rows], schema=_schema())
    parts.replace(parts.root / "attributions.parquet", lambda to: pq.write_table(table, to, compression="zstd"))
    summary = json.dumps(summary_of(found), indent=1) + "\n"
    parts.replace(parts.root / "summary.json", lambda to: to.write_text(summary, encoding="utf-8"))
    html = page(run, found)
    parts.replace(parts.root / "index.html", lambda to: to.write_text(html, encoding="utf-8"))


def summary_of(found: Found) -> dict[str, Any]:
    """Everything but the documents: counts, what pruning may have lost, and the price."""
    own = {name: value for name, value in asdict(found).items() if name not in {"rows", "lost", "costs"}}
    lost = [{**asdict(each), "expected": each.expected} for each in found.lost]
    costs = {step: asdict(cost) for step, cost in found.costs.items()}
    return {**own, "lost": lost, "costs": costs, "cost": asdict(found.cost), "price": found.price}


def _record(row: Row, highlighted: bool) -> dict[str, Any]:
    """A row of the table; token highlights for the top alone."""
    interval = {} if row.interval is None else {f"interval_{k}": v for k, v in asdict(row.interval).items()}
    pieces = [{"text": text, "weight": weight} for text, weight in row.pieces] if highlighted else None
    spans = [{"start": start, "end": end} for start, end in row.spans]
    own = {name: value for name, value in vars(row).items() if name not in {"pieces", "interval", "spans"}}
    return {**own, **interval, "spans": spans, "highlights": pieces}


def _schema() -> Any:  # noqa: ANN401 - an Arrow schema
    import pyarrow as pa

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), float | None: pa.float64(), bool: pa.bool_()}
    plain = [(name, kinds[kind]) for name, kind in Row.__annotations__.items() if kind in kinds]
    bounds = [(f"interval_{name}", kinds[kind]) for name, kind in Interval.__annotations__.items()]
    spans = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))
    pieces = pa.list_(pa.struct([("text", pa.string()), ("weight", pa.float64())]))
    return pa.schema([*plain, *bounds, ("spans", spans), ("highlights", pieces)])
