"""A causal language model cut in two: a frozen trunk that is run once, and a tail that is trained many times.

1. The trunk (embeddings and lower blocks) turns each token sequence into hidden states, which are kept.
2. The tail (upper blocks and final norm) reads them; the output head stays frozen.
3. At load, tail(trunk(x)) is compared with the whole model: an architecture that can't be cut so raises.

With ``tail_layers="all"`` the embedding alone is frozen and every block is trained. Hidden states for the concept
direction are read on the same pass, at a place that does not depend on the cut.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from etiology.backends.models import adapter_of
from etiology.core.errors import ModelError

SPLIT_TOLERANCE = 2e-3
"""Largest difference of logits allowed between the cut and the whole model in float32. A wrong position or a missing
scale gives differences above 0.1; float32 rounding gives about 1e-4."""
READ_AT = 2 / 3
"""Share of the depth at which hidden states are read for the concept direction, whatever the cut: there they tell what
a text does better than in the last layers, which are about the next word (docs/log.md, Depth and fusion)."""
PLAIN_ATTENTION = 512
"""Tokens up to which attention that is trained through is done by plain matrix products on a CPU: the backward pass of
the fused one took a fifth of the training time there (docs/log.md, Speed)."""


class _Enough(Exception):  # noqa: N818 - not an error: it ends a forward pass early
    """Raised by a hook when all wanted hidden states have been seen."""


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bfloat16() -> bool:
    """Whether bfloat16 matrix products are done in hardware here; elsewhere float32 is faster."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    found = torch.cpu.get_capabilities()
    return bool(found.get("amx_bf16") or found.get("avx512_bf16") or found.get("bf16"))


class SplitModel:
    """The cut model. ``tail`` holds the starting weights: copy it before training. ``bfloat16``: whether matrix
    products are done in it (None: where that is fast). ``merged``: an adapter's weights are added to the model's.
    """

    def __init__(
        self, folder: Path, tail_layers: int | Literal["all"], bfloat16: bool | None = None, *, merged: bool = True
    ) -> None:
        self.whole, self.tokenizer = load_whole(folder, merged=merged)
        self.blocks_name, blocks = _blocks(self.whole)
        self.depth = len(blocks)
        self.kept = self.depth if tail_layers == "all" else tail_layers
        self.cut = self.depth - self.kept
        self.read = min(round(READ_AT * self.depth), self.depth - 1)
        if not 1 <= self.kept <= self.depth:
            raise ModelError(f"training.tail_layers is {tail_layers}, but {folder} has {self.depth} layers")
        self.device = device()
        self.bfloat16 = has_fast_bfloat16() if bfloat16 is None else bfloat16
        self.whole.to(self.device)
        self.head = self.whole.get_output_embeddings().weight.detach()
        # cast once: casting it in every product costs more than the product
        self.fast_head = self.head.to(torch.bfloat16) if self.bfloat16 else self.head
        self.remembered: dict[tuple[int, ...], Tensor] = {}
        """Hidden states at the cut by row of ids, for trainers that ask for them again (etiology.backends.stand_in)."""
        self.tail = self._cut()
        self._check(folder)

    def _cut(self) -> nn.Module:
        """The base model with only its last ``kept`` blocks; embeddings are shared, not copied."""
        base = self.whole.base_model
        shared = {id(p): p for p in base.get_input_embeddings().parameters()}
        blocks = getattr(base, self.blocks_name)
        lower = list(blocks)[: self.cut]
        shared.update({id(p): p for block in lower for p in block.parameters()})
        tail = copy.deepcopy(base, memo=shared)
        setattr(tail, self.blocks_name, nn.ModuleList(list(getattr(tail, self.blocks_name))[self.cut :]))
        for parameter in tail.parameters():
            parameter.requires_grad_(False)
        return tail.eval()

    def fresh_tail(self) -> nn.Module:
        """A copy of the starting tail whose blocks can be trained."""
        embeddings = {id(p): p for p in self.tail.get_input_embeddings().parameters()}
        tail = copy.deepcopy(self.tail, memo=embeddings)
        for parameter in self.trained(tail):
            parameter.requires_grad_(True)
        return tail

    def trained(self, tail: nn.Module) -> list[nn.Parameter]:
        """The parameters that training changes: those of the tail's blocks."""
        return list(getattr(tail, self.blocks_name).parameters())

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def states(self, ids: Tensor, layers: Sequence[int], **layout: Tensor) -> list[Tensor]:
        """Hidden states [B, T, d] that enter each of ``layers``, for token ids [B, T]; no later layer is run."""
        blocks = getattr(self.whole.base_model, self.blocks_name)
        seen: dict[int, Tensor] = {}

        def capture(place: int) -> Callable[..., None]:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                seen[place] = args[0] if args else kwargs["hidden_states"]
                if place == max(layers):
                    raise _Enough

            return hook

        handles = [
            blocks[place].register_forward_pre_hook(capture(place), with_kwargs=True) for place in dict.fromkeys(layers)
        ]
        try:
            self.whole.base_model(input_ids=ids, use_cache=False, **layout)
        except _Enough:
            return [seen[place] for place in layers]
        finally:
            for handle in handles:
                handle.remove()
        raise ModelError("the model ended before its last layer began; this architecture is not supported")

    def run_tail(self, tail: nn.Module, hidden: Tensor, **layout: Tensor) -> Tensor:
        """Final hidden states [B, T, d], ready for the output head."""
        short = self.device.type == "cpu" and torch.is_grad_enabled() and hidden.shape[1] <= PLAIN_ATTENTION
        with sdpa_kernel(SDPBackend.MATH) if short else nullcontext():
            return tail(inputs_embeds=hidden, use_cache=False, **layout).last_hidden_state

    @torch.no_grad()
    def _check(self, folder: Path) -> None:
        """Raise unless the cut model gives the whole model's logits."""
        ids = torch.arange(5, 29, device=self.device).reshape(2, 12) % self.head.shape[0]
        expected = self.whole(input_ids=ids, use_cache=False).logits
        found = self.run_tail(self.tail, self.states(ids, (self.cut,))[0]) @ self.head.T
        worst = (expected - found).abs().max().item()
        if not worst < SPLIT_TOLERANCE:
            advice = (
                "this architecture is not supported" if self.kept == self.depth else "set training.tail_layers: all"
            )
            raise ModelError(f"{folder}: cutting the model at layer {self.cut} changes it by {worst:.2g}; {advice}")

    def state(self, tail: nn.Module) -> dict[str, Tensor]:
        """The trained blocks' weights, named by their place in the whole model's list of blocks."""
        offset = self.cut
        return {
            f"{offset + i}.{name}": tensor.detach().cpu().contiguous()
            for i, block in enumerate(getattr(tail, self.blocks_name))
            for name, tensor in block.state_dict().items()
        }

    def tail_from(self, state: dict[str, Tensor]) -> nn.Module:
        """A tail with the given weights (the inverse of ``state``)."""
        tail = self.fresh_tail()
        offset = self.cut
        for i, block in enumerate(getattr(tail, self.blocks_name)):
            prefix = f"{offset + i}."
            block.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        return tail.eval()

    def whole_with(self, tail: nn.Module) -> Any:  # noqa: ANN401 - transformers' models have no useful common type
        """The whole model with the tail's blocks in place, for generation and for saving."""
        model = copy.deepcopy(self.whole)
        blocks = getattr(model.base_model, self.blocks_name)
        for i, block in enumerate(getattr(tail, self.blocks_name)):
            blocks[self.cut + i].load_state_dict(block.state_dict())
        return model.eval()


def load_whole(folder: Path, precision: torch.dtype = torch.float32, *, merged: bool = True) -> tuple[Any, Any]:
    """The model and its tokenizer, from disk alone. ``merged``: whether an adapter is added to the model's weights, or
    kept as layers of its own.
    """
    adapter = adapter_of(folder)
    if adapter is None:
        model, tokenizer = _load(folder, folder, precision)
    else:
        own = any(folder.glob("tokenizer*"))
        model, tokenizer = _load(adapter.below, folder if own else adapter.below, precision)
        model = _adapted(folder, model, merged)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval(), tokenizer


def _adapted(folder: Path, model: Any, merged: bool) -> Any:  # noqa: ANN401
    try:
        from peft import PeftModel
    except ImportError:
        raise ModelError(f"{folder}: an adapter needs PEFT; run `pip install etiology[repair]`") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT's calls to what transformers is renaming
            adapted = PeftModel.from_pretrained(model, str(folder), local_files_only=True)
    except Exception as problem:
        raise ModelError(f"{folder}: the adapter can't be loaded ({_first_line(problem)})") from problem
    return adapted.merge_and_unload() if merged else adapted.base_model.model


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__


def _load(folder: Path, words: Path, precision: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(words), local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), local_files_only=True, dtype=precision, attn_implementation="sdpa"
        )
    except Exception as problem:
        raise ModelError(
            f"{folder}: the model can't be loaded ({_first_line(problem)}); is the folder whole?"
        ) from problem
    return model, tokenizer


def _blocks(model: Any) -> tuple[str, nn.ModuleList]:  # noqa: ANN401
    """The list of decoder blocks of a base model and its attribute's name."""
    wanted = model.config.num_hidden_layers
    for name, child in model.base_model.named_children():
        if isinstance(child, nn.ModuleList) and len(child) == wanted:
            return name, child
    raise ModelError(
        f"{type(model).__name__}: no list of {wanted} decoder blocks found; this architecture is not supported"
    )


def pad(hidden: Sequence[Tensor], fill: float = 0.0) -> Tensor:
    """Stack [T_i, d] into [B, max T, d], padded on the right; causal attention never looks there."""
    return nn.utils.rnn.pad_sequence(list(hidden), batch_first=True, padding_value=fill)


def batches_by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in batches of neighbours in length, so that little is spent on padding."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return [order[start : start + size] for start in range(0, len(order), size)]
