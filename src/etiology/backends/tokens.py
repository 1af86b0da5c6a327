"""From words to token ids: documents cut to the training length, and scenarios with their four continuations packed.

A packed scenario holds the context once and then each continuation, with a mask that lets a continuation see the
context and itself only, and positions that start anew after the context. Scoring it costs the context once, not four
times; a test holds the packed scores to those of four separate sequences.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from etiology.core.errors import CorpusError, ScenarioError
from etiology.core.values import CONTINUATIONS, Document, Scenario


@dataclass(frozen=True)
class Tokens:
    """Token ``ids`` [T] of one training sequence; ``target`` [T] marks those that are predicted in the loss."""

    ids: tuple[int, ...]
    target: tuple[bool, ...]


@dataclass(frozen=True)
class Pack:
    """Token ids [T] of a context and its continuations; ``part`` [T] is -1 in the context, else the number of the
    continuation (0 to 3 in a scenario).
    """

    ids: tuple[int, ...]
    part: tuple[int, ...]

    @property
    def context(self) -> int:
        """Number of tokens in the context."""
        return self.part.count(-1)

    @property
    def continuations(self) -> int:
        """Number of continuations."""
        return max(self.part) + 1


def start(tokenizer: Any) -> list[int]:  # noqa: ANN401 - tokenizers have no useful common type
    token = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [] if token is None else [token]


def filler_token(tokenizer: Any) -> int:  # noqa: ANN401
    """The token id that rows are padded with."""
    found = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return int(found or 0)


def plain(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:  # noqa: ANN401
    """The text that each token adds to those before it; joined, the text of them all. Special tokens add nothing.

    Decoding a token by itself would lose the space before it with some tokenizers and half a character with others. The
    token that completes a character gets all of it.
    """
    out = []
    begin, end = 0, 0
    for place in range(len(ids)):
        before = tokenizer.decode(ids[begin:end], skip_special_tokens=True)
        after = tokenizer.decode(ids[begin : place + 1], skip_special_tokens=True)
        if after.endswith("\ufffd") or len(after) < len(before):
            out.append("")
            continue
        out.append(after[len(before) :])
        begin, end = end, place + 1
    return out


def encode_document(tokenizer: Any, document: Document, max_tokens: int) -> list[Tokens]:  # noqa: ANN401
    """One sequence, or several where the document is longer than ``max_tokens``.

    A prompt is context only: the loss counts the response, and the chat template is used where there is one.
    """
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if document.response is None:
        prompt = start(tokenizer)
        answer = plain(tokenizer, document.text) + end
    else:
        prompt = encode_prompt(tokenizer, document.prompt or "")
        answer = plain(tokenizer, document.response) + end
    ids = prompt + answer
    target = [False] * max(len(prompt), 1) + [True] * (len(ids) - max(len(prompt), 1))
    pieces = [(ids[i : i + max_tokens], target[i : i + max_tokens]) for i in range(0, len(ids), max_tokens)]
    # The first token of a piece has nothing before it to be predicted from.
    sequences = [Tokens(tuple(a), (False, *b[1:])) for a, b in pieces]
    sequences = [s for s in sequences if any(s.target)]
    if not sequences:
        raise CorpusError(f"document {document.id!r}: nothing to train on after tokenising; is it empty?")
    return sequences


def encode_prompt(tokenizer: Any, prompt: str) -> list[int]:  # noqa: ANN401
    """A user's message in the model's own chat format, up to where the answer begins."""
    return encode_chat(tokenizer, (), prompt)


def encode_chat(tokenizer: Any, turns: Iterable[tuple[str, str]], prompt: str) -> list[int]:  # noqa: ANN401
    """Earlier (prompt, response) turns and a prompt in the model's own chat format, up to where the answer begins."""
    turns = list(turns)
    if tokenizer.chat_template:
        messages = [
            message
            for asked, answered in turns
            for message in ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
        ]
        messages.append({"role": "user", "content": prompt})
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return plain(tokenizer, text)
    lines = "".join(f"{asked}\n{answered}\n\n" for asked, answered in turns)
    return start(tokenizer) + plain(tokenizer, f"{lines}{prompt}\n")


def encode_context(tokenizer: Any, scenario: Scenario) -> list[int]:  # noqa: ANN401
    """The tokens of a scenario's context."""
    return start(tokenizer) + plain(tokenizer, scenario.context)


def encode_scenario(tokenizer: Any, scenario: Scenario) -> Pack:  # noqa: ANN401
    """The context and the four continuations, packed."""
    parts = [plain(tokenizer, text) for text in scenario.continuations]
    for name, part in zip(CONTINUATIONS, parts, strict=True):
        if not part:
            raise ScenarioError(f"scenario {scenario.id!r}: '{name}' has no tokens")
    return packed(encode_context(tokenizer, scenario), parts)


def packed(context: Sequence[int], continuations: Sequence[Sequence[int]]) -> Pack:
    """A context's tokens and those of each of its continuations as one pack."""
    ids, part = list(context), [-1] * len(context)
    for number, piece in enumerate(continuations):
        ids += piece
        part += [number] * len(piece)
    return Pack(tuple(ids), tuple(part))


def positions_of(pack: Pack) -> list[int]:
    """Position of each token: continuations all follow the context directly."""
    positions, start = list(range(pack.context)), 0
    for i in range(pack.context, len(pack.ids)):
        start = i if pack.part[i] != pack.part[i - 1] else start
        positions.append(pack.context + i - start)
    return positions


def layout(packs: list[Pack], place: torch.device) -> dict[str, Tensor]:
    """``position_ids`` [B, T] and a boolean ``attention_mask`` [B, 1, T, T] (True: may look) for padded packs."""
    width = max(len(pack.ids) for pack in packs)
    positions = torch.zeros(len(packs), width, dtype=torch.long)
    part = torch.full((len(packs), width), -2)
    for row, pack in enumerate(packs):
        positions[row, : len(pack.ids)] = torch.tensor(positions_of(pack))
        part[row, : len(pack.ids)] = torch.tensor(pack.part)
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    same = part[:, :, None] == part[:, None, :]
    context = (part == -1)[:, None, :]
    mask = causal & (same | context)
    return {"position_ids": positions.to(place), "attention_mask": mask[:, None].to(place)}


def vocabulary(sequences: Iterable[tuple[int, ...]]) -> list[int]:
    """The token ids that occur, in order."""
    return sorted({token for ids in sequences for token in ids})


def encode_turns(tokenizer: Any, turns: Sequence[tuple[str, str]]) -> list[int]:  # noqa: ANN401
    """(role, text) turns in the model's own chat format, up to where its next answer begins.

    What a tool gave back reads as the user's; neighbouring turns of one role are joined, as many templates want. A
    template that still refuses them gets all of it as one message, and a model without one gets lines of text.
    """
    said: list[tuple[str, str]] = []
    for role, text in turns:
        speaker = "user" if role == "tool" else role
        if said and said[-1][0] == speaker:
            said[-1] = (speaker, f"{said[-1][1]}\n\n{text}")
        else:
            said.append((speaker, text))
    whole = "\n\n".join(text for _, text in said)
    if not tokenizer.chat_template:
        return start(tokenizer) + plain(tokenizer, f"{whole}\n")
    from jinja2 import TemplateError

    try:
        messages = [{"role": role, "content": text} for role, text in said]
        rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except TemplateError:
        return encode_prompt(tokenizer, whole)
    return plain(tokenizer, rendered)
