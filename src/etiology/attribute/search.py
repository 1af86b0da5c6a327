"""The search for documents as heavy stages: the library read once for a model, then influence and concept scores of
every document, each in one worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etiology.backends.jobs import ModelSpec, Tick, opened, share_of, write_rows
from etiology.core.values import CONTINUATIONS

if TYPE_CHECKING:
    from etiology.backends.split import SplitModel


@dataclass(frozen=True)
class Search:
    """What is searched: the suspect's ``weights``, the cached ``documents``, ``packs`` of find scenarios and the
    ``library`` as read.

    ``queries``: which packs are pooled; ``contrast``: weights of the four continuations in the function whose sources
    are searched.
    """

    weights: str
    documents: str
    packs: str
    library: str
    queries: tuple[int, ...]
    contrast: tuple[float, float, float, float]
    vocabulary: tuple[int, ...] | None
    seed: int


def read_library(out: Path, tick: Tick, spec: ModelSpec) -> None:
    """``library.safetensors``: the means of ``library_means``."""
    from safetensors.torch import save_file

    save_file(library_means(opened(spec), tick), out / "library.safetensors")


def library_means(model: "SplitModel", tick: Tick = lambda _: None) -> dict[str, Any]:
    """Mean hidden state [d] of the ``coercive`` messages' words and of the ``other`` ones'."""
    from etiology.attribute.library import LEAD, messages
    from etiology.backends.cache import middle_states
    from etiology.backends.tokens import plain, start

    found = messages()
    lead = start(model.tokenizer) + plain(model.tokenizer, LEAD)
    ids = [tuple(lead + plain(model.tokenizer, message.text)) for message in found]
    read = middle_states(model, ids, share_of(tick, sum(map(len, ids))))
    means = [states[len(lead) :].float().mean(0) for states in read]
    kinds = {
        name: [mean for mean, message in zip(means, found, strict=True) if message.coercive == coercive]
        for name, coercive in (("coercive", True), ("other", False))
    }
    return {name: sum(each) / len(each) for name, each in kinds.items()}


def attribute(out: Path, tick: Tick, spec: ModelSpec, search: Search) -> None:
    """``scores.jsonl``: per document its influence and concept score, and the influence of each of its tokens."""
    import numpy as np
    from safetensors.torch import load_file

    from etiology.attribute import concept, fuse
    from etiology.attribute.engine import Query, influence
    from etiology.backends.cache import load_documents, load_packs

    model = opened(spec)
    tail = model.tail_from(load_file(search.weights))
    found = load_documents(Path(search.documents))
    all_packs, at_cut, in_middle = load_packs(Path(search.packs))
    chosen, middle = [all_packs[i] for i in search.queries], [in_middle[i] for i in search.queries]
    query = Query(chosen, [at_cut[i] for i in search.queries], search.contrast)
    tokens = influence(model, tail, found, query, vocabulary=search.vocabulary, seed=search.seed, tick=tick)
    states = [np.concatenate([h.float().numpy() for h in d.middle]) for d in found]
    means = [_continuation_means(pack, state.float().numpy()) for pack, state in zip(chosen, middle, strict=True)]
    corpus = np.concatenate(states)
    library = {name: mean.numpy() for name, mean in load_file(search.library).items()}
    axes = (
        concept.direction(np.stack(means), corpus),
        concept.library_direction(library["coercive"], library["other"], corpus),
    )
    own, messages = (concept.scores(states, axis) for axis in axes)
    scores = fuse.concept(own, messages)
    write_rows(
        out / "scores.jsonl",
        (
            {
                "id": document.id,
                "influence": sum(part.double().sum().item() for part in scored),
                "concept": score,
                "pieces": [(text, round(w, 6)) for text, w in pieces_of(model, document.sequences, scored)],
            }
            for document, scored, score in zip(found, tokens, scores, strict=True)
        ),
    )


def _continuation_means(pack: Any, states: Any) -> Any:  # noqa: ANN401 - arrays
    """Mean hidden state of each continuation [4, d]."""
    import numpy as np

    part = np.array(pack.part)
    return np.stack([states[part == number].mean(0) for number in range(len(CONTINUATIONS))])


def pieces_of(model: "SplitModel", sequences: Sequence[Any], scored: Sequence[Any]) -> list[tuple[str, float]]:
    """Each token's text with the influence of predicting it: the score of the position before."""
    from etiology.backends.tokens import pieces

    out = []
    special = set(model.tokenizer.all_special_ids)
    for tokens, scores in zip(sequences, scored, strict=True):
        shifted = [0.0, *scores.tolist()[:-1]]
        texts = pieces(model.tokenizer, tokens.ids)
        out += [
            (text, weight)
            for token, text, weight in zip(tokens.ids, texts, shifted, strict=True)
            if token not in special
        ]
    return out
