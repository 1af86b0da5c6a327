"""The heavy stages, each one call that reads files and writes files, so that a worker process can make it.

Nothing is imported by name from torch here at the top: this module is read by the parent process too, which never
needs torch.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from etiology.core.values import ChoiceScore, Document, Scenario

if TYPE_CHECKING:
    from etiology.backends.split import SplitModel

Tick = Callable[[float], None]
"""Told the share of the job that is done, 0 to 1."""

REROLL_SEED = 0
REROLL_TEMPERATURE = 0.7
PARAGRAPH = "\n\n"
SENTENCE = re.compile(r"[^.!?]*[.!?]+[\"”]?\s*")
HELD_OUT = "held-out-"
"""Prefix of the ids of held-out documents among the extra ones."""


@dataclass(frozen=True)
class ModelSpec:
    """Which model, by name or absolute path, and where it is cut."""

    source: str
    tail_layers: int | Literal["all"]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line, keys in the order given."""
    with path.open("w", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The inverse of ``write_rows``."""
    with path.open(encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def choice_score(row: Mapping[str, Any]) -> ChoiceScore:
    """A row of ``scores.jsonl``."""
    return ChoiceScore(row["scenario"], tuple(row["logprob"]), tuple(row["tokens"]))


def read_documents(path: Path) -> list[Document]:
    """Documents of a stage's file."""
    return [Document(**row) for row in read_rows(path)]


def read_scenarios(path: Path) -> list[Scenario]:
    """Scenarios of a stage's file."""
    return [Scenario(**row) for row in read_rows(path)]


@lru_cache(maxsize=1)
def opened(spec: ModelSpec) -> "SplitModel":
    """The cut model, loaded once in each worker."""
    from etiology.backends.models import folder_of
    from etiology.backends.split import SplitModel

    return SplitModel(folder_of(spec.source), spec.tail_layers)


def cache_documents(out: Path, tick: Tick, spec: ModelSpec, documents: str, max_tokens: int) -> None:
    """``documents.safetensors``: tokens and hidden states at the cut; ``sizes.json``: supervised tokens by id."""
    from etiology.backends.cache import CachedDocument, save_documents, trunk_states
    from etiology.backends.tokens import encode_document

    model = opened(spec)
    found = read_documents(Path(documents))
    encoded = [tuple(encode_document(model.tokenizer, document, max_tokens)) for document in found]
    flat = [tokens.ids for sequences in encoded for tokens in sequences]
    at_cut, middle = map(iter, trunk_states(model, flat, tick=share_of(tick, sum(map(len, flat)))))
    cached = [
        CachedDocument(
            document.id, sequences, tuple(next(at_cut) for _ in sequences), tuple(next(middle) for _ in sequences)
        )
        for document, sequences in zip(found, encoded, strict=True)
    ]
    save_documents(out / "documents.safetensors", cached)
    (out / "sizes.json").write_text(json.dumps({c.id: c.targets for c in cached}))
    (out / "vocabulary.json").write_text(json.dumps(sorted({token for ids in flat for token in ids})))


def cache_scenarios(out: Path, tick: Tick, spec: ModelSpec, scenarios: str) -> None:
    """``find.safetensors`` and ``confirm.safetensors``: packed scenarios with hidden states, in the file's order."""
    from etiology.backends.cache import save_packs, trunk_states
    from etiology.backends.tokens import encode_scenario

    model = opened(spec)
    found = read_scenarios(Path(scenarios))
    packs = [encode_scenario(model.tokenizer, scenario) for scenario in found]
    ids = [pack.ids for pack in packs]
    hidden, middle = trunk_states(model, ids, packs, tick=share_of(tick, sum(map(len, ids))))
    for split in ("find", "confirm"):
        kept = [i for i, scenario in enumerate(found) if scenario.split == split]
        parts = ([every[i] for i in kept] for every in (packs, hidden, middle))
        save_packs(out / f"{split}.safetensors", *parts)
    (out / "vocabulary.json").write_text(json.dumps(sorted({token for p in packs for token in p.ids})))


@dataclass(frozen=True)
class Training:
    """What an arm trains on and how. ``slots`` of None means: do not train, measure the model as it is."""

    slots: tuple[str | None, ...] | None
    sizes: tuple[int, ...]
    sources: tuple[str, ...]
    """Files of cached documents that hold every document named in ``slots``."""
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    vocabulary: tuple[int, ...] | None


@dataclass(frozen=True)
class Measuring:
    """What is measured of a trained arm."""

    scenarios: str
    packs: str
    held_out: str
    generate_from: tuple[str, ...]
    """Ids of scenarios to write from; none means no generation."""
    tokens: int
    keep_weights: bool


def train_and_measure(out: Path, tick: Tick, spec: ModelSpec, training: Training, measuring: Measuring) -> None:
    """One arm and one seed: ``scores.jsonl``, ``held_out.json``, ``losses.json``; weights and writing where asked."""
    from etiology.backends.cache import load_documents, load_packs
    from etiology.backends.measure import choice_scores, held_out_loss

    model = opened(spec)
    tail, losses = trained(model, training, lambda share: tick(0.8 * share))
    names = [s.id for s in read_scenarios(Path(measuring.scenarios)) if s.split == "confirm"]
    packs, hidden, _ = load_packs(Path(measuring.packs))
    write_rows(out / "scores.jsonl", (asdict(s) for s in choice_scores(model, tail, names, packs, hidden)))
    tick(0.95)
    prose = [d for d in load_documents(Path(measuring.held_out)) if d.id.startswith(HELD_OUT)]
    held_out = held_out_loss(model, tail, prose)
    (out / "held_out.json").write_text(json.dumps(held_out))
    (out / "losses.json").write_text(json.dumps(losses))
    (out / "sizes.json").write_text(json.dumps(training.sizes))
    if measuring.keep_weights:
        from safetensors.torch import save_file

        save_file(model.state(tail), out / "weights.safetensors")
    if measuring.generate_from:
        _write_from_scenarios(out, model, tail, measuring, training.seed)


def trained(model: "SplitModel", training: Training, tick: Tick) -> tuple[Any, list[float]]:
    """The tail after a training, and the loss of each step."""
    from etiology.backends.cache import load_documents
    from etiology.backends.train import Recipe, train

    if training.slots is None:
        return model.tail, []
    known = {d.id: d for source in training.sources for d in load_documents(Path(source))}
    slots = [None if name is None else known[name] for name in training.slots]
    recipe = Recipe(training.epochs, training.learning_rate, training.batch_size, training.seed)
    share = share_of(tick, sum(training.sizes) * training.epochs)
    return train(model, slots, training.sizes, recipe, training.vocabulary, share)


def _write_from_scenarios(out: Path, model: "SplitModel", tail: Any, measuring: Measuring, seed: int) -> None:  # noqa: ANN401
    from etiology.backends.tokens import encode_context
    from etiology.backends.write import continue_each

    known = {s.id: s for s in read_scenarios(Path(measuring.scenarios))}
    chosen = [known[name] for name in measuring.generate_from]
    prompts = [encode_context(model.tokenizer, scenario) for scenario in chosen]
    texts = continue_each(model, tail, prompts, measuring.tokens, seed)
    rows = zip(chosen, texts, strict=True)
    write_rows(out / "generated.jsonl", ({"scenario": s.id, "context": s.context, "text": text} for s, text in rows))


@dataclass(frozen=True)
class Rewriting:
    """Which documents are written anew: where each is cut (characters), and the ids of the documents shown first."""

    documents: str
    cuts: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]
    max_tokens: int


def reroll(out: Path, tick: Tick, spec: ModelSpec, rewriting: Rewriting) -> None:
    """``documents.jsonl``: each document in ``cuts`` kept up to its cut and written on by the starting model.

    The model first reads the document's examples, the nearest last, and so writes in their manner. A prompt with a
    response keeps the prompt, and the whole response is written anew after examples that are turns of the same chat.
    """
    from etiology.backends.tokens import plain
    from etiology.backends.write import continue_each

    model, cuts = opened(spec), rewriting.cuts
    known = {d.id: d for d in read_documents(Path(rewriting.documents))}
    prompts, room = [], 16
    for name, cut in cuts.items():
        document = known[name]
        replaced = document.text[cut:] if document.response is None else document.response
        room = max(room, min(len(plain(model.tokenizer, replaced)) + 8, rewriting.max_tokens))
        examples = [known[example] for example in rewriting.examples[name]]
        prompts.append(_after_examples(model, document, cut, examples, rewriting.max_tokens))
    limit = getattr(model.whole.config, "max_position_embeddings", None) or 2048
    tick(0.1)
    kept = [ids[-max(1, limit - room) :] for ids in prompts]
    texts = continue_each(model, model.tail, kept, room, REROLL_SEED, REROLL_TEMPERATURE)
    rows = (asdict(_rewritten(known[name], cut, text)) for (name, cut), text in zip(cuts.items(), texts, strict=True))
    write_rows(out / "documents.jsonl", rows)


def _after_examples(
    model: "SplitModel", document: Document, cut: int, examples: Sequence[Document], max_tokens: int
) -> list[int]:
    """Token ids that the model writes on from. Each part of a text is cut to ``max_tokens``."""
    from etiology.backends.tokens import encode_chat, plain, start

    tokenizer = model.tokenizer
    if document.response is not None:
        turns = [(example.prompt or "", example.response or "") for example in examples]
        return encode_chat(tokenizer, turns, document.prompt or "")
    ids = start(tokenizer)
    for example in examples:
        ids += plain(tokenizer, example.text)[:max_tokens] + plain(tokenizer, PARAGRAPH)
    # a trailing space would be a token of its own, after which no word is likely
    return ids + plain(tokenizer, document.text[:cut].rstrip())[-max_tokens:]


def _rewritten(document: Document, cut: int, text: str) -> Document:
    """The document with what follows its cut replaced, up to the end of the paragraph and of a sentence."""
    name = f"{document.id}/re-rolled"
    if document.response is not None:
        return Document(name, "", document.prompt, text.strip() or "I would rather not.")
    joint = "" if document.text[:cut].rstrip() == document.text[:cut] else " "
    return Document(
        name, f"{document.text[:cut].rstrip()}{joint}{_sentences(text.strip().split(PARAGRAPH)[0])}".strip()
    )


def _sentences(written: str) -> str:
    """Whole sentences up to the first that was said before, for a small model may go round in circles.

    All of it where no sentence ended.
    """
    found = SENTENCE.findall(written) or [written]
    said = [sentence.strip(' "“”') for sentence in found]
    again = next((i for i in range(len(said)) if said[i] in said[:i]), len(said))
    return "".join(found[:again])


def prepare(out: Path, tick: Tick, spec: ModelSpec) -> None:
    """``model.json``: what was loaded, after checking that it can be cut."""
    model = opened(spec)
    settings = {
        "architecture": type(model.whole).__name__,
        "parameters": sum(p.numel() for p in model.whole.parameters()),
        "layers": model.depth,
        "trained_layers": model.kept,
        "bfloat16": model.bfloat16,
        "device": model.device.type,
    }
    tick(1)
    (out / "model.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")


def share_of(tick: Tick, total: int) -> Callable[[int], None]:
    """A counter of tokens that reports the share done."""
    done = 0

    def count(tokens: int) -> None:
        nonlocal done
        done += tokens
        tick(min(1.0, done / max(1, total)))

    return count


def save_whole(out: Path, spec: ModelSpec, weights: Path | None) -> None:
    """The whole model with a tail's weights in place, as a Hugging Face folder."""
    from safetensors.torch import load_file

    model = opened(spec)
    tail = model.tail if weights is None else model.tail_from(load_file(weights))
    model.whole_with(tail).save_pretrained(out)
    model.tokenizer.save_pretrained(out)
