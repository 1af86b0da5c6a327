"""Other ways to attribute, for benchmarks/attribution.py: each gives one score a document, the highest first.

Gradients are of the same layers as this project's influence, and signs are its own: positive scores mean that removing
the document is expected to lower the behaviour.
"""

import copy
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from etiology.attribute import engine, fuse, imported
from etiology.attribute.instances import Instance
from etiology.backends import encoder
from etiology.backends.cache import CachedDocument
from etiology.backends.split import SplitModel
from etiology.backends.tokens import Pack
from etiology.backends.train import Head

Floats = NDArray[np.float64]


def by_chance(documents: int, seed: int) -> Floats:
    return np.random.default_rng(seed).random(documents)


def bm25(texts: Sequence[str], queries: Sequence[str]) -> Floats:
    return np.array(fuse.bm25(texts, queries))


def minilm(texts: Sequence[str], queries: Sequence[str]) -> Floats:
    """Cosine with the mean query, of all-MiniLM-L6-v2's mean-pooled states."""
    base = encoder._base()  # noqa: SLF001 - the encoder before it was fine-tuned

    def embedded(batch: Sequence[str]) -> Any:  # noqa: ANN401 - a tensor
        tokens = base.tokenizer(list(batch), truncation=True, max_length=256, padding=True, return_tensors="pt")
        mask = tokens["attention_mask"][..., None]
        states = base.net(**tokens).last_hidden_state
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)

    with torch.inference_mode():
        rows = torch.cat([embedded(texts[i : i + 16]) for i in range(0, len(texts), 16)])
        asked = embedded(queries).mean(0)
    return (rows @ asked).double().numpy()


def classifier(texts: Sequence[str], answers: Sequence[str], controls: Sequence[str]) -> Floats:
    """Ridge regression on words' tf-idf: the queries' answers against their controls. It sees no model."""
    words = re.compile(r"\w+")
    rows = [Counter(words.findall(text.lower())) for text in (*texts, *answers, *controls)]
    place = {word: i for i, word in enumerate(sorted({word for row in rows for word in row}))}
    seen = np.zeros((len(rows), len(place)))
    for i, row in enumerate(rows):
        for word, times in row.items():
            seen[i, place[word]] = 1 + np.log(times)
    seen *= np.log(len(rows) / (seen > 0).sum(0))
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    fitted = seen[len(texts) :]
    wanted = np.array([1.0] * len(answers) + [-1.0] * len(controls))
    return seen[: len(texts)] @ fitted.T @ np.linalg.solve(fitted @ fitted.T + np.eye(len(fitted)), wanted)


class Projected:
    """Norms of whole gradients and gradients in random subspaces of p x p a layer (LoGra, TRAK's way), in one pass."""

    def __init__(self, model: SplitModel, tail: Any, documents: Sequence[CachedDocument], p: int, seed: int) -> None:  # noqa: ANN401
        tail, head = engine.frozen(tail), Head(model, None)
        self.layers = engine.linear_layers(model, tail)
        chance = torch.Generator().manual_seed(seed)
        self.sides = {
            name: (
                torch.randn(layer.out_features, p, generator=chance) / p**0.5,
                torch.randn(layer.in_features, p, generator=chance) / p**0.5,
            )
            for name, layer in self.layers.items()
        }
        owner = [d for d, document in enumerate(documents) for _ in document.sequences]
        self.rows = {name: torch.zeros(len(documents), p * p) for name in self.layers}
        squared = torch.zeros(len(documents), dtype=torch.float64)
        with engine.taped(self.layers) as tape:
            for batch, mask in engine.corpus_passes(model, tail, head, documents, sampled=None):
                for row, place in enumerate(batch):
                    for name in self.layers:
                        self._add(tape, name, row, mask, owner[place], squared)
        self.norms = squared.sqrt().numpy()
        self.bytes_a_document = 4 * p * p * len(self.layers)

    def _add(self, tape: Any, name: str, row: int, mask: Any, place: int, squared: Any) -> None:  # noqa: ANN401
        a = tape.inputs[name].reshape(*mask.shape, -1)[row, mask[row]]
        g = tape.gradients[name].reshape(*mask.shape, -1)[row, mask[row]]
        # the norm of a sum of outer products, without forming it; of documents of several sequences, their norms' sum
        squared[place] += ((g @ g.T) * (a @ a.T)).sum().double()
        left, right = self.sides[name]
        self.rows[name][place] += ((g @ left).T @ (a @ right)).flatten()

    def scores(self, gradient: dict[str, Any], damping: float = 0.1) -> Floats:
        """-q F^-1 x in the subspace, F that of the documents' gradients, layer by layer."""
        out = torch.zeros(len(self.norms))
        for name, rows in self.rows.items():
            left, right = self.sides[name]
            asked = (left.T @ gradient[name] @ right).flatten()
            fisher = rows.T @ rows / len(rows)
            fisher += damping * fisher.trace() / len(fisher) * torch.eye(len(fisher))
            out -= rows @ torch.linalg.solve(fisher, asked)
        return out.double().numpy()


def kronfluence(
    model: SplitModel, documents: Sequence[CachedDocument], packs: Mapping[str, Sequence[Pack]], folder: Path
) -> dict[str, Floats] | None:
    """EK-FAC by kronfluence (Grosse et al. 2023) for each kind of query, or None where it can't be imported.

    A completion and its control are asked apart and subtracted: scores are linear in the query.
    """
    try:
        from kronfluence.analyzer import Analyzer, prepare_model
        from kronfluence.arguments import FactorArguments, ScoreArguments
        from kronfluence.task import Task
    except ImportError:
        return None
    name = next(
        n for n, child in model.whole.named_modules() if child is getattr(model.whole.base_model, model.blocks_name)
    )
    places = range(model.cut, model.depth)
    tracked = [
        f"{name}.{i}.{n}"
        for i in places
        for n, child in getattr(model.whole.base_model, model.blocks_name)[i].named_modules()
        if isinstance(child, torch.nn.Linear)
    ]

    class Language(Task):  # type: ignore[misc]
        """Summed loss of a document; for a query less the mean log-probability of its answer, so that signs agree."""

        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> Any:  # noqa: ANN401, FBT002
            logits = model(input_ids=batch["ids"], attention_mask=batch["mask"]).logits[:, :-1].float()
            wanted = batch["target"][:, 1:]
            labels = batch["ids"][:, 1:][wanted]
            if sample:
                labels = torch.multinomial(logits.detach()[wanted].softmax(-1), 1).flatten()
            return torch.nn.functional.cross_entropy(logits[wanted], labels, reduction="sum")

        def compute_measurement(self, batch: Any, model: Any) -> Any:  # noqa: ANN401
            return self.compute_train_loss(batch, model) / batch["target"].sum()

        def get_influence_tracked_modules(self) -> list[str]:
            return tracked

        def get_attention_mask(self, batch: Any) -> Any:  # noqa: ANN401
            return batch["mask"]

    for parameter in model.whole.parameters():
        parameter.requires_grad_(True)
    task = Language()
    analyzer = Analyzer(
        "benchmark", prepare_model(model.whole, task), task, cpu=True, disable_tqdm=True, output_dir=str(folder)
    )
    rows = _padded([(s.ids, s.target) for d in documents for s in d.sequences])
    owner = [i for i, d in enumerate(documents) for _ in d.sequences]
    analyzer.fit_all_factors("ekfac", rows, per_device_batch_size=8, factor_args=FactorArguments(strategy="ekfac"))
    settings = ScoreArguments(aggregate_query_gradients=True)

    def asked(which: str, number: int) -> Floats:
        sequences = [_answer(pack, number) for pack in packs[which] if number < pack.continuations]
        label = f"{which}-{number}"
        analyzer.compute_pairwise_scores(
            label, "ekfac", _padded(sequences), rows, 8, per_device_train_batch_size=8, score_args=settings
        )
        found = analyzer.load_pairwise_scores(label)["all_modules"][0].double().numpy()
        out = np.zeros(len(documents))
        np.add.at(out, owner, found / len(packs[which]))
        return out

    return {which: asked(which, 0) - asked(which, 1) for which in packs}


PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""A chat format without one: an answer continues its prompt as it stands."""


def bergson(
    model: Path,
    tokenizer: Any,  # noqa: ANN401 - any of transformers'
    texts: Sequence[str],
    instances: Sequence[Instance],
    folder: Path,
) -> Floats | None:
    """TrackStar (Chang et al. 2024) by bergson, of all layers: the mean completion against the mean control. None where
    it is not installed. Its defaults, but for unit norms, which the paper has and its command leaves out, and whitened
    by the documents alone, as it advises for few queries (with theirs mixed in AP was .2).
    """
    if importlib.util.find_spec("bergson") is None:
        return None
    folder.mkdir(parents=True)
    tokenizer = copy.deepcopy(tokenizer)
    if all(isinstance(i.prompt, str) for i in instances):
        tokenizer.chat_template = PLAIN
    tokenizer.save_pretrained(folder / "tokenizer")
    prompts = [i.prompt if isinstance(i.prompt, str) else i.prompt[-1].text for i in instances]
    files = {
        "documents": [{"text": text} for text in texts],
        "queries": [{"prompt": p, "completion": i.completion} for p, i in zip(prompts, instances, strict=True)],
        "controls": [{"prompt": p, "completion": i.control} for p, i in zip(prompts, instances, strict=True)],
    }
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {"query": "queries", "contrast": "controls"}
    settings = [f"--{kind}.dataset={folder / name}.jsonl" for kind, name in asked.items()]
    settings += [f"--{kind}.{part}_column={part}" for kind in asked for part in ("prompt", "completion")]
    settings += ["--query.aggregation=mean", "--unit_normalize=True", "--mix_hessians=False"]
    settings += ["--token_batch_size=1024"]
    command = [sys.executable, "-m", "bergson", "trackstar", str(folder / "run"), "--model", str(model)]
    command += ["--tokenizer", str(folder / "tokenizer"), f"--data.dataset={folder / 'documents.jsonl'}", *settings]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return imported._bergson(folder / "run" / "scores")  # noqa: SLF001 - the reader that `--scores` uses


def _answer(pack: Pack, number: int) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """One continuation after its context: ids, and which of them are asked about."""
    kept = [i for i, part in enumerate(pack.part) if part in {-1, number}]
    return tuple(pack.ids[i] for i in kept), tuple(pack.part[i] == number for i in kept)


def _padded(rows: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> Any:  # noqa: ANN401 - a data set
    width = max(len(ids) for ids, _ in rows)

    class Rows(torch.utils.data.Dataset[dict[str, Any]]):
        """Sequences padded to one length."""

        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, place: int) -> dict[str, Any]:
            ids, target = rows[place]
            rest = width - len(ids)
            return {
                "ids": torch.tensor([*ids, *[0] * rest]),
                "mask": torch.tensor([*[1] * len(ids), *[0] * rest]),
                "target": torch.tensor([*target, *[False] * rest]),
            }

    return Rows()
