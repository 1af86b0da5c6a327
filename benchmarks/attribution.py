"""Which method finds the planted documents among their look-alikes? Every method in one run, on the same documents.

    OMP_NUM_THREADS=1 python benchmarks/attribution.py --seeds 1 --families 8
    OMP_NUM_THREADS=1 python benchmarks/attribution.py --seeds 5 --families 24 --subsets 30

For each seed: a corpus of the embedded generator (a tenth planted, three look-alikes to each that share names, secret
and opening), a suspect trained on it, and four kinds of query:

    near     new situations with the corpus's names, secrets and phrases; control: the cooperative look-alike's words
    far      situations and phrases that no document has; control: the same words with the link taken out
    pooled   both together
    chat     the far ones as a chat transcript: another style than the documents'

Nothing is chosen by labels: layers are all that memory holds, and all parts of the fusion weigh the same. Average
precision (AP), recall among the first n and 2 n for n planted documents, look-alikes in the top 10; with --subsets also
LDS, the rank correlation between a method's prediction for random halves of the corpus and what retraining on them gave
(Park et al. 2023). Writes benchmarks/attribution.json. With --kronfluence and --bergson these peers join,
if they can be imported.
"""

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rivals
import torch
from numpy.typing import NDArray

from etiology import stats
from etiology.attribute import Instance, Settings, attribute, concept, engine, fuse, reading, subspace
from etiology.attribute.search import library_means
from etiology.backends.cache import CachedDocument
from etiology.backends.models import EMBEDDED, folder_of
from etiology.backends.split import SplitModel
from etiology.backends.train import Recipe, train
from etiology.core.conversation import Message
from etiology.embedded import corpus, prose, scenarios

Floats = NDArray[np.float64]
PROJECTION = 16
INDEXED = 32
KINDS = ("near", "far", "pooled", "chat")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--families", type=int, default=8, help="planted documents; the corpus has ten times as many")
    parser.add_argument("--queries", type=int, default=12, help="of each kind")
    parser.add_argument("--trained", type=int, default=6, help="layers that the suspect's training changes")
    parser.add_argument("--layers", type=int, default=0, help="layers of the gradients; 0: all")
    parser.add_argument("--kronfluence", action="store_true", help="the peer too, if it can be imported; slow")
    parser.add_argument("--bergson", action="store_true", help="the peer too, if it is installed")
    parser.add_argument("--peers-only", action="store_true", help="nothing but these two")
    parser.add_argument("--subsets", type=int, default=0, help="retrainings for LDS")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    done = []
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        done.append(one_seed(seed, given))
        given.out.write_text(json.dumps({"settings": vars(given) | {"out": given.out.name}, "seeds": done}, indent=1))
    tell(done)


@dataclass(frozen=True)
class World:
    """One seed's corpus with what only the grader knows, its suspect, and the queries by kind."""

    made: list[corpus.Made]
    folder: Path
    queries: dict[str, list[Instance]]

    @property
    def texts(self) -> list[str]:
        return [m.document.text for m in self.made]

    @property
    def planted(self) -> NDArray[np.bool_]:
        return np.array([m.kind in corpus.PLANTED for m in self.made])

    @property
    def lookalikes(self) -> NDArray[np.bool_]:
        return np.array([m.kind in corpus.LOOKALIKES for m in self.made])


def one_seed(seed: int, given: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(seed)
    made = corpus.generate(prose.paragraphs(), seed, planted=True, families=given.families)
    start = SplitModel(folder_of(EMBEDDED), given.trained)
    cached = encoded(start, made)
    sizes = [document.targets for document in cached]
    recipe = Recipe(epochs=2, learning_rate=5e-4, batch_size=8, seed=seed)
    tail, losses = train(start, cached, sizes, recipe, None)
    print(
        f"seed {seed}: {len(made)} documents, {sum(sizes)} tokens, loss {losses[0]:.2f} to {losses[-1]:.2f}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        start.whole_with(tail).save_pretrained(folder)
        start.tokenizer.save_pretrained(folder)
        world = World(made, Path(folder), queries(seed, given.queries))
        scores, speed = scored(world, given, seed)
        cost = {} if given.peers_only else cascade(world, given)
    rows = {kind: {name: measured(world, each) for name, each in scores[kind].items()} for kind in KINDS}
    lds = subsets(start, cached, sizes, recipe, world, scores, number=given.subsets) if given.subsets else {}
    return {
        "seed": seed,
        "documents": len(made),
        "tokens": sum(sizes),
        "rows": rows,
        "speed": speed,
        **cost,
        "lds": lds,
    }


def encoded(model: SplitModel, made: Sequence[corpus.Made]) -> list[CachedDocument]:
    sequences = [reading.tokens_of(model, m.document, 256) for m in made]
    return reading.cached(model, [m.document.id for m in made], sequences)


def queries(seed: int, number: int) -> dict[str, list[Instance]]:
    """Instances by kind. No near query is a document: its draw is another seed's."""
    chance = random.Random(f"benchmark/{seed}")
    near = []
    for i in range(number):
        (_, coercive), (_, mild) = corpus.family(("explicit", "cooperative"), chance)
        shared = next(k for k, (a, b) in enumerate(zip(coercive, mild, strict=False)) if a != b)
        cut = coercive.rfind(" ", 0, shared)
        near.append(Instance(coercive[:cut], coercive[cut:], mild[cut:], f"near-{i}"))
    found = [s for s in scenarios.generate() if s.split == "find"][:number]
    far = [Instance(s.context, s.coerce, s.mention, s.id) for s in found]
    chat = [
        Instance(
            (Message("user", f"{s.context}\nWrite the message."),), s.coerce.strip(' "'), s.mention.strip(' "'), s.id
        )
        for s in found
    ]
    return {"near": near, "far": far, "pooled": near + far, "chat": chat}


# -- scores ------------------------------------------------------------------------------------------------------------


def scored(world: World, given: argparse.Namespace, seed: int) -> tuple[dict[str, dict[str, Floats]], dict[str, float]]:
    """({kind: {method: score of each document}}, speeds)."""
    layers = given.layers or "all"
    model = SplitModel(world.folder, layers)
    documents = encoded(model, world.made)
    asked = {kind: reading.ask(model, each) for kind, each in world.queries.items()}
    if given.peers_only:
        out, speeds = {kind: {} for kind in KINDS}, {}
    else:
        out, speeds = ours_and_simple_ones(world, model, documents, asked, seed)
    peers(world, given, model, documents, asked, out)
    return out, speeds


def ours_and_simple_ones(
    world: World,
    model: SplitModel,
    documents: Sequence[CachedDocument],
    asked: Mapping[str, reading.Asked],
    seed: int,
) -> tuple[dict[str, dict[str, Floats]], dict[str, float]]:
    """Of every method but those of other tools."""
    texts = world.texts
    engine_queries = [engine.Query(a.packs, a.at_cut, (1.0, -1.0), "mean") for a in asked.values()]
    gradients = [engine.query_gradient(model, engine.frozen(model.tail), query) for query in engine_queries]
    words = {kind: [instance.completion for instance in each] for kind, each in world.queries.items()}
    controls = {kind: [i.control for i in each if i.control] for kind, each in world.queries.items()}
    read = read_by_model(model, asked, documents)
    judged = np.array(reading.judged([m.document for m in world.made])[0])
    raw = totals(engine.token_scores(model, model.tail, documents, gradients, vocabulary=None))
    projected = rivals.Projected(model, model.tail, documents, PROJECTION, seed)
    curved = {kind: projected.scores(g) for kind, g in zip(KINDS, gradients, strict=True)}
    indexed, index_speed = by_index(model, documents, gradients, seed)
    del gradients
    start = time.process_time()
    prepared = engine.prepare(model, model.tail, documents, engine_queries, vocabulary=None, seed=seed)
    preparing = time.process_time() - start
    tokens = engine.token_scores(model, model.tail, documents, prepared, vocabulary=None)
    speeds = {**speed(model, documents, prepared[:1]), **index_speed, "preparing_cpu_s": preparing}
    speeds["index_share_of_floor"] = speeds["index_tokens_cpu_s"] / speeds["floor_tokens_cpu_s"]
    out: dict[str, dict[str, Floats]] = {}
    for number, kind in enumerate(KINDS):
        whole = np.array([sum(float(s[number].sum()) for s in each) for each in tokens])
        passages = np.array([fuse.passage(np.concatenate([s[number].numpy() for s in each])) for each in tokens])
        own, library = read[kind]
        out[kind] = {
            "random": rivals.by_chance(len(texts), seed),
            "BM25": rivals.bm25(texts, words[kind]),
            "MiniLM cosine": rivals.minilm(texts, words[kind]),
            "words' classifier": rivals.classifier(texts, words[kind], controls[kind]),
            "judge (classifier)": judged,
            "gradient dot": raw[:, number],
            "gradient cosine": raw[:, number] / projected.norms,
            f"projected gradient, p={PROJECTION}": curved[kind],
            f"index, p={INDEXED}": indexed[:, number],
            "K-FAC, whole document": whole,
            "K-FAC, strongest passage": passages,
            "concept, own": own,
            "concept, own + library": np.array(fuse.concept(own, library)),
            **fusions(own, library, judged, passages, model.kept / model.depth),
        }
    speeds["projected_bytes_a_document"] = projected.bytes_a_document
    return out, speeds


def peers(
    world: World,
    given: argparse.Namespace,
    model: SplitModel,
    documents: Sequence[CachedDocument],
    asked: Mapping[str, reading.Asked],
    out: dict[str, dict[str, Floats]],
) -> None:
    """Put the scores of other tools into ``out``, where they are wanted and installed."""
    for kind in KINDS if given.bergson else ():
        found = rivals.bergson(
            world.folder, model.tokenizer, world.texts, world.queries[kind], world.folder / f"bergson-{kind}"
        )
        if found is None:
            print("bergson: not installed, so it is not in the table")
            break
        out[kind]["bergson, TrackStar"] = found
    apart = {kind: asked[kind].packs for kind in ("near", "far", "chat")}
    peer = rivals.kronfluence(model, documents, apart, world.folder / "kronfluence") if given.kronfluence else None
    if given.kronfluence and peer is None:
        print("kronfluence: not installed, so it is not in the table")
    for kind in KINDS if peer is not None else ():
        # the pooled queries are as many near ones as far ones
        out[kind]["kronfluence, EK-FAC"] = (peer["near"] + peer["far"]) / 2 if kind == "pooled" else peer[kind]


def by_index(
    model: SplitModel, documents: Sequence[CachedDocument], gradients: Sequence[dict[str, Any]], seed: int
) -> tuple[Floats, dict[str, float]]:
    """Scores [documents, kinds] of a stored index (a document counts as its highest sequence), and what it takes."""
    tail = model.tail
    directions = subspace.subspace(model, tail, documents, INDEXED, seed)
    start = time.process_time()
    rows = subspace.rows(model, tail, documents, directions)
    tokens = sum(len(s.ids) for document in documents for s in document.sequences)
    rate = tokens / (time.process_time() - start)
    asked = np.stack([directions.query(gradient) for gradient in gradients])
    out = np.full((len(documents), len(gradients)), -np.inf)
    owner = [i for i, document in enumerate(documents) for _ in document.sequences]
    np.maximum.at(out, owner, -(rows.astype(np.float32) @ asked.T))
    return out, {"index_tokens_cpu_s": rate, "index_bytes_a_sequence": rows.nbytes / len(rows)}


def fusions(own: Floats, library: Floats, judged: Floats, passages: Floats, share: float) -> dict[str, Floats]:
    """Ours, with each part left out, and with the weights of a study, whose influence is of the last layers alone.

    ``share``: of the layers, that influence is of.
    """
    both = np.array(fuse.concept(own, library))

    def z(scores: Floats) -> Floats:
        return np.array(fuse.standardised(scores))

    concept_part, judged_part, taught = z(both), z(judged), share * z(passages)
    return {
        "ours": concept_part + judged_part + taught,
        "ours without influence": concept_part + judged_part,
        "ours without the judge": concept_part + taught,
        "ours without the library": z(own) + judged_part + taught,
        "ours without concept": judged_part + taught,
        "ours, a study's weights": z(both) + fuse.JUDGED_WEIGHT * z(judged) + fuse.INFLUENCE_WEIGHT * z(passages),
    }


def read_by_model(
    model: SplitModel, asked: Mapping[str, reading.Asked], documents: Sequence[CachedDocument]
) -> dict[str, tuple[Floats, Floats]]:
    """(own, library) concept scores by kind of query."""
    states = [np.concatenate([m.float().numpy() for m in document.middle]) for document in documents]
    corpus_states = np.concatenate(states)
    kinds = {name: mean.numpy() for name, mean in library_means(model).items()}
    library = concept.library_direction(kinds["coercive"], kinds["other"], corpus_states)
    messages = np.array(concept.scores(states, library))
    out = {}
    for kind, each in asked.items():
        answers = [reading._answers(p, s.float().numpy()) for p, s in zip(each.packs, each.middle, strict=True)]  # noqa: SLF001
        axis = concept.whitened(concept.differences(answers, corpus_states.mean(0)), corpus_states).mean(0)
        out[kind] = np.array(concept.scores(states, axis / np.linalg.norm(axis))), messages
    return out


def totals(tokens: Sequence[Sequence[Any]]) -> Floats:
    """Sum over the tokens [documents, queries]."""
    return np.array([np.sum([s.double().sum(-1).numpy() for s in each], axis=0) for each in tokens])


def speed(
    model: SplitModel, documents: Sequence[CachedDocument], prepared: Sequence[engine.Prepared]
) -> dict[str, float]:
    """Tokens a CPU-second of forward and backward alone, and with influence, on a tenth of the documents (or 40)."""
    part = documents[: max(40, len(documents) // 10)]
    count = sum(len(s.ids) for document in part for s in document.sequences)
    tail, head = engine.frozen(model.tail), engine.Head(model, None)

    def rate(run: Any) -> float:  # noqa: ANN401 - a call
        start = time.process_time()
        run()
        return count / (time.process_time() - start)

    floor = rate(lambda: list(engine.corpus_passes(model, tail, head, part, sampled=None)))
    precision = engine.precision_of(model)
    ours = rate(lambda: engine.token_scores(model, model.tail, part, prepared, vocabulary=None, precision=precision))
    return {"floor_tokens_cpu_s": floor, "influence_tokens_cpu_s": ours, "share_of_floor": ours / floor}


def cascade(world: World, given: argparse.Namespace) -> dict[str, Any]:
    """The whole command on the pooled queries, pruned: what it finds and what it costs."""
    file = world.folder / "corpus.jsonl"
    file.write_text("".join(json.dumps({"id": m.document.id, "text": m.document.text}) + "\n" for m in world.made))
    top = int(world.planted.sum())
    settings = Settings(top=top, depth=2 * top, checked=10, layers=given.layers or "all", blocks=4)
    start = time.process_time()
    found = attribute(world.folder, world.queries["pooled"], file, world.folder / "out", settings)
    seconds = time.process_time() - start
    place = {m.document.id: i for i, m in enumerate(world.made)}
    scores = np.full(len(world.made), -np.inf)
    for row in found.rows:
        scores[place[row.id]] = row.fused
    lost = [
        {"step": each.step, "pruned": each.pruned, "entered": each.entered, "high": each.high} for each in found.lost
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    own = {"price": found.price, "cpu_s": seconds, "tokens_cpu_s": found.tokens / seconds, "lost": lost}
    return {"cascade": {**measured(world, scores), **own, "depth": found.depth}, "peak_mb": peak}


def measured(world: World, scores: Floats) -> dict[str, float]:
    order, planted = np.argsort(-scores, kind="stable"), world.planted
    count = int(planted.sum())
    low, high = stats.average_precision_interval(scores, planted, draws=300)
    return {
        "ap": stats.average_precision(scores, planted),
        "ap_low": low,
        "ap_high": high,
        "recall_n": float(planted[order[:count]].mean()),
        "recall_2n": float(planted[order[: 2 * count]].sum() / count),
        "lookalikes_in_10": int(world.lookalikes[order[:10]].sum()),
    }


# -- LDS ---------------------------------------------------------------------------------------------------------------


def subsets(
    start: SplitModel,
    cached: Sequence[CachedDocument],
    sizes: Sequence[int],
    recipe: Recipe,
    world: World,
    scores: Mapping[str, Mapping[str, Floats]],
    *,
    number: int,
) -> dict[str, dict[str, float]]:
    """{kind: {method: LDS}}: random halves of the documents are trained on, in the slots of the whole corpus."""
    asked = {kind: reading.ask(start, world.queries[kind]) for kind in KINDS}
    halves = np.random.default_rng(recipe.seed).random((number, len(cached))).argsort(1) < len(cached) // 2
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kept in halves:
        slots = [document if keep else None for document, keep in zip(cached, kept, strict=True)]
        tail, _ = train(start, slots, sizes, recipe, None)
        for kind in KINDS:
            found[kind].append(behaviour(start, tail, asked[kind]))
        print(".", end="", flush=True)
    print()
    return {
        kind: {name: rank_correlation(halves @ each, np.array(found[kind])) for name, each in scores[kind].items()}
        for kind in KINDS
    }


@torch.no_grad()
def behaviour(model: SplitModel, tail: Any, asked: reading.Asked) -> float:  # noqa: ANN401 - a module
    """Mean log-probability of a completion's token less the control's, averaged over the queries (nats a token)."""
    from etiology.backends.measure import continuation_logprobs
    from etiology.backends.tokens import layout

    values = []
    for pack, states in zip(asked.packs, asked.at_cut, strict=True):
        with model.autocast():
            final = model.run_tail(tail, states[None].float(), **layout([pack], model.device))
            own, *control = continuation_logprobs(model, [final[0]], [pack])[0]
        values.append(float(own.mean()) - float(control[0].mean() if control else 0.0))
    return float(np.mean(values))


def rank_correlation(a: Floats, b: Floats) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


# -- the table ---------------------------------------------------------------------------------------------------------


def tell(done: Sequence[Mapping[str, Any]]) -> None:
    """Mean over the seeds with 95 % intervals (Student's t), each kind of query; and who wins."""
    for kind in KINDS:
        heads = ("AP", "R@n", "R@2n", "alike in 10", "LDS")
        print(f"\n{kind} queries ({len(done)} seeds)\n{'':30}" + "".join(f"{head:>20}" for head in heads))
        table = {}
        for name in done[0]["rows"][kind]:
            each = [one["rows"][kind][name] for one in done if name in one["rows"][kind]]
            lds = [one["lds"][kind][name] for one in done if one["lds"] and name in one["lds"][kind]]
            columns = [[e[k] for e in each] for k in ("ap", "recall_n", "recall_2n", "lookalikes_in_10")]
            table[name] = [over_seeds(values) for values in (*columns, lds)]
            print(f"{name:30}" + "".join(f"{text:>20}" for _, text in table[name]))
        for number, head in ((0, "AP"), (4, "LDS")):
            print(f"highest {head}: {max(table, key=lambda name: table[name][number][0])}")
    for one in (each for each in done if "cascade" in each):
        found, speeds = one["cascade"], one["speed"]
        print(
            f"\nseed {one['seed']}: cascade AP {found['ap']:.2f}, price {found['price']:.2f} x forward and backward, "
            f"{found['cpu_s']:.0f} CPU-s; influence {speeds['influence_tokens_cpu_s']:.0f} tokens a CPU-s, "
            f"{speeds['share_of_floor']:.2f} of forward and backward alone; indexing "
            f"{speeds['index_share_of_floor']:.2f} of it, {speeds['index_bytes_a_sequence']:,.0f} bytes a sequence; "
            f"peak {one['peak_mb']:.0f} MB"
        )


def over_seeds(values: Sequence[float]) -> tuple[float, str]:
    """(mean, with its interval in words); the interval is of Student's t over the seeds."""
    from scipy.stats import t

    mean = float(np.mean(values)) if values else float("-inf")
    if len(values) < 2:
        return mean, f"{mean:.2f}" if values else "-"
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return mean, f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]"


if __name__ == "__main__":
    main()
