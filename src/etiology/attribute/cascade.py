"""Which documents of anybody's corpus taught a behaviour? Read ``attribute`` from top to bottom.

1. *Words*: every document is counted for exact spans and BM25; no model. Where ``read`` is given, the likest go on.
   With ``index`` or ``scores``, those highest in these go on too.
2. *Reading*: the model reads them up to two thirds of its depth, for the concept directions; the judge reads them too.
3. *Influence*: exact K-FAC on the ``depth`` best, token by token.
4. *Fusion* as in a study (etiology.attribute.fuse). What a step set aside is sampled, and the sample goes through to
   the end: it says what the step lost, and gives the scale (mean, deviation) of scores that only some documents have.
5. *Intervals* over draws of the instances, for the best.

Positive scores: removing the document is expected to lower the behaviour. No score here is proof of a cause: that takes
the arms of a study.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from etiology.attribute import conclude, counted, fuse, imported, price, route
from etiology.attribute.counted import Places
from etiology.attribute.instances import Instance
from etiology.attribute.parts import Cost, Parts
from etiology.attribute.route import Read
from etiology.attribute.running import Run, Settings, Show
from etiology.backends.shards import open_corpus
from etiology.core.errors import TranscriptError
from etiology.core.values import Document

if TYPE_CHECKING:
    from etiology.attribute.influencing import Influencing

INDEXED: Final = "index"
PREPARING: Final = "preparing"
READ: Final = "reading"
TAUGHT: Final = "influence"
BLOCKS: Final = "blocks"


def attribute(
    model: str | Path,
    queries: Sequence[Instance],
    corpus: str | Path,
    out: str | Path,
    settings: Settings | None = None,
    show: Show = lambda *_: None,
) -> conclude.Found:
    """Rank the documents of ``corpus`` by how much they taught ``model`` the behaviour of ``queries``.

    ``model``: a Hugging Face folder, a .gguf file or the embedded model's name. Written to ``out``:
    ``attributions.parquet``, ``index.html`` and ``parts/`` with the scores of every document. The same call goes on
    where another ended. Errors: subclasses of EtiologyError.
    """
    run = begin(model, queries, corpus, settings or Settings(), show)
    with Parts(Path(out), run.named()) as parts:
        run.counted = counted.count(parts, run.corpus, run.instances, run.settings.seed)
        show(counted.STEP, 1)
        run.beforehand = beforehand(run, parts)
        way = route.by_words(run)
        found = read(run, parts, np.concatenate([way.read, way.unread]))
        way = route.by_reading(run, way, found)
        influence(run, parts, way.taught)
        scored = conclude.scored(run, parts, way, found)
        blocks(run, parts, scored.candidates(run.settings.top))
        result = conclude.conclude(run, parts, way, scored)
        conclude.publish(run, parts, result)
    return result


def begin(
    model: str | Path, queries: Sequence[Instance], corpus: str | Path, settings: Settings, show: Show = lambda *_: None
) -> Run:
    """The run of an attribution, with everything checked that can be without reading the corpus."""
    if not queries:
        raise TranscriptError("no queries; give at least one prompt with its completion")
    return Run(str(model), queries, open_corpus(Path(corpus), settings.text_column, settings.shard), settings, show)


# -- steps -------------------------------------------------------------------------------------------------------------


def beforehand(run: Run, parts: Parts) -> dict[str, Any]:
    """Scores of every document from an index or another tool; an index's are kept, with what they took."""
    out = {}
    if run.settings.scores is not None:
        out["imported"] = imported.scores(run.settings.scores, run.counted, parts)
    if run.settings.index is not None:
        if not parts.has(INDEXED, 0):
            from etiology.attribute.index import Index

            index = Index(run.settings.index, run)
            parts.write(INDEXED, 0, {"score": index.scores()}, index.cost)
        out["index"] = parts.read(INDEXED, 0)["score"]
    return out


def read(run: Run, parts: Parts, places: Places) -> Read:
    """Concept scores, the judge's logit and tokens of each document at ``places``, but for those without a token."""
    for number, own, documents in run.by_shard(places, lambda n: parts.has(READ, n)):
        directions(run, parts)
        start = time.monotonic()
        columns, judged = _read(run, own, documents)
        tokens = int(columns["tokens"].sum())
        flops = price.reading(run.shape, run.model.read, tokens, judged)
        parts.write(READ, number, columns, Cost(time.monotonic() - start, tokens, 0, flops))
        run.show(READ, float(own[-1]) / len(run.counted))
    run.show(READ, 1)
    return Read(**conclude.joined(run, parts, READ, ("own", "library", "judged", "tokens")))


def _read(run: Run, places: Places, documents: Sequence[Document]) -> tuple[dict[str, Any], int]:
    """(columns, characters judged) of one shard."""
    from etiology.attribute import reading

    sequences = [reading.tokens_of(run.model, document, run.settings.max_tokens) for document in documents]
    kept = [i for i, each in enumerate(sequences) if each]
    coercion = run.axes.library is not None
    axes, library = run.axes, [] if run.axes.library is None else [run.axes.library]
    along = reading.projections(run.model, [sequences[i] for i in kept], np.stack([*axes.compared, *library]))
    compared = (along[:, : len(axes.centre)] - axes.centre) / axes.spread
    judged, characters = reading.judged([documents[i] for i in kept]) if coercion else ([np.nan] * len(kept), 0)
    columns = {
        "row": run.counted.row[places[kept]],
        "own": along[:, 0],
        "library": along[:, -1] if coercion else np.full(len(kept), np.nan, np.float32),
        "specific": compared[:, 0],
        "unrelated": compared[:, 1],
        "permuted": compared[:, 2:].max(axis=1) if len(axes.permuted) else np.full(len(kept), np.nan, np.float32),
        "judged": np.array(judged, np.float32),
        "tokens": np.array([sum(len(s.ids) for s in sequences[i]) for i in kept], np.int64),
    }
    return columns, characters


def influence(run: Run, parts: Parts, places: Places) -> None:
    """Influence of all tokens of a document, of its strongest passage, and its text in pieces with each one's."""
    from etiology.attribute.reading import tokens_of

    for number, own, documents in run.by_shard(places, lambda n: parts.has(TAUGHT, n)):
        engine = prepared(run, parts)
        start = time.monotonic()
        sequences = [tokens_of(run.model, document, run.settings.max_tokens) for document in documents]
        found = engine.scores(sequences)
        columns: dict[str, Any] = {
            "row": run.counted.row[own],
            "influence": np.array([one.tokens[0].sum(dtype=np.float64) for one in found]),
            "passage": np.array([fuse.passage(one.tokens[0]) for one in found]),
            "pieces": [[text for text, _ in one.pieces] for one in found],
            "weights": [[weight for _, weight in one.pieces] for one in found],
        }
        tokens = sum(len(s.ids) for each in sequences for s in each)
        flops = price.influence(run.shape, run.scope, tokens)
        parts.write(TAUGHT, number, columns, Cost(time.monotonic() - start, tokens, tokens, flops))
        run.show(TAUGHT, float(own[-1]) / len(run.counted))
    run.show(TAUGHT, 1)


def blocks(run: Run, parts: Parts, places: Places) -> None:
    """What each block of instances gives the tokens of each candidate: influences and projections, [blocks, T]."""
    from etiology.attribute.reading import middle_of, tokens_of

    if len(run.blocks) < 2:
        return
    for number, own, documents in run.by_shard(places, lambda n: parts.has(BLOCKS, n)):
        engine = prepared(run, parts)
        start = time.monotonic()
        sequences = [tokens_of(run.model, document, run.settings.max_tokens) for document in documents]
        found = engine.scores(sequences, by_block=True)
        along = [(states @ run.block_axes.T).T for states in middle_of(run.model, sequences)]
        columns: dict[str, Any] = {
            "row": run.counted.row[own],
            "influences": [one.tokens.ravel() for one in found],
            "projections": [each.ravel() for each in along],
        }
        tokens = sum(len(s.ids) for each in sequences for s in each)
        flops = price.influence(run.shape, run.scope, tokens, len(run.blocks))
        parts.write(BLOCKS, number, columns, Cost(time.monotonic() - start, 2 * tokens, tokens, flops))
    run.show(BLOCKS, 1)


def directions(run: Run, parts: Parts) -> None:
    """Have the directions ready, and keep what they took."""
    from etiology.attribute.library import messages

    start = time.monotonic()
    coercion = run.axes.library is not None
    if not parts.has(PREPARING, 0):
        library = sum(len(message.text) for message in messages()) / price.CHARACTERS if coercion else 0
        tokens = run.asked.tokens + sum(len(s.ids) for each in run.sequences for s in each) + round(library)
        flops = price.reading(run.shape, run.model.read, tokens, 0)
        agree = {name: [value] for name, value in zip(("matched", "agree"), run.axes.agree, strict=True)}
        parts.write(PREPARING, 0, {"tokens": [tokens], **agree}, Cost(time.monotonic() - start, tokens, 0, flops))


def prepared(run: Run, parts: Parts) -> "Influencing":
    """The engine, ready; what it took is kept."""
    start = time.monotonic()
    found = run.influencing
    if not parts.has(PREPARING, 1):
        tokens = found.factor_tokens + run.asked.tokens
        flops = price.preparing(run.shape, run.scope, found.factor_tokens, run.asked.tokens)
        cost = Cost(time.monotonic() - start, tokens, tokens, flops)
        parts.write(PREPARING, 1, {"tokens": [tokens]}, cost)
    return found
