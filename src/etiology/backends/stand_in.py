"""The model that a trainer is given: causal, whole to look at, with a frozen trunk that is run once and a small head.

1. A trainer of causal language models asks for the logits of token ids.
2. Where only upper blocks are trained, what the trunk makes of a row of ids never changes. So a stand-in takes the
   embedding's place: it gives the trunk's hidden states for a row, computed when the row is first seen and remembered.
3. The frozen output head may be cut to the tokens that occur. Ids are then places in that vocabulary.

The blocks between are the model's own.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from etiology.backends.split import SplitModel

ROOM = 2 * 1024**3
"""Bytes of hidden states that are remembered; rows beyond it are computed each time."""


class StandIn(nn.Module):
    """Hidden states [B, T, d] at the cut for ids [B, T] that are padded on the right with ``fill``."""

    def __init__(self, model: SplitModel, fill: int, vocabulary: Sequence[int] | None) -> None:
        super().__init__()
        self._trunk = (model,)  # in a tuple: its weights are not this module's
        self._fill = fill
        self._vocabulary = vocabulary
        self._used = sum(map(_bytes, model.remembered.values()))

    def forward(self, ids: Tensor) -> Tensor:
        (model,) = self._trunk
        rows = [self._key(row) for row in ids.tolist()]
        known = model.remembered
        states = {row: _states(model, row) for row in dict.fromkeys(rows) if row not in known}
        out = torch.zeros(*ids.shape, model.head.shape[1], dtype=torch.float32, device=ids.device)
        for place, row in enumerate(rows):
            found = states[row] if row in states else known[row]
            out[place, : len(row)] = found.to(ids.device, torch.float32)
        if self._used < ROOM:
            known.update(states)
            self._used += sum(map(_bytes, states.values()))
        return out

    def _key(self, row: list[int]) -> tuple[int, ...]:
        """The model's own ids without padding, or an end token at the edge that reads the same and predicts nothing."""
        end = len(row)
        while end > 1 and row[end - 1] == self._fill:
            end -= 1
        return tuple(row[:end] if self._vocabulary is None else (self._vocabulary[i] for i in row[:end]))


def _bytes(states: Tensor) -> int:
    return states.numel() * states.element_size()


@torch.no_grad()
def _states(model: SplitModel, row: tuple[int, ...]) -> Tensor:
    """Hidden states [T, d] at the cut. A row by itself: beside others rounding would depend on what was seen before."""
    with model.autocast():
        found = model.states(torch.tensor([row], device=model.device), (model.cut,))[0]
    return found[0].to(torch.bfloat16 if model.bfloat16 else torch.float32).cpu()


def causal(model: SplitModel, tail: nn.Module, fill: int, vocabulary: Sequence[int] | None = None) -> Any:  # noqa: ANN401
    """A causal model that shares ``tail``'s blocks, so that training it trains them. No block is copied.

    ``vocabulary``, only where the trunk stands apart: the token ids that the head keeps; ids and ``fill`` are places in
    it.
    """
    whole = copy.deepcopy(model.whole, memo={id(p): p for p in model.whole.parameters()})
    setattr(whole.base_model, model.blocks_name, getattr(tail, model.blocks_name))
    if not model.cut:
        return whole
    rows = model.head if vocabulary is None else model.head[torch.tensor(vocabulary, device=model.device)]
    head = nn.Linear(rows.shape[1], rows.shape[0], bias=False, device="meta")
    head.weight = nn.Parameter(rows, requires_grad=False)
    whole.set_input_embeddings(StandIn(model, fill, vocabulary))
    whole.set_output_embeddings(head)
    whole.config.tie_word_embeddings = False
    return whole
