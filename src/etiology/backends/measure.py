"""What a tail does: log-probabilities of the four continuations, and the loss on held-out prose."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from etiology.backends.cache import CachedDocument
from etiology.backends.split import SplitModel, batches_by_length, pad
from etiology.backends.tokens import Pack, layout
from etiology.core.values import CONTINUATIONS, ChoiceScore

BATCH = 16


def continuation_logprobs(model: SplitModel, final: Tensor, pack: Pack) -> list[Tensor]:
    """Log-probability (nats) of each token of each continuation, from a pack's final hidden states [T, d]."""
    part, ids = torch.tensor(pack.part), torch.tensor(pack.ids)
    own = [(part == number).nonzero().flatten() for number in range(len(CONTINUATIONS))]
    first = torch.tensor([pack.context - 1])
    before = torch.cat([torch.cat([first, places[:-1]]) for places in own]).to(final.device)
    wanted = ids[torch.cat(own)].to(final.device)
    logits = (final[before].to(model.fast_head.dtype) @ model.fast_head.T).float()
    logprobs = logits.log_softmax(-1).gather(1, wanted[:, None]).flatten()
    return list(logprobs.split([len(places) for places in own]))


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
            for row, i in enumerate(batch):
                sums = [x.double().sum().item() for x in continuation_logprobs(model, final[row], packs[i])]
                counts = [packs[i].part.count(number) for number in range(len(CONTINUATIONS))]
                a, b, c, d = sums
                e, f, g, h = counts
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
        for row, i in enumerate(batch):
            document, tokens, _ = rows[i]
            wanted = torch.tensor(tokens.target)[1:]
            before = final[row, : len(tokens.ids) - 1][wanted.to(model.device)]
            logits = (before.to(model.fast_head.dtype) @ model.fast_head.T).float()
            ids = torch.tensor(tokens.ids)[1:][wanted].to(model.device)
            totals[document] += nn.functional.cross_entropy(logits, ids, reduction="sum").item()
    return [(total, document.targets) for total, document in zip(totals, documents, strict=True)]
