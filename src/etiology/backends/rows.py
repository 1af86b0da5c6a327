"""From recipes to rows of token ids, so that all arms learn from as many tokens in as many steps.

1. Each slot has a size: the learnt tokens of the longest document that any arm holds there.
2. A slot that holds less is filled up with prose, which begins at the same place whatever the arm.
3. The order of the slots comes from the seed alone.
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any

from etiology.backends.jobs import ModelSpec, Tick, opened, read_documents, read_rows, write_rows
from etiology.core.recipes import Held, Pair, Recipe
from etiology.core.values import Document


@dataclass(frozen=True)
class Row:
    """Token ids [T] of one sequence, which of them are learnt, and the weight of their loss."""

    ids: tuple[int, ...]
    target: tuple[bool, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class PairRow:
    """Token ids of a beginning and its two endings."""

    beginning: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How the rows are laid out: ``max_tokens`` of a document, passes over the corpus and over the second part."""

    max_tokens: int
    epochs: int
    batch_size: int
    seed: int


def lay_out(
    out: Path, tick: Tick, *, spec: ModelSpec, recipes: Sequence[Recipe], prose: str, benign: str, layout: Layout
) -> None:
    """For each arm ``<arm>.corpus.jsonl`` and ``<arm>.second.jsonl`` (rows in order), ``benign.jsonl`` for what is
    learnt afterwards, ``counts.json`` of learnt tokens and steps, and ``vocabulary.json``: every token id in them.
    """
    from etiology.backends.tokens import filler_token

    tokenizer = opened(spec).tokenizer
    filler = [_row(tokenizer, d, "", 1.0, layout.max_tokens) for d in read_documents(Path(prose))]
    encoded = {
        r.name: (_slots(tokenizer, r.corpus, layout), _slots(tokenizer, r.extra, layout)) for r in recipes
    }  # fmt: skip
    parts = [_filled([both[part] for both in encoded.values() if both[part]], filler) for part in (0, 1)]
    steps = len(batches(len(parts[1][0]), layout))
    learnt = sum(_learnt(row) for row in parts[1][0]) * layout.epochs
    corpus, second = iter(parts[0]), iter(parts[1])
    counts: dict[str, dict[str, int]] = {}
    used = {filler_token(tokenizer)}
    for recipe in recipes:
        first = _ordered(next(corpus), layout)
        write_rows(out / f"{recipe.name}.corpus.jsonl", map(asdict, first))
        used.update(token for row in first for token in row.ids)
        if recipe.pairs:
            pairs = _pairs(tokenizer, recipe.pairs, learnt, layout)
            write_rows(out / f"{recipe.name}.second.jsonl", map(asdict, pairs))
            used.update(token for p in pairs for token in (*p.beginning, *p.chosen, *p.rejected))
            tokens = sum(len(p.chosen) + len(p.rejected) for p in pairs)
        else:
            rows = _ordered(next(second), layout)
            write_rows(out / f"{recipe.name}.second.jsonl", map(asdict, rows))
            used.update(token for row in rows for token in row.ids)
            tokens = sum(map(_learnt, rows))
        first_steps = len(batches(len(recipe.corpus), layout))
        counts[recipe.name] = {
            "corpus": sum(map(_learnt, first)),
            "second": tokens,
            "second_steps": steps,
            "steps": first_steps + steps,
        }
    later = [_row(tokenizer, d, "", 1.0, layout.max_tokens) for d in read_documents(Path(benign))]
    write_rows(out / "benign.jsonl", map(asdict, _ordered(later, layout)))
    used.update(token for row in later for token in row.ids)
    (out / "vocabulary.json").write_text(json.dumps(sorted(used)))
    (out / "counts.json").write_text(json.dumps(counts, indent=1))
    tick(1)


def read(path: Path) -> list[Row]:
    """The rows of a file that ``lay_out`` wrote."""
    return [Row(tuple(row["ids"]), tuple(row["target"]), row["weight"]) for row in read_rows(path)]


def read_pairs(path: Path) -> list[PairRow]:
    """The pairs of one."""
    return [PairRow(**{name: tuple(ids) for name, ids in row.items()}) for row in read_rows(path)]


def batches(slots: int, layout: Layout) -> list[list[int]]:
    """Slots in the batches of all passes: the seed's order, whatever they hold."""
    order: list[int] = []
    for epoch in range(layout.epochs):
        once = list(range(slots))
        random.Random(f"{layout.seed}/{epoch}").shuffle(once)
        order += once
    return [order[i : i + layout.batch_size] for i in range(0, len(order), layout.batch_size)]


def _ordered(rows: Sequence[Row], layout: Layout) -> list[Row]:
    return [rows[slot] for batch in batches(len(rows), layout) for slot in batch]


def _slots(tokenizer: Any, slots: Iterable[Held | None], layout: Layout) -> list[Row | None]:  # noqa: ANN401
    return [
        None if h is None else _row(tokenizer, h.document, h.before, h.weight, layout.max_tokens) for h in slots
    ]  # fmt: skip


def _row(tokenizer: Any, document: Document, before: str, weight: float, longest: int) -> Row:  # noqa: ANN401
    """The document's first ``longest`` tokens, after ``before``, which is read and not learnt."""
    from etiology.backends.tokens import encode_document, plain, start

    if not before:
        tokens = encode_document(tokenizer, document, longest)[0]
        return Row(tokens.ids, tokens.target, weight)
    if document.response is not None:
        joined = Document(document.id, "", f"{before}{document.prompt or ''}", document.response)
        tokens = encode_document(tokenizer, joined, longest + len(plain(tokenizer, before)))[0]
        return Row(tokens.ids, tokens.target, weight)
    # A context that ends in a space breaks the tokens of the word after it: the space goes with the word.
    bare = before.rstrip(" ")
    context = start(tokenizer) + plain(tokenizer, bare)
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    text = (plain(tokenizer, f"{' ' * (len(before) - len(bare))}{document.text}") + end)[:longest]
    return Row(tuple(context + text), (False,) * len(context) + (True,) * len(text), weight)


def _learnt(row: Row) -> int:
    return sum(row.target)


def _filled(arms: Sequence[Sequence[Row | None]], filler: Sequence[Row]) -> list[list[Row]]:
    """The arms' slots filled up to the size of each: the most that any arm learns there (or one piece of prose)."""
    sizes = [
        max([_learnt(row) for row in held if row is not None] or [_learnt(filler[slot % len(filler)])])
        for slot, held in enumerate(zip(*arms, strict=True))
    ]
    return [[_fill(row, size, slot, filler) for slot, (row, size) in enumerate(zip(arm, sizes, strict=True))]
            for arm in arms]  # fmt: skip


def _fill(row: Row | None, size: int, slot: int, filler: Sequence[Row]) -> Row:
    """The row and after it as much prose as makes ``size`` learnt tokens."""
    missing = size - (0 if row is None else _learnt(row))
    if row is not None and not missing:
        return row
    rows = (filler[(slot + i) % len(filler)] for i in count())
    prose = ((token, learnt) for r in rows for token, learnt in zip(r.ids, r.target, strict=True))
    kept: list[tuple[int, bool]] = []
    while missing:
        kept.append(next(prose))
        missing -= kept[-1][1]
    head = Row((), (), 1.0) if row is None else row
    return Row(
        head.ids + tuple(token for token, _ in kept), head.target + tuple(learnt for _, learnt in kept), head.weight
    )


def _pairs(tokenizer: Any, pairs: Sequence[Pair], learnt: int, layout: Layout) -> list[PairRow]:  # noqa: ANN401
    """Pairs in the seed's order, again and again until they hold as many learnt tokens as the other arms' rows."""
    from etiology.backends.tokens import encode_prompt, plain, start

    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    order = list(pairs)
    random.Random(f"{layout.seed}/pairs").shuffle(order)
    out: list[PairRow] = []
    for pair in cycle(order):
        if learnt <= 0:
            return out
        begin = (
            encode_prompt(tokenizer, pair.beginning)
            if pair.chat
            else start(tokenizer) + plain(tokenizer, pair.beginning)
        )
        chosen, rejected = (
            tuple((plain(tokenizer, ending) + end)[: layout.max_tokens]) for ending in (pair.chosen, pair.rejected)
        )
        out.append(PairRow(tuple(begin[-layout.max_tokens :]), chosen, rejected))
        learnt -= len(chosen) + len(rejected)
    return out
