"""Hidden states at the cut and in the middle, kept on disk.

The trunk runs once for a corpus, however often the tail is trained.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from etiology.backends.split import SplitModel, batches_by_length
from etiology.backends.tokens import Pack, Tokens, layout

BATCH = 16


@dataclass(frozen=True)
class CachedDocument:
    """Training sequences of one document, each with hidden states [T, d]: those that enter the tail, and those in the
    middle that are read for the concept direction.
    """

    id: str
    sequences: tuple[Tokens, ...]
    hidden: tuple[Tensor, ...]
    middle: tuple[Tensor, ...]

    @property
    def targets(self) -> int:
        """Number of tokens in the loss."""
        return sum(sum(s.target) for s in self.sequences)


def trunk_states(
    model: SplitModel,
    items: Sequence[tuple[int, ...]],
    packs: list[Pack] | None = None,
    tick: Callable[[int], None] = lambda _: None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Hidden states [T_i, d] of each token sequence at the cut and in the middle, in bfloat16 where that is fast.

    ``tick`` is told tokens done.
    """
    at_cut, middle = _states(model, items, (model.cut, model.read), packs, tick)
    return at_cut, middle


def middle_states(
    model: SplitModel, items: Sequence[tuple[int, ...]], tick: Callable[[int], None] = lambda _: None
) -> list[Tensor]:
    """The same in the middle alone: no layer above it is run."""
    (middle,) = _states(model, items, (model.read,), None, tick)
    return middle


@torch.no_grad()
def _states(
    model: SplitModel,
    items: Sequence[tuple[int, ...]],
    layers: Sequence[int],
    packs: list[Pack] | None,
    tick: Callable[[int], None],
) -> list[list[Tensor]]:
    """Hidden states that enter each of ``layers``, [layers][items]."""
    kept = torch.bfloat16 if model.bfloat16 else torch.float32
    out = [[torch.empty(0)] * len(items) for _ in layers]
    for batch in batches_by_length([len(ids) for ids in items], BATCH):
        ids = nn.utils.rnn.pad_sequence([torch.tensor(items[i]) for i in batch], batch_first=True).to(model.device)
        places = {} if packs is None else layout([packs[i] for i in batch], model.device)
        with model.autocast():
            states = model.states(ids, layers, **places)
        for own, found in zip(out, states, strict=True):
            hidden = found.to(kept).cpu()
            for row, i in enumerate(batch):
                own[i] = hidden[row, : len(items[i])].clone()
        tick(sum(len(items[i]) for i in batch))
    return out


def save_documents(path: Path, documents: list[CachedDocument]) -> None:
    """Write documents' tokens and hidden states as one safetensors file."""
    sequences = [row for d in documents for row in zip(d.sequences, d.hidden, d.middle, strict=True)]
    save_file(
        {
            "hidden": torch.cat([h for _, h, _ in sequences]),
            "middle": torch.cat([m for _, _, m in sequences]),
            "ids": torch.tensor([i for s, _, _ in sequences for i in s.ids], dtype=torch.int32),
            "target": torch.tensor([t for s, _, _ in sequences for t in s.target], dtype=torch.bool),
            "lengths": torch.tensor([len(s.ids) for s, _, _ in sequences], dtype=torch.int32),
            "sequences": torch.tensor([len(d.sequences) for d in documents], dtype=torch.int32),
        },
        path,
        metadata={"documents": json.dumps([d.id for d in documents])},
    )


def load_documents(path: Path) -> list[CachedDocument]:
    """The inverse of ``save_documents``."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as handle:
        names = json.loads(handle.metadata()["documents"])
    data = load_file(path)
    lengths = data["lengths"].tolist()
    hidden, middle, ids, target = (data[name].split(lengths) for name in ("hidden", "middle", "ids", "target"))
    documents, start = [], 0
    for name, count in zip(names, data["sequences"].tolist(), strict=True):
        part = range(start, start + count)
        tokens = tuple(Tokens(tuple(ids[i].tolist()), tuple(target[i].tolist())) for i in part)
        documents.append(CachedDocument(name, tokens, tuple(hidden[i] for i in part), tuple(middle[i] for i in part)))
        start += count
    return documents


def save_packs(path: Path, packs: list[Pack], hidden: list[Tensor], middle: list[Tensor]) -> None:
    """Write packed scenarios and their hidden states as one safetensors file."""
    save_file(
        {
            "hidden": torch.cat(hidden),
            "middle": torch.cat(middle),
            "ids": torch.tensor([i for p in packs for i in p.ids], dtype=torch.int32),
            "part": torch.tensor([i for p in packs for i in p.part], dtype=torch.int8),
            "lengths": torch.tensor([len(p.ids) for p in packs], dtype=torch.int32),
        },
        path,
    )


def load_packs(path: Path) -> tuple[list[Pack], list[Tensor], list[Tensor]]:
    """The inverse of ``save_packs``."""
    data = load_file(path)
    lengths = data["lengths"].tolist()
    ids, part, hidden, middle = (data[name].split(lengths) for name in ("ids", "part", "hidden", "middle"))
    packs = [Pack(tuple(a.tolist()), tuple(b.tolist())) for a, b in zip(ids, part, strict=True)]
    return packs, list(hidden), list(middle)
