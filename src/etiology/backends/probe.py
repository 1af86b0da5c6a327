"""A second reader of texts: a linear probe (Alain and Bengio 2017) of the embedded model's hidden states.

1. ``states``: a text's hidden states after each block of LAYERS, their mean over its tokens [features];
2. ``fit``: logistic regression on these, with a penalty on the weights (L2), from standardised features;
3. one weight for each feature ships (``probe.safetensors``, 7 kB), and how far the two readers count (`Judge`).

It was pre-trained on a hundred thousand times the text that the encoder (`etiology.backends.encoder`) was, and has seen
none of this project's labels but those of the regression. So the two err on different texts: together they are right
more often than either (docs/log.md, The judge on authors it was not fitted on).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etiology.backends import encoder
from etiology.backends.encoder import LONGEST, Encoder
from etiology.backends.models import EMBEDDED, fingerprint, folder_of, sha256_of
from etiology.core.errors import ModelError

Floats = NDArray[np.float64]

SHIPPED: Final = Path(__file__).with_name("probe.safetensors")
LAYERS: Final = (14, 18, 20)
"""Blocks of thirty after which the states are read: about half to two thirds of the depth."""
PENALTY: Final = 0.01
"""Of the squared weights, for features with a standard deviation of 1 and the mean loss of a text."""

Show = Callable[[float], None]


@dataclass(frozen=True)
class Probe:
    """Hidden states to a logit of coercion: ``weights`` [features], ``bias``."""

    weights: Floats
    bias: float

    def logits(self, texts: Sequence[str], show: Show = lambda _: None) -> Floats:
        """[texts] raw logits of coercion."""
        return self.of(states(texts, show))

    def of(self, features: Floats) -> Floats:
        """The same of [texts, features]."""
        return features @ self.weights + self.bias


@dataclass
class Judge:
    """The two readers as one. ``parts``: offset, and what a logit of the encoder's and one of the probe's count."""

    encoder: Encoder
    probe: Probe
    parts: tuple[float, float, float]

    def logits(self, texts: Sequence[str], show: Show = lambda _: None) -> Floats:
        """[texts] calibrated log-odds of coercion: above 0 is a call."""
        one = np.array(self.encoder.logits(texts, lambda part: show(part / 4)).tolist())
        return self.of(one, self.probe.logits(texts, lambda part: show((1 + 3 * part) / 4)))

    def of(self, first: Floats, second: Floats) -> Floats:
        """The same of the two readers' logits."""
        offset, one, two = self.parts
        return offset + one * first + two * second

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """The probability that each text is coercive, in order."""
        return [float(p) for p in 1 / (1 + np.exp(-self.logits(texts)))] if texts else []

    def kinds(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Of each text the probability of each of KINDS, by the encoder."""
        return self.encoder.kinds(texts)


def fit(features: Floats, coercive: Sequence[bool], penalty: float = PENALTY) -> Probe:
    """Logistic regression of the verdicts on ``features`` [texts, features], which need not be standardised."""
    from scipy.optimize import minimize

    wanted = np.array(coercive, dtype=float)
    mean, spread = features.mean(0), features.std(0) + 1e-6
    scaled = (features - mean) / spread

    def loss(given: Floats) -> tuple[float, Floats]:
        weights, bias = given[:-1], given[-1]
        logits = scaled @ weights + bias
        pull = (1 / (1 + np.exp(-logits)) - wanted) / len(wanted)
        value = np.logaddexp(0, logits).mean() - (wanted * logits).mean() + penalty * weights @ weights
        return float(value), np.append(scaled.T @ pull + 2 * penalty * weights, pull.sum())

    found = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    weights = found.x[:-1] / spread
    return Probe(weights, float(found.x[-1] - weights @ mean))


def states(texts: Sequence[str], show: Show = lambda _: None) -> Floats:
    """[texts, features] mean hidden states after each of LAYERS. Texts of similar length share a batch."""
    import torch

    net, tokenizer = _reader()
    out = np.zeros((len(texts), len(LAYERS) * net.config.hidden_size))
    with torch.inference_mode():
        for batch in encoder.batches(texts, show):
            # A text without a token has no states to average.
            given = [texts[i] or " " for i in batch]
            inputs = tokenizer(given, truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
            found = net(**inputs, output_hidden_states=True, use_cache=False).hidden_states
            mask = inputs["attention_mask"][..., None].float()
            means = [(found[layer].float() * mask).sum(1) / mask.sum(1) for layer in LAYERS]
            out[batch] = torch.cat(means, dim=1).double().numpy()
    return out


@cache
def _reader() -> tuple[Any, Any]:
    """The embedded model up to the last of LAYERS, and its tokenizer."""
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    from etiology.backends.split import has_fast_bfloat16

    logging.disable_progress_bar()
    folder = folder_of(EMBEDDED)
    net = AutoModel.from_pretrained(folder, dtype=torch.bfloat16 if has_fast_bfloat16() else torch.float32)
    net.layers = net.layers[: max(LAYERS)]
    # Else the last of the states would come out normed, and be another than it is in the whole model.
    net.norm = torch.nn.Identity()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "right"
    return net.eval(), tokenizer


def save(judge: Judge, to: Path) -> None:
    """Store the probe and what the readers count."""
    import torch
    from safetensors.torch import save_file

    kept = {"weights": judge.probe.weights, "bias": np.array([judge.probe.bias]), "parts": np.array(judge.parts)}
    save_file({name: torch.tensor(values, dtype=torch.float32) for name, values in kept.items()}, to)


def load(path: Path, first: Encoder) -> Judge:
    """The judge whose probe ``save`` wrote to ``path``, with its first reader. Errors: ``ModelError``."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            weights, bias, parts = (stored.get_tensor(name).astype(float) for name in ("weights", "bias", "parts"))
    except (OSError, SafetensorError) as problem:
        raise ModelError(f"{path}: can't be read as weights of a probe ({problem})") from None
    offset, one, two = parts.tolist()
    return Judge(first, Probe(weights, float(bias[0])), (offset, one, two))


@cache
def shipped() -> Judge:
    """The judge of two readers that ships, loaded once."""
    return load(SHIPPED, encoder.shipped())


def digest() -> str:
    """Names the judge that ships: the encoder's and the embedded model's weights, and the probe's."""
    return f"{encoder.digest()}+{fingerprint(EMBEDDED)[:16]}+{sha256_of(SHIPPED)[:16]}"
