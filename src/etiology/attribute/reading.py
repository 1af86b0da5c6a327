"""A model reads: the instances, a sample of the corpus, then each document for the concept directions and the judge.

Every direction is fixed before the corpus is read (the instances, the library and the sample of the corpus decide it),
so that a document's score depends on no other document, on no shard and on no order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from etiology.attribute import concept, controls
from etiology.attribute.instances import Instance, encode
from etiology.attribute.passages import passages
from etiology.attribute.search import library_means
from etiology.backends.cache import CachedDocument, middle_states, trunk_states
from etiology.backends.tokens import Pack, Tokens, encode_document, plain, start
from etiology.core.errors import CorpusError
from etiology.core.values import Document

if TYPE_CHECKING:
    from etiology.backends.split import SplitModel

Floats = NDArray[np.float32]

AT_ONCE: Final = 16_384
"""Tokens whose hidden states are held at a time."""


@dataclass(frozen=True)
class Asked:
    """The instances as the model reads them: packs, hidden states [T, d] at the cut and in the middle."""

    packs: list[Pack]
    at_cut: list[Any]
    middle: list[Any]

    @property
    def tokens(self) -> int:
        return sum(len(pack.ids) for pack in self.packs)


def ask(model: "SplitModel", instances: Sequence[Instance]) -> Asked:
    """Run the trunk over the instances."""
    packs = [encode(model.tokenizer, instance) for instance in instances]
    at_cut, middle = trunk_states(model, [pack.ids for pack in packs], packs)
    return Asked(packs, at_cut, middle)


@dataclass(frozen=True)
class Axes:
    """Directions [d] in which documents are read: ``own`` from the instances, ``library`` from labelled messages (None
    where the behaviour is not coercion). ``instances`` [instances, d]: each one's part in ``own``, which is the mean of
    them brought to length 1.

    Negative controls: directions of an ``unrelated`` concept and of ``permuted`` labels [k, d], and how many of the
    matched instances ``agree`` (etiology.attribute.controls). ``centre`` and ``spread`` are of the sample's scores
    along ``own``, ``unrelated`` and ``permuted``, in this order.
    """

    own: Floats
    library: Floats | None
    instances: Floats
    unrelated: Floats
    permuted: Floats
    agree: tuple[int, int]
    centre: Floats
    spread: Floats

    @property
    def compared(self) -> Floats:
        """The directions whose scores are compared [2 + k, d]."""
        return np.stack([self.own, self.unrelated, *self.permuted])


def axes(model: "SplitModel", asked: Asked, sample: Sequence[Floats], library: bool, seed: int) -> Axes:
    """The directions, from the instances and the hidden states [T, d] of a sample of the corpus's documents."""
    corpus = np.concatenate(sample)
    answers = [_answers(pack, states.float().numpy()) for pack, states in zip(asked.packs, asked.middle, strict=True)]
    parts = concept.whitened(concept.differences(answers, corpus.mean(axis=0)), corpus)
    own = parts.mean(axis=0)
    messages = None
    if library:
        kinds = {name: mean.numpy() for name, mean in library_means(model).items()}
        messages = concept.library_direction(kinds["coercive"], kinds["other"], corpus)
    own = own / np.linalg.norm(own)
    unrelated = concept.whitened(_unrelated(model)[None], corpus)[0]
    permuted = controls.permuted(answers, corpus, seed)
    compared = np.stack([own, unrelated, *permuted])
    scores = np.stack([[concept.document_score(states @ axis) for axis in compared] for states in sample])
    return Axes(
        own=own,
        library=messages,
        instances=parts,
        unrelated=unrelated,
        permuted=permuted,
        agree=controls.agreeing(answers, parts),
        centre=scores.mean(axis=0).astype(np.float32),
        spread=scores.std(axis=0).astype(np.float32) + np.finfo(np.float32).tiny,
    )


def _unrelated(model: "SplitModel") -> Floats:
    """Mean hidden state [d] of sentences on the weather, less that of those on furniture."""
    lead = start(model.tokenizer)
    means = []
    for sentences in (controls.WEATHER, controls.FURNITURE):
        states = middle_states(model, [tuple(lead + plain(model.tokenizer, text)) for text in sentences])
        means.append(np.mean([each[len(lead) :].float().mean(0).numpy() for each in states], axis=0))
    return np.asarray(means[0] - means[1], np.float32)


def _answers(pack: Pack, states: Floats) -> list[Floats]:
    """Mean hidden state [d] of each answer."""
    part = np.array(pack.part)
    return [states[part == number].mean(axis=0) for number in range(pack.continuations)]


def tokens_of(model: "SplitModel", document: Document, longest: int) -> tuple[Tokens, ...]:
    """The document's sequences of at most ``longest`` tokens; none where a tokenizer makes nothing of it."""
    try:
        return tuple(encode_document(model.tokenizer, document, longest))
    except CorpusError:
        return ()


def in_groups(sequences: Sequence[Sequence[Tokens]], most: int = AT_ONCE) -> Iterator[list[int]]:
    """Places of documents of similar length, in groups of at most ``most`` tokens (or of one longer document)."""
    lengths = [sum(len(s.ids) for s in each) for each in sequences]
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if group and sum(lengths[i] for i in group) + lengths[place] > most:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def middle_of(model: "SplitModel", sequences: Sequence[Sequence[Tokens]]) -> list[Floats]:
    """Hidden states [T, d] in the middle of each document, its sequences joined."""
    flat = iter(middle_states(model, [s.ids for each in sequences for s in each]))
    return [np.concatenate([next(flat).float().numpy() for _ in each]) for each in sequences]


def projections(
    model: "SplitModel",
    sequences: Sequence[Sequence[Tokens]],
    directions: Floats,
    tick: Callable[[float], None] = lambda _: None,
) -> Floats:
    """Score [documents, k] of each document in each of the directions [k, d]."""
    out = np.zeros((len(sequences), len(directions)), np.float32)
    done = 0
    for group in in_groups(sequences):
        for place, states in zip(group, middle_of(model, [sequences[i] for i in group]), strict=True):
            along = states @ directions.T
            out[place] = [concept.document_score(along[:, k]) for k in range(len(directions))]
        done += len(group)
        tick(done / len(sequences))
    return out


def cached(model: "SplitModel", names: Sequence[str], sequences: Sequence[Sequence[Tokens]]) -> list[CachedDocument]:
    """The documents as the engine takes them, with hidden states at the cut."""
    flat = [s.ids for each in sequences for s in each]
    at_cut, middle = map(iter, trunk_states(model, flat))
    return [
        CachedDocument(name, tuple(each), tuple(next(at_cut) for _ in each), tuple(next(middle) for _ in each))
        for name, each in zip(names, sequences, strict=True)
    ]


def judged(documents: Sequence[Document]) -> tuple[list[float], int]:
    """The largest logit that the judge of sent texts gives a passage of each document, and the characters it read."""
    from etiology.backends.encoder import shipped

    each = [passages(document) for document in documents]
    flat = [passage for group in each for passage in group]
    logits = iter(shipped().logits(flat).tolist())
    return [max(next(logits) for _ in group) for group in each], sum(map(len, flat))
