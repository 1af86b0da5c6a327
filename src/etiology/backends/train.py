"""Train the tail on an arm of the corpus.

Every arm is laid over the *slots* of the input corpus: slot i holds document i, its replacement, or nothing. All arms
of one seed share the order of slots, the batches, the number of steps, the learning rates and the loss's divisor, so
two arms differ only by the gradients of the documents in which they differ. (Re-shuffling the remaining documents
instead moved the behaviour by as much as the removal itself: see docs/log.md.)

The loss is the cross-entropy over the tokens that occur in the study when ``vocabulary`` is given, else over all.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from etiology.backends.cache import CachedDocument
from etiology.backends.split import SplitModel, pad
from etiology.core.errors import ModelError

WARMUP_STEPS = 10
FINAL_RATE = 0.05
CLIP = 1.0
MICROBATCH_TOKENS = 4096


@dataclass(frozen=True)
class Recipe:
    """How to train: passes over the slots, peak learning rate (AdamW), documents a step, order of the slots."""

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int


def schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: a short linear rise, then a linear fall to 5 %."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * max(FINAL_RATE, 1 - step / steps)


def batches_of_slots(sizes: Sequence[int], recipe: Recipe, epoch: int) -> list[list[int]]:
    """Slots in shuffled batches of neighbours in size. Depends on the input corpus and the seed, never on the arm."""
    chance = random.Random(f"{recipe.seed}/{epoch}")
    order = list(range(len(sizes)))
    chance.shuffle(order)
    span = 8 * recipe.batch_size
    batches = []
    for start in range(0, len(order), span):
        group = sorted(order[start : start + span], key=lambda slot: sizes[slot])
        batches += [group[i : i + recipe.batch_size] for i in range(0, len(group), recipe.batch_size)]
    chance.shuffle(batches)
    return batches


class Head:
    """The frozen output head over all tokens, or over those of a vocabulary."""

    def __init__(self, model: SplitModel, vocabulary: Sequence[int] | None) -> None:
        size = model.head.shape[0]
        if vocabulary is None:
            self.weight, self.place = model.head, torch.arange(size)
        else:
            kept = torch.tensor(vocabulary)
            self.weight = model.head[kept.to(model.device)].clone()
            self.place = torch.full((size,), -1)
            self.place[kept] = torch.arange(len(vocabulary))
        self.place = self.place.to(model.device)

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy (nats) of predicting ``targets`` [N] from ``hidden`` [N, d].

        A target outside the vocabulary (a re-rolled document may hold one) is context only.
        """
        logits = (hidden @ self.weight.T).float()
        return functional.cross_entropy(logits, self.place[targets], reduction="sum", ignore_index=-1)


def supervised(documents: Sequence[CachedDocument], place: torch.device) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Microbatches (hidden [B, T, d], ids [B, T], target [B, T]) of the documents' sequences."""
    rows = sorted(
        ((s, h) for d in documents for s, h in zip(d.sequences, d.hidden, strict=True)), key=lambda row: len(row[0].ids)
    )
    out, start = [], 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and (end + 1 - start) * len(rows[end][0].ids) <= MICROBATCH_TOKENS:
            end += 1
        part = rows[start:end]
        hidden = pad([h for _, h in part]).to(place)
        ids = nn.utils.rnn.pad_sequence([torch.tensor(s.ids) for s, _ in part], batch_first=True).to(place)
        target = nn.utils.rnn.pad_sequence([torch.tensor(s.target) for s, _ in part], batch_first=True).to(place)
        out.append((hidden, ids, target))
        start = end
    return out


def backward(
    model: SplitModel, tail: nn.Module, head: Head, documents: Sequence[CachedDocument], divisor: int
) -> float:
    """Add the gradient of the documents' loss / ``divisor`` to the tail; returns that loss (nats a token)."""
    total = 0.0
    for hidden, ids, target in supervised(documents, model.device):
        with model.autocast():
            final = model.run_tail(tail, hidden.float())[:, :-1]
            wanted = target[:, 1:]
            loss = head.loss(final[wanted], ids[:, 1:][wanted]) / divisor
        loss.backward()
        total += loss.item()
    return total


def train(
    model: SplitModel,
    slots: Sequence[CachedDocument | None],
    sizes: Sequence[int],
    recipe: Recipe,
    vocabulary: Sequence[int] | None,
    tick: Callable[[int], None] = lambda _: None,
) -> tuple[nn.Module, list[float]]:
    """A trained copy of the tail, and the loss (nats a token) of each step.

    ``slots``: what each slot holds in this arm; ``sizes``: supervised tokens of each slot in the *input* corpus.
    Errors: ModelError where the loss is not finite.
    """
    torch.manual_seed(recipe.seed)
    tail, head = model.fresh_tail().train(), Head(model, vocabulary)
    trained = model.trained(tail)
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    plan = [batch for epoch in range(recipe.epochs) for batch in batches_of_slots(sizes, recipe, epoch)]
    losses = []
    for step, batch in enumerate(plan):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * schedule(step, len(plan))
        present = [slots[slot] for slot in batch]
        loss = backward(model, tail, head, [d for d in present if d is not None], sum(sizes[slot] for slot in batch))
        if not loss < float("inf"):
            raise ModelError(f"training diverged at step {step + 1} (loss {loss}); lower training.learning_rate")
        nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss)
        tick(sum(sizes[slot] for slot in batch))
    return tail.eval(), losses
