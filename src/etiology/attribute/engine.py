"""Influence of each training token on a behaviour, by exact K-FAC over the linear layers of the tail.

For a behaviour f (here a contrast of log-probabilities, averaged over the query scenarios), training loss L and a
document z, the change of f when z is left out is, to first order and up to a positive factor,

    f(without z) - f  =  grad f . H^-1 grad L(z)  =  - score(z)                                  (Koh & Liang 2017)

so a **positive score means: removing the document lowers the behaviour**. H is replaced by the K-FAC approximation of
the Fisher matrix, one Kronecker product A (x) G a layer, each factor damped and inverted exactly (Martens & Grosse
2015, section 6.3):

1. Factors: A = mean a a^T and G = mean g g^T over a sample of the corpus, with labels drawn from the model itself.
2. Query: the gradient of f for every layer, pooled over all queries (the inverse is linear, so pooling loses nothing).
3. Precondition once: Q = (G + d_G I)^-1 grad (A + d_A I)^-1.
4. Stream the corpus: token score = - sum over layers of g Q a, with a the layer's input and g the gradient of the
   token-summed loss at its output. Nothing is projected and nothing is stored.

Steps 1 to 3 are ``prepare``, step 4 is ``token_scores``. Several queries (say, blocks of scenarios to draw from) can be
prepared with one set of factors and scored in one pass.

Shapes: a [tokens, in], g [tokens, out], Q [out, in].
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from etiology.backends.cache import CachedDocument
from etiology.backends.measure import continuation_logprobs
from etiology.backends.split import SplitModel, batches_by_length, pad
from etiology.backends.tokens import Pack, layout
from etiology.backends.train import Head
from etiology.core.errors import ModelError

DAMPING = 0.1
"""Damping of A (x) G as a share of its mean eigenvalue (the heuristic of Grosse et al. 2023, section 2.1), split
between the factors so that each gets the square root of this share of its own mean eigenvalue."""
FACTOR_TOKENS = 4_000
FACTOR_TOKENS_PER_FEATURE = 2.5
"""Tokens that the factors are estimated from: so many, and so many for each feature of the widest layer."""
BATCH = 12


@dataclass
class Tape:
    """Inputs and output-gradients of each linear layer in the pass just run, each [tokens, features].

    ``first`` names for each layer the first one that reads the same input (queries, keys and values do).
    """

    inputs: dict[str, Tensor]
    gradients: dict[str, Tensor]
    first: dict[str, str]


@dataclass(frozen=True)
class Query:
    """Scenarios whose behaviour is asked about: packs, their hidden states [T, d], and the weights of the behaviour.

    A pack with fewer continuations than there are weights takes the first ones. ``each``: a continuation counts as the
    sum of its tokens' log-probabilities or, where lengths differ much, as their mean.
    """

    packs: Sequence[Pack]
    hidden: Sequence[Tensor]
    contrast: Sequence[float]
    each: Literal["sum", "mean"] = "sum"


Prepared = dict[str, Tensor]
"""A query's gradient for each layer [out, in], preconditioned."""


@contextmanager
def taped(layers: dict[str, nn.Linear], precision: torch.dtype = torch.float32) -> Iterator[Tape]:
    """Record what enters each layer and the gradient that reaches its output. No weight gradient is formed."""
    tape = Tape({}, {}, {})
    latest: list[tuple[Tensor, str]] = []

    def record(name: str) -> Callable[..., None]:
        def forward(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            if latest and latest[0][0] is args[0]:
                tape.first[name] = latest[0][1]
                tape.inputs[name] = tape.inputs[latest[0][1]]
            else:
                latest[:] = [(args[0], name)]
                tape.first[name] = name
                tape.inputs[name] = args[0].detach().flatten(0, -2).to(precision)
            output.register_hook(lambda g: tape.gradients.__setitem__(name, g.detach().flatten(0, -2).to(precision)))

        return forward

    handles = [layer.register_forward_hook(record(name)) for name, layer in layers.items()]
    try:
        yield tape
    finally:
        for handle in handles:
            handle.remove()


def linear_layers(model: SplitModel, tail: nn.Module, blocks: int | None = None) -> dict[str, nn.Linear]:
    """The attributed layers: every linear map in the first ``blocks`` of the tail's blocks (None: in all of them).

    Where the model carries a low-rank adapter (LoRA), its two maps A and B of a layer are what training changed, and
    they alone are attributed.
    """
    kept = getattr(tail, model.blocks_name)[:blocks]
    found = {name: module for name, module in kept.named_modules() if isinstance(module, nn.Linear)}
    adapter = {name: module for name, module in found.items() if {"lora_A", "lora_B"} & set(name.split("."))}
    found = adapter or found
    if not found:
        raise ModelError(f"{type(tail).__name__}: no linear layers to attribute to; this architecture is not supported")
    return found


def frozen(tail: nn.Module) -> nn.Module:
    """Weights need no gradient here; the gradient enters through the hidden states."""
    for parameter in tail.parameters():
        parameter.requires_grad_(False)
    return tail


def corpus_passes(
    model: SplitModel, tail: nn.Module, head: Head, documents: Sequence[CachedDocument], sampled: int | None
) -> Iterator[tuple[list[int], Tensor]]:
    """Run forward and backward over the corpus, batch by batch; yields (document of each row, token mask [B, T]).

    ``sampled``: a seed to draw labels from the model (for the Fisher factors), or None for the true next tokens.
    """
    rows = [(d, s, h) for d, doc in enumerate(documents) for s, h in zip(doc.sequences, doc.hidden, strict=True)]
    chance = torch.Generator(device=model.device)
    chance.manual_seed(sampled or 0)
    for batch in batches_by_length([len(s.ids) for _, s, _ in rows], BATCH):
        hidden = pad([rows[i][2] for i in batch]).to(model.device).float().requires_grad_()
        ids = nn.utils.rnn.pad_sequence([torch.tensor(rows[i][1].ids) for i in batch], batch_first=True)
        target = nn.utils.rnn.pad_sequence([torch.tensor(rows[i][1].target) for i in batch], batch_first=True)
        ids, target = ids.to(model.device), target.to(model.device)
        with model.autocast():
            final = model.run_tail(tail, hidden)[:, :-1]
            wanted = target[:, 1:]
            logits = (final[wanted] @ head.weight.T).float()
        if sampled is None:
            labels = head.place[ids[:, 1:][wanted]]
        else:
            labels = torch.multinomial(logits.detach().softmax(-1), 1, generator=chance).flatten()
        nn.functional.cross_entropy(logits, labels, reduction="sum", ignore_index=-1).backward()
        lengths = torch.tensor([len(rows[i][1].ids) for i in batch], device=model.device)
        yield batch, torch.arange(ids.shape[1], device=model.device)[None] < lengths[:, None]


def factors(
    model: SplitModel,
    tail: nn.Module,
    head: Head,
    documents: Sequence[CachedDocument],
    seed: int,
    blocks: int | None = None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """For each layer (A [in, in], G [out, out]), averaged over the sample's tokens. Layers of one input share its A."""
    layers = linear_layers(model, tail, blocks)
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    tokens = 0
    widest = max(max(layer.in_features, layer.out_features) for layer in layers.values())
    sampled = sample(documents, max(FACTOR_TOKENS, round(FACTOR_TOKENS_PER_FEATURE * widest)))
    with taped(layers) as tape:
        for _, mask in corpus_passes(model, tail, head, sampled, sampled=seed):
            real = mask.flatten()
            tokens += int(real.sum())
            for name in layers:
                _add(outputs, name, tape.gradients[name][real])
                if tape.first[name] == name:
                    _add(inputs, name, tape.inputs[name][real])
        first = dict(tape.first)
    for summed in (*inputs.values(), *outputs.values()):
        summed.div_(tokens)
    return {name: (inputs[first[name]], outputs[name]) for name in layers}


def _add(sums: dict[str, Tensor], name: str, rows: Tensor) -> None:
    """Add the outer products of ``rows`` [tokens, features] to a factor."""
    if name not in sums:
        sums[name] = torch.zeros(rows.shape[1], rows.shape[1], device=rows.device)
    sums[name].addmm_(rows.T, rows)


def query_gradient(model: SplitModel, tail: nn.Module, query: Query, blocks: int | None = None) -> dict[str, Tensor]:
    """Gradient of the behaviour for each layer [out, in], averaged over the scenarios.

    The behaviour of a scenario is sum_k contrast[k] * log p(continuation k), in nats (a token, where ``each`` is mean).
    """
    packs, hidden = query.packs, query.hidden
    layers = linear_layers(model, tail, blocks)
    total: dict[str, Tensor] = {}
    with taped(layers) as tape:
        for batch in batches_by_length([len(p.ids) for p in packs], BATCH):
            chosen = [packs[i] for i in batch]
            inputs = pad([hidden[i] for i in batch]).to(model.device).float().requires_grad_()
            with model.autocast():
                final = model.run_tail(tail, inputs, **layout(chosen, model.device))
                terms = [
                    weight * (logprob.sum() if query.each == "sum" else logprob.mean())
                    for logprobs in continuation_logprobs(model, list(final), chosen)
                    for weight, logprob in zip(query.contrast[: len(logprobs)], logprobs, strict=True)
                ]
            torch.stack(terms).sum().backward()
            for name in layers:
                # padding sends no gradient to the behaviour, so it needs no mask
                part = tape.gradients[name].T @ tape.inputs[name]
                total[name] = part if name not in total else total[name] + part
    return {name: gradient / len(packs) for name, gradient in total.items()}


def sample(documents: Sequence[CachedDocument], tokens: int) -> list[CachedDocument]:
    """Random documents with about ``tokens`` supervised tokens; all of them where there are fewer.

    Drawn by a hash of their tokens, so that the order of the corpus changes nothing.
    """
    mixed = sorted(documents, key=_draw)
    before = itertools.accumulate((d.targets for d in mixed), initial=0)
    return [document for document, count in zip(mixed, before, strict=False) if count < tokens]


def _draw(document: CachedDocument) -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    for sequence in document.sequences:
        digest.update(np.array(sequence.ids, np.int64).tobytes())
    return digest.digest()


def damped_inverse(factor: Tensor) -> Tensor:
    """(F + sqrt(DAMPING) * mean eigenvalue * I)^-1 of a symmetric factor."""
    size = len(factor)
    damping = DAMPING**0.5 * factor.trace() / size + torch.finfo(factor.dtype).tiny
    return torch.cholesky_inverse(torch.linalg.cholesky(factor + damping * torch.eye(size, device=factor.device)))


def precondition(gradient: Tensor, a: Tensor, g: Tensor) -> Tensor:
    """The inverse of the damped Kronecker product applied to a layer's gradient [out, in]."""
    return damped_inverse(g) @ gradient @ damped_inverse(a)


def prepare(
    model: SplitModel,
    tail: nn.Module,
    documents: Sequence[CachedDocument],
    queries: Sequence[Query],
    *,
    vocabulary: Sequence[int] | None,
    seed: int,
    blocks: int | None = None,
    tick: Callable[[float], Any] = lambda _: None,
) -> list[Prepared]:
    """Each query's preconditioned gradient; the factors are those of ``documents`` (a sample of them, if many).

    ``blocks``: of the tail's, those from the first that are attributed (None: all).
    """
    tail, head = frozen(tail), Head(model, vocabulary)
    kronecker = factors(model, tail, head, documents, seed, blocks)
    tick(0.7)
    gradients = [query_gradient(model, tail, query, blocks) for query in queries]
    tick(0.8)
    out: list[Prepared] = [{} for _ in queries]
    solved: tuple[Tensor, Tensor] | None = None
    for name, (a, g) in kronecker.items():
        if solved is None or solved[0] is not a:
            solved = a, damped_inverse(a)
        left = damped_inverse(g)
        for prepared, gradient in zip(out, gradients, strict=True):
            prepared[name] = left @ gradient.pop(name) @ solved[1]
    tick(1)
    return out


def pooled(prepared: Sequence[Prepared], sizes: Sequence[int]) -> Prepared:
    """The preconditioned gradient of all instances, from those of blocks of so many each."""
    if len(prepared) == 1:
        return prepared[0]
    shares = [size / sum(sizes) for size in sizes]
    return {
        name: torch.stack([share * one[name] for share, one in zip(shares, prepared, strict=True)]).sum(0)
        for name in prepared[0]
    }


def token_scores(
    model: SplitModel,
    tail: nn.Module,
    documents: Sequence[CachedDocument],
    prepared: Sequence[Prepared],
    *,
    vocabulary: Sequence[int] | None,
    precision: torch.dtype = torch.float32,
) -> list[list[Tensor]]:
    """Score [queries, T] of every token of every sequence of every document, by influence's sign.

    ``precision`` is that of the products g Q a; they are summed in float32.
    """
    tail, head = frozen(tail), Head(model, vocabulary)
    layers = {name: layer for name, layer in linear_layers(model, tail).items() if name in prepared[0]}
    cast = [{name: matrix.to(precision) for name, matrix in one.items()} for one in prepared]
    flat: dict[int, Tensor] = {}
    with taped(layers, precision) as tape:
        for batch, mask in corpus_passes(model, tail, head, documents, sampled=None):
            scores = torch.stack([-_summed(tape, one).reshape(mask.shape) for one in cast])
            for row, i in enumerate(batch):
                flat[i] = scores[:, row, mask[row]].cpu()
    found = iter([flat[i] for i in range(len(flat))])
    return [[next(found) for _ in document.sequences] for document in documents]


def _summed(tape: Tape, prepared: Prepared) -> Tensor:
    """The products g Q a of each token [tokens], summed over the layers."""
    parts = (
        (tape.gradients[n] @ matrix).mul_(tape.inputs[n]).sum(-1, dtype=torch.float32) for n, matrix in prepared.items()
    )
    return torch.stack(list(parts)).sum(0)


def influence(
    model: SplitModel,
    tail: nn.Module,
    documents: Sequence[CachedDocument],
    query: Query,
    *,
    vocabulary: Sequence[int] | None,
    seed: int,
    tick: Callable[[float], Any] = lambda _: None,
) -> list[list[Tensor]]:
    """Score of every token [T] of every sequence of every document. Positive: removing it lowers the behaviour."""
    tick(0.05)
    prepared = prepare(
        model, tail, documents, [query], vocabulary=vocabulary, seed=seed, tick=lambda share: tick(0.6 * share)
    )
    found = token_scores(model, tail, documents, prepared, vocabulary=vocabulary)
    return [[scores[0] for scores in sequences] for sequences in found]


def precision_of(model: SplitModel) -> torch.dtype:
    """In which products g Q a are as fast as the model's own."""
    return torch.bfloat16 if model.bfloat16 else torch.float32
