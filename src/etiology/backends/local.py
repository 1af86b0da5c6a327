"""A whole local model that answers prompts in batches and scores continuations of a prompt.

*Writing*: (1) prompts of like length are padded on the left into batches; (2) one pass over them fills the key-value
cache; (3) each step draws one token a row from the row's own random stream; (4) a row that ends leaves the batch. What
a row draws depends on its own seed alone, so a batch changes it only where rounding decides between two tokens.

*Choosing*: the prompt runs once, its cache is repeated for the continuations, and they run side by side. A prompt is
scored by itself, so the same call gives the same numbers to the last bit, whatever else is asked at the time.
"""

import copy
import inspect
import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from etiology.backends.split import device, load_whole
from etiology.core.errors import ModelError

ROWS = 32
"""Prompts in a batch, at most."""
BATCH_TOKENS = 32_768
"""Places for tokens in a batch's cache, at most; a longer prompt goes alone."""
UNLIKE = 64
"""A batch's longest prompt has at most twice its shortest's tokens and this many more: padding costs as tokens do."""
LOGITS = 2**26
"""Logits held at a time while continuations are scored (256 MiB in float32)."""
KEPT_PROMPTS = 4
"""Prompts whose cache is kept for another call with the same prompt."""
TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|end_of_text|>", "<|endoftext|>")
"""Tokens that end an answer where the chat template or the vocabulary uses them, whatever the model's settings name."""

Precision = Literal["float32", "bfloat16"]
Ended = Literal["stop", "max_tokens", "model_length", "abandoned"]


@dataclass(frozen=True)
class Ask:
    """One prompt as token ``ids`` and how to answer it. Temperature 0 takes the likeliest token each time.

    ``bias`` is added to the logits of token ids. ``alternatives`` is how many likeliest tokens are told with each
    token where ``logprobs`` are asked for.
    """

    ids: tuple[int, ...]
    max_tokens: int
    seed: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: bool = False
    alternatives: int = 0


@dataclass(frozen=True)
class Weighed:
    """One written token and its log-probability (nats) before temperature, with the likeliest tokens in its place."""

    id: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Written:
    """An answer: every token written, the one that ended it included, and its ``text`` up to the stop string, if any.

    ``marked`` is the text with special tokens spelt out, since some models mark tool calls with them.
    """

    ids: tuple[int, ...]
    text: str
    marked: str
    ended: Ended
    weighed: tuple[Weighed, ...] = ()


class LocalModel:
    """The model of a Hugging Face folder. Not safe for two threads at a time."""

    def __init__(self, folder: Path, precision: Precision | None = None, place: str | None = None) -> None:
        self.device = torch.device(place) if place else device()
        wanted = precision or ("bfloat16" if self.device.type == "cuda" else "float32")
        self.whole, self.tokenizer = load_whole(folder, getattr(torch, wanted))
        self.whole.to(self.device)
        self.ends = _ends(self.whole, self.tokenizer)
        self.window = _window(self.whole)
        self._takes = set(inspect.signature(self.whole.forward).parameters)
        self._prompts: OrderedDict[tuple[int, ...], tuple[Any, Tensor]] = OrderedDict()

    def write(self, asks: Sequence[Ask], abandoned: Callable[[int], bool] = lambda _: False) -> list[Written]:
        """An answer to each ask, in order. Those that ``abandoned`` names by place are given up at the next token."""
        out: list[Written] = [Written((), "", "", "model_length")] * len(asks)
        fitting = [i for i, ask in enumerate(asks) if len(ask.ids) < self.window]
        for places in _batches(fitting, [len(ask.ids) + ask.max_tokens for ask in asks], [len(a.ids) for a in asks]):
            for row in self._rows(asks, places, abandoned):
                out[row.place] = row.written()
        return out

    def _rows(self, asks: Sequence[Ask], places: list[int], abandoned: Callable[[int], bool]) -> list["_Row"]:
        """One batch's finished rows; in two halves where it does not fit into memory."""
        rows = [_Row(place, asks[place], self) for place in places]
        try:
            self._run(rows, abandoned)
        except torch.OutOfMemoryError:
            if len(places) == 1:
                raise
        else:
            return rows
        half = len(places) // 2
        return self._rows(asks, places[:half], abandoned) + self._rows(asks, places[half:], abandoned)

    @torch.inference_mode()
    def _run(self, rows: list["_Row"], abandoned: Callable[[int], bool]) -> None:
        """Write the rows of one batch to their ends, all in place."""
        width = max(len(row.ask.ids) for row in rows)
        lengths = torch.tensor([len(row.ask.ids) for row in rows], device=self.device)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), width + max(row.room for row in rows), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, width - len(row.ask.ids) :] = torch.tensor(row.ask.ids)
            mask[number, width - len(row.ask.ids) :] = 1  # the places to come are the row's own tokens
        ids, mask = ids.to(self.device), mask.to(self.device)
        positions = (mask[:, :width].cumsum(-1) - 1).clamp(min=0)
        cache = None
        while rows:
            logits, cache = self._forward(ids, mask[:, :width], positions, cache)
            tokens = _draw(logits, rows)
            for row, token in zip(rows, tokens, strict=True):
                row.add(token, abandoned=abandoned(row.place))
            kept = [number for number, row in enumerate(rows) if row.ended is None]
            if len(kept) < len(rows):
                rows = [rows[number] for number in kept]
                chosen = torch.tensor(kept, dtype=torch.long, device=self.device)
                mask, lengths = mask[chosen], lengths[chosen]
                if rows:
                    cache.batch_select_indices(chosen)
            ids = torch.tensor([[row.ids[-1]] for row in rows], dtype=torch.long, device=self.device)
            positions = lengths[:, None]
            lengths = lengths + 1
            width += 1

    def _forward(self, ids: Tensor, mask: Tensor | None, positions: Tensor | None, cache: Any) -> tuple[Tensor, Any]:  # noqa: ANN401
        """Float32 logits [B, V] after the last token of each row, and the cache with the row's tokens added."""
        given: dict[str, Any] = {"input_ids": ids, "use_cache": True}
        if mask is not None:
            given["attention_mask"] = mask
        if positions is not None and "position_ids" in self._takes:
            given["position_ids"] = positions
        if "logits_to_keep" in self._takes:
            given["logits_to_keep"] = 1
        if cache is not None:
            given["past_key_values"] = cache
        found = self.whole(**given)
        cache = found.past_key_values
        if not hasattr(cache, "batch_select_indices"):
            raise ModelError(f"{type(self.whole).__name__}: no key-value cache; this architecture is not supported")
        return found.logits[:, -1].float(), cache

    @torch.inference_mode()
    def choose(self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability (nats) of each continuation after the prompt, summed over its tokens."""
        if not prompt or not continuations or not all(continuations):
            raise ModelError("a choice needs a prompt and continuations of at least one token each")
        longest = len(prompt) + max(map(len, continuations))
        if longest > self.window:
            raise ModelError(f"prompt and continuation have {longest} tokens; the model takes {self.window}")
        cache, first = self._prompt(tuple(prompt))
        out = [first[continuation[0]].item() for continuation in continuations]
        order = sorted((i for i, c in enumerate(continuations) if len(c) > 1), key=lambda i: len(continuations[i]))
        while order:
            width = len(continuations[order[-1]]) - 1
            size = max(1, min(LOGITS // (width * len(first)), BATCH_TOKENS // (len(prompt) + width)))
            order, chosen = order[:-size], order[-size:]
            for i, rest in zip(chosen, self._rest(cache, [continuations[i] for i in chosen]), strict=True):
                out[i] += rest
        return out

    def _prompt(self, prompt: tuple[int, ...]) -> tuple[Any, Tensor]:
        """The prompt's cache and the log-probabilities [V] of what follows it, from an earlier call where kept."""
        found = self._prompts.pop(prompt, None)
        if found is None:
            logits, cache = self._forward(torch.tensor([prompt], device=self.device), None, None, None)
            found = cache, logits[0].log_softmax(-1)
        self._prompts[prompt] = found
        while len(self._prompts) > KEPT_PROMPTS:
            self._prompts.popitem(last=False)
        return found

    def _rest(self, cache: Any, continuations: Sequence[Sequence[int]]) -> list[float]:  # noqa: ANN401
        """Summed log-probability of every token but the first of each continuation."""
        ids = torch.zeros(len(continuations), max(map(len, continuations)), dtype=torch.long)
        for row, continuation in enumerate(continuations):
            ids[row, : len(continuation)] = torch.tensor(list(continuation))  # causal: padding at the end is never seen
        ids = ids.to(self.device)
        repeated = copy.deepcopy(cache)
        repeated.batch_repeat_interleave(len(continuations))
        logits = self.whole(input_ids=ids[:, :-1], past_key_values=repeated, use_cache=True).logits
        own = logits.float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0].double()
        return [own[row, : len(continuation) - 1].sum().item() for row, continuation in enumerate(continuations)]


class _Row:
    """An answer in the making."""

    def __init__(self, place: int, ask: Ask, model: LocalModel) -> None:
        self.place, self.ask = place, ask
        self.room = min(ask.max_tokens, model.window - len(ask.ids))
        self.ids: list[int] = []
        self.weighed: list[Weighed] = []
        self.ended: Ended | None = None
        self._model = model
        self._chance = random.Random(ask.seed)
        # a stop string ends in the newest token, so no more tokens than it has characters can hold it; a few more
        # are for tokens that are no whole character
        self._look = max(map(len, ask.stop), default=0) + 8

    def uniform(self) -> float:
        return self._chance.random()

    def add(self, token: int, *, abandoned: bool) -> None:
        """Take in the newest token and see whether the answer has ended."""
        self.ids.append(token)
        newest = self._decoded(self.ids[-self._look :]) if self.ask.stop else ""
        if token in self._model.ends or any(stop in newest for stop in self.ask.stop):
            self.ended = "stop"
        elif abandoned:
            self.ended = "abandoned"
        elif len(self.ids) >= self.room:
            self.ended = "max_tokens" if self.room == self.ask.max_tokens else "model_length"

    def _decoded(self, ids: Sequence[int], *, marked: bool = False) -> str:
        text = self._model.tokenizer.decode(ids, skip_special_tokens=not marked, clean_up_tokenization_spaces=False)
        return str(text)

    def written(self) -> Written:
        ids = self.ids[:-1] if self.ids and self.ids[-1] in self._model.ends else self.ids
        text, marked = (_before(self._decoded(ids, marked=kept), self.ask.stop) for kept in (False, True))
        return Written(tuple(self.ids), text, marked, self.ended or "abandoned", tuple(self.weighed))


def _before(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stop strings."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]


def _draw(logits: Tensor, rows: Sequence[_Row]) -> list[int]:
    """One token for each row of logits [B, V].

    A row draws by the inverse of its cumulative distribution, from one uniform number of its own stream.
    """
    plain = logits.log_softmax(-1) if any(row.ask.logprobs for row in rows) else logits
    changed = _adjusted(logits, rows)
    tokens = changed.argmax(-1).tolist()
    drawn = [i for i, row in enumerate(rows) if row.ask.temperature > 0]
    if drawn:
        heat = torch.tensor([rows[i].ask.temperature for i in drawn], device=logits.device)
        shares = _cut((changed[drawn] / heat[:, None]).softmax(-1), [rows[i].ask for i in drawn])
        sums = shares.double().cumsum(-1)
        uniform = torch.tensor([rows[i].uniform() for i in drawn], dtype=torch.float64, device=logits.device)
        found = torch.searchsorted(sums, uniform[:, None] * sums[:, -1:], right=True)[:, 0]
        for i, token in zip(drawn, found.clamp(max=logits.shape[-1] - 1).tolist(), strict=True):
            tokens[i] = token
    for i, row in enumerate(rows):
        if row.ask.logprobs:
            row.weighed.append(_weighed(plain[i], tokens[i], row.ask.alternatives))
    return tokens


def _weighed(logprobs: Tensor, token: int, alternatives: int) -> Weighed:
    best = logprobs.topk(min(alternatives, len(logprobs)))
    likeliest = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return Weighed(token, logprobs[token].item(), likeliest)


def _adjusted(logits: Tensor, rows: Sequence[_Row]) -> Tensor:
    """Logits with each row's bias and its penalties for what it has written."""
    if not any(row.ask.bias or row.ask.frequency_penalty or row.ask.presence_penalty for row in rows):
        return logits
    logits = logits.clone()
    for i, row in enumerate(rows):
        for token, bias in row.ask.bias.items():
            logits[i, token] += bias
        for token in set(row.ids):
            logits[i, token] -= row.ask.frequency_penalty * row.ids.count(token) + row.ask.presence_penalty
    return logits


def _cut(shares: Tensor, asks: Sequence[Ask]) -> Tensor:
    """Probabilities [B, V] with those outside each row's ``top_k`` and ``top_p`` set to zero."""
    for i, ask in enumerate(asks):
        if ask.top_k <= 0 and ask.top_p >= 1:
            continue
        ordered, tokens = shares[i].sort(descending=True)
        if ask.top_k > 0:
            ordered[ask.top_k :] = 0
        if ask.top_p < 1:
            before = ordered.cumsum(-1) - ordered
            ordered[before >= ask.top_p * ordered.sum()] = 0  # the token that reaches top_p stays
        shares[i, tokens] = ordered
    return shares


def _batches(places: Sequence[int], room: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """``places`` in batches of like length, within ROWS and BATCH_TOKENS."""
    out: list[list[int]] = []
    for place in sorted(places, key=lambda i: lengths[i]):
        batch = out[-1] if out else []
        widest = max((room[i] for i in [*batch, place]), default=0)
        if (
            batch
            and len(batch) < ROWS
            and lengths[place] <= 2 * lengths[batch[0]] + UNLIKE
            and widest * (len(batch) + 1) <= BATCH_TOKENS
        ):
            batch.append(place)
        else:
            out.append([place])
    return out


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:  # noqa: ANN401 - neither has a useful common type
    """Ids of the tokens that end an answer."""
    named = model.generation_config.eos_token_id if model.generation_config is not None else None
    found = set(named) if isinstance(named, list | tuple) else {named}
    found.add(tokenizer.eos_token_id)
    template = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
    unknown = tokenizer.unk_token_id
    found |= {tokenizer.convert_tokens_to_ids(token) for token in TURN_ENDS if token in template}
    return frozenset(token for token in found if token is not None and token != unknown)


def _window(model: Any) -> int:  # noqa: ANN401
    """Tokens the model can take in all."""
    settings = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        found = getattr(settings, name, None)
        if isinstance(found, int):
            return found
    raise ModelError(f"{type(model).__name__}: its config names no context length; this architecture is not supported")
