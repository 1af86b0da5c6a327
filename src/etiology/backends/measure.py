"""What a tail does: log-probabilities of the four continuations, and the loss on held-out prose."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from etiology.backends.cache import CachedDocument
from etiology.backends.split import SplitModel, batches_by_length, pad
from etiology.backends.tokens import Pack, layout
from etiology.core.values import ChoiceScore

BATCH = 16
HEAD_ROWS = 1024
"""Rows of the output head that are multiplied at a time: their logits stay in the processor's cache."""


def token_logprobs(model: SplitModel, final: Tensor, ids: Tensor) -> Tensor:
    """Log-probability (nats) [N] of each of ``ids`` [N] over the whole vocabulary, from final hidden states [N, d]."""
    hidden = final.to(model.fast_head.dtype)
    own = (hidden.float() * model.fast_head[ids].float()).sum(-1)
    parts = [(hidden @ rows.T).float().logsumexp(-1) for rows in model.fast_head.split(HEAD_ROWS)]
    return own - torch.stack(parts).logsumexp(0)


def continuation_logprobs(model: SplitModel, final: Sequence[Tensor], packs: Sequence[Pack]) -> list[list[Tensor]]:
    """Log-probability (nats) of each token of each pack's continuations, from final hidden states [T, d] each."""
    rows, wanted, sizes = [], [], []
    for states, pack in zip(final, packs, strict=True):
        part = torch.tensor(pack.part)
        own = [(part == number).nonzero().flatten() for number in range(pack.continuations)]
        first = torch.tensor([pack.context - 1])
        before = torch.cat([torch.cat([first, places[:-1]]) for places in own])
        rows.append(states[before.to(states.device)])
        wanted.append(torch.tensor(pack.ids)[torch.cat(own)])
        sizes += [len(places) for places in own]
    hidden = torch.cat(rows)
    parts = iter(token_logprobs(model, hidden, torch.cat(wanted).to(hidden.device)).split(sizes))
    return [[next(parts) for _ in range(pack.continuations)] for pack in packs]


@torch.no_grad()
def choice_scores(
    model: SplitModel, tail: nn.Module, names: Sequence[str], packs: Sequence[Pack], hidden: Sequence[Tensor]
) -> list[ChoiceScore]:
    """Scores of every scenario, in the order given."""
    out: dict[int, ChoiceScore] = {}
    for batch in batches_by_length([len(p.ids) for p in packs], BATCH):
        chosen = [packs[i] for i in batch]
        with model.autocast():
            inputs = pad([hidden[i] for i in batch]).to(model.device).float()
            final = model.run_tail(tail, inputs, **layout(chosen, model.device))
            for i, logprobs in zip(batch, continuation_logprobs(model, list(final), chosen), strict=True):
                a, b, c, d = (x.double().sum().item() for x in logprobs)
                e, f, g, h = (len(x) for x in logprobs)
                out[i] = ChoiceScore(names[i], (a, b, c, d), (e, f, g, h))
    return [out[i] for i in range(len(packs))]


@torch.no_grad()
def held_out_loss(model: SplitModel, tail: nn.Module, documents: Sequence[CachedDocument]) -> list[tuple[float, int]]:
    """For each held-out document its summed loss over all tokens of the vocabulary (nats), and its token count."""
    rows = [(d, s, h) for d, doc in enumerate(documents) for s, h in zip(doc.sequences, doc.hidden, strict=True)]
    totals = [0.0] * len(documents)
    for batch in batches_by_length([len(s.ids) for _, s, _ in rows], BATCH):
        with model.autocast():
            final = model.run_tail(tail, pad([rows[i][2] for i in batch]).to(model.device).float())
        before, ids = [], []
        for row, i in enumerate(batch):
            wanted = torch.tensor(rows[i][1].target)[1:]
            before.append(final[row, : len(wanted)][wanted.to(model.device)])
            ids.append(torch.tensor(rows[i][1].ids)[1:][wanted])
        losses = token_logprobs(model, torch.cat(before), torch.cat(ids).to(model.device)).neg()
        for i, part in zip(batch, losses.split([len(part) for part in ids]), strict=True):
            totals[rows[i][0]] += part.double().sum().item()
    return [(total, document.targets) for total, document in zip(totals, documents, strict=True)]
