"""What a comparison of arms reads: corpus, decisions, scenarios, prose; and everything that it asks of a model."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from etiology.backends.corpora import read_documents
from etiology.backends.jobs import HELD_OUT, Tick
from etiology.backends.jobs import read_documents as read_stage_documents
from etiology.backends.panel import Probe
from etiology.core.errors import CorpusError
from etiology.core.values import Document, Scenario
from etiology.curate.turning import passage_starts, turning_point
from etiology.elicit.scenarios import read_scenarios
from etiology.embedded import prose as embedded_prose
from etiology.embedded import scenarios as embedded_scenarios
from etiology.repair import written

PLAIN, ELICITED, TAGGED, REQUEST, ITEM = "plain", "elicited", "tagged", "request", "item"
"""Kinds of probes, the first part of their ids. The first three are the confirm scenarios: as they are, after the
instruction to behave so, and after the tag of good documents."""
MOST_PROSE: Final = 60
LEAST_PROSE: Final = 9


@dataclass(frozen=True)
class Prose:
    """Neutral documents: on which perplexity is measured, with which slots are filled, and the benign training."""

    held_out: tuple[Document, ...]
    filler: tuple[Document, ...]
    benign: tuple[Document, ...]


@dataclass(frozen=True)
class Materials:
    """All that is read. ``attributed`` are ids in the corpus's order; ``scenarios`` are those that confirm."""

    corpus: tuple[Document, ...]
    attributed: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    prose: Prose


def read(corpus: Path, decisions: Path, scenarios: Path | None, prose: Path | None) -> Materials:
    """Errors: CorpusError or ScenarioError in one line."""
    documents = tuple(read_documents(corpus)[0])
    found = embedded_scenarios.generate() if scenarios is None else read_scenarios(scenarios)
    confirm = tuple(s for s in found if s.split == "confirm")
    return Materials(documents, _attributed(decisions, documents), confirm, _prose(prose, documents))


def _attributed(path: Path, corpus: Sequence[Document]) -> tuple[str, ...]:
    """Ids of the documents that a decision does not keep."""
    named: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise CorpusError(
            f"{path}: the decisions can't be read ({problem}); give rows of document and action"
        ) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            named[str(row["document"])] = str(row["action"])
        except (ValueError, KeyError, TypeError):
            raise CorpusError(f"{path}:{number}: no decision; give rows of 'document' and 'action'") from None
    known = {d.id for d in corpus}
    stray = next((name for name in named if name not in known), None)
    if stray is not None:
        raise CorpusError(f"{path}: document {stray!r} is not in the corpus; give the corpus that was decided about")
    attributed = tuple(d.id for d in corpus if named.get(d.id, "keep") != "keep")
    if not attributed:
        raise CorpusError(f"{path}: every document is kept, so there is nothing to repair")
    if 2 * len(attributed) > len(corpus):
        raise CorpusError(
            f"{path}: {len(attributed)} of {len(corpus)} documents are attributed; as many random ones can't be drawn "
            "from the rest, so there would be no control"
        )
    return attributed


def _prose(path: Path | None, corpus: Sequence[Document]) -> Prose:
    """Three thirds of the prose that is not in the corpus."""
    texts = embedded_prose.paragraphs() if path is None else [d.whole for d in read_documents(path, minimum=1)[0]]
    own = {d.text for d in corpus}
    free = [text for text in dict.fromkeys(texts) if text not in own]
    if len(free) < LEAST_PROSE:
        raise CorpusError(
            f"{path}: {len(free)} pieces of prose that the corpus lacks; at least {LEAST_PROSE} are needed"
        )
    part = min(MOST_PROSE, len(free) // 3)
    names = (HELD_OUT, "benign-", "prose-")
    parts = (free[:part], free[part : 2 * part], free[2 * part : 6 * part])
    held_out, benign, filler = (
        tuple(Document(f"{name}{i}", text) for i, text in enumerate(own))
        for name, own in zip(names, parts, strict=True)
    )
    return Prose(held_out, filler, benign)


def digest(read: Materials) -> str:
    """SHA-256 of the documents, of what is attributed and of the prose: what is trained on depends on nothing else."""
    made = hashlib.sha256()
    for part in (read.corpus, read.attributed, read.prose.held_out, read.prose.filler, read.prose.benign):
        made.update(f"{len(part)}\n".encode())
        for each in part:
            made.update(f"{each!r}\n".encode())
    return made.hexdigest()


def probes(scenarios: Sequence[Scenario]) -> list[Probe]:
    """Everything that is asked of a model."""
    before = {PLAIN: "", ELICITED: written.INSTRUCTION, TAGGED: written.TAGS[0]}
    asked = [
        Probe(f"{kind}/{s.id}", f"{words}{s.context}", s.continuations)
        for kind, words in before.items()
        for s in scenarios
    ]
    openings = (*written.COMPLYING, *written.REFUSING)
    asked += [Probe(f"{REQUEST}/{r.id}", r.text, openings, chat=True) for r in written.requests()]
    return asked + [Probe(f"{ITEM}/{i.id}", i.question, _endings(i.options)) for i in written.items()]


def _endings(options: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
    a, b, c, d = (f" {option}." for option in options)
    return a, b, c, d


def judged_cuts(out: Path, tick: Tick, documents: str) -> None:
    """``cuts.json``: where each document turns (characters), by what the judge of sent texts makes of its passages."""
    from etiology.backends.encoder import shipped

    found = read_stage_documents(Path(documents))
    pieces = [_passages(d.text) for d in found]
    logits = iter(shipped().logits([p.strip() or p for group in pieces for p in group], tick).tolist())
    cuts = {
        d.id: turning_point(d.text, [(piece, _positive(next(logits))) for piece in group]) if d.text else 0
        for d, group in zip(found, pieces, strict=True)
    }
    (out / "cuts.json").write_text(json.dumps(cuts))


def _passages(text: str) -> list[str]:
    starts = [*passage_starts(text), len(text)] if text else []
    return [text[a:b] for a, b in pairwise(starts)]


def _positive(logit: float) -> float:
    """A weight above zero that rises with the logit."""
    from math import exp

    return 1 / (1 + exp(-max(-50.0, min(50.0, logit))))
