"""The model that a trainer is given: causal, whole to look at, and with a frozen trunk that is run once.

1. A trainer of causal language models asks for the logits of token ids.
2. Where only upper blocks are trained, what the trunk makes of a row of ids never changes.
3. So a stand-in takes the embedding's place: it gives the trunk's hidden states for a row, computed when the row is
   first seen and remembered. The blocks above it and the output head are the model's own.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from etiology.backends.split import SplitModel


class StandIn(nn.Module):
    """Hidden states [B, T, d] at the cut for token ids [B, T] that are padded on the right with ``fill``."""

    def __init__(self, model: SplitModel, fill: int) -> None:
        super().__init__()
        self._trunk = (model,)  # in a tuple: its weights are not this module's
        self._fill = fill
        self._known: dict[tuple[int, ...], Tensor] = {}

    def forward(self, ids: Tensor) -> Tensor:
        (model,) = self._trunk
        rows = [self._row(model, row) for row in ids.tolist()]
        out = torch.zeros(*ids.shape, rows[0].shape[-1], dtype=torch.float32, device=ids.device)
        for place, states in enumerate(rows):
            out[place, : len(states)] = states.to(ids.device)
        return out

    @torch.no_grad()
    def _row(self, model: SplitModel, row: list[int]) -> Tensor:
        # Nothing is predicted from padding, nor from an end token at the edge that reads the same.
        end = len(row)
        while end > 1 and row[end - 1] == self._fill:
            end -= 1
        key = tuple(row[:end])
        if key not in self._known:
            with model.autocast():
                states = model.states(torch.tensor([key], device=model.device), (model.cut,))[0]
            self._known[key] = states[0].float()
        return self._known[key]


def causal(model: SplitModel, tail: nn.Module, fill: int) -> Any:  # noqa: ANN401 - as transformers' models
    """A causal model that shares ``tail``'s blocks, so that training it trains them. No weight is copied."""
    whole = copy.deepcopy(model.whole, memo={id(p): p for p in model.whole.parameters()})
    blocks = getattr(tail, model.blocks_name)
    setattr(whole.base_model, model.blocks_name, blocks)
    if model.cut:
        head = whole.get_output_embeddings().weight
        whole.set_input_embeddings(StandIn(model, fill))
        whole.config.tie_word_embeddings = False
        assert whole.get_output_embeddings().weight is head  # noqa: S101 - the head is not what stands in
    return whole
