"""How the judge of texts is trained: on whose texts, calibrated on which, and measured on which.

1. Every author writes in a field of his own. Those of UNSEEN are never fitted on, nor is each FIFTH pair of others.
2. Public text (``public``: a folder of .jsonl files) adds ordinary mail, talk and fiction, of UNSEEN_FILES nothing.
3. One encoder is fitted on the rest, and ships; so is a probe, the second reader (`etiology.backends.probe`). How far
   each counts is fitted to their logits on the held-out texts, which the numbers in `benchmarks/judge.py` are of too:
   they speak of the very weights that ship.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from etiology.backends import probe
from etiology.backends.encoder import Encoder, Example, fit
from etiology.core.errors import EtiologyError
from etiology.embedded.prose import whole
from etiology.scan import linear
from etiology.scan.linear import Linear

UNSEEN: Final = (
    "office_agents",
    "letters",
    "tool_calls",
    "assistants",
    "bargains",
    "business",
    "dialogue",
    "model_writing",
    "open_mail",
)
UNSEEN_FILES: Final = ("enron1_mail.jsonl", "casino_negotiation.jsonl")
FIFTH: Final = 5
WHOLE: Final = 1200
"""Characters of the longest text whose label is taken to be about all that the encoder reads of it."""
ORDINARY: Final[Mapping[str, tuple[str, str]]] = {
    "enron1_mail.jsonl": ("text", "plain"),
    "casino_negotiation.jsonl": ("text", "lookalike"),
    "persuasion_for_good.jsonl": ("text", "lookalike"),
    "surge_toxicity.jsonl": ("text", "lookalike"),
    "davidson_tweets.jsonl": ("text", "lookalike"),
    "diasafety.jsonl": ("response", "plain"),
    "fiction_standardebooks.jsonl": ("text", "plain"),
}
"""Of each public file the field that is read, and what kind its texts are. None of them was labelled for coercion; that
hardly any coerces is an assumption (docs/log.md)."""
OF_EACH: Final = 120
"""Texts of each public file that are trained on."""

NARROW: Final = 40
"""Words of the prefilter's window: a longer one loses messages that stand among prose (docs/log.md)."""
RECALL: Final = 0.95
MANY: Final = 600
"""Texts of each public file that the prefilter is fitted on: it learns what is ordinary."""

Groups = dict[str, list[list[Example]]]


def sources() -> Groups:
    """By author, the groups of near texts: messages, transcripts and texts."""
    return {**_messages(), **_transcripts(), **_texts()}


def parted(groups: Groups) -> tuple[Groups, Groups]:
    """(fitted on, held out), by author."""
    known = {
        author: [g for n, g in enumerate(own) if n % FIFTH] for author, own in groups.items() if author not in UNSEEN
    }
    held = {author: own if author in UNSEEN else own[::FIFTH] for author, own in groups.items()}
    return known, held


def trained(groups: Groups, ordinary: Mapping[str, Sequence[Example]], show: Callable[[float], None]) -> Encoder:
    """The encoder that ships, calibrated on what it was not fitted on."""
    known, held = parted(groups)
    encoder = fit([*(group for own in known.values() for group in own), *([e] for e in _plain(ordinary))], show=show)
    rest = examples(held)
    offset, slope = calibration([encoder.logits([e.text for e in rest]).tolist()], [e.coercive for e in rest])
    encoder.slope, encoder.offset = slope, offset
    return encoder


def paired(
    groups: Groups, ordinary: Mapping[str, Sequence[Example]], first: Encoder, show: Callable[[float], None]
) -> probe.Judge:
    """The judge of two readers: ``first``, and a probe fitted on the same texts as it was."""
    known, held = parted(groups)
    fitted = [*examples(known), *_plain(ordinary)]
    rest = examples(held)
    features = probe.states([e.text for e in [*fitted, *rest]], show)
    second = probe.fit(features[: len(fitted)], [e.coercive for e in fitted])
    logits = [first.logits([e.text for e in rest]).tolist(), second.of(features[len(fitted) :]).tolist()]
    offset, one, two = calibration(logits, [e.coercive for e in rest])
    return probe.Judge(first, second, (offset, one, two))


def examples(groups: Groups) -> list[Example]:
    """Of all authors, in one list."""
    return [example for own in groups.values() for group in own for example in group]


def _plain(ordinary: Mapping[str, Sequence[Example]]) -> list[Example]:
    """The ordinary texts that are fitted on."""
    return [example for name, own in ordinary.items() if name not in UNSEEN_FILES for example in own]


def calibration(logits: Sequence[Sequence[float]], coercive: Sequence[bool]) -> list[float]:
    """Offset, and a slope for each reader's ``logits``, of the logistic regression of the verdict on them."""
    import statsmodels.api as sm

    found = sm.Logit(np.array(coercive, dtype=float), sm.add_constant(np.array(logits).T)).fit(disp=0)
    return [float(value) for value in found.params]


def prefilter(groups: Groups, ordinary: Mapping[str, Sequence[Example]], prose: Sequence[str]) -> Linear:
    """The scan's linear stage: coercive texts against ordinary ones, so that what is near coercion goes on too.

    It goes on from the score that RECALL of the held-out coercive texts reach.
    """
    known, held = parted(groups)
    positive = _coercive(known)
    negative = [*(e.text for e in _plain(ordinary)), *prose]
    model = linear.fit([*positive, *negative], [True] * len(positive) + [False] * len(negative))
    model = replace(model, window=NARROW)
    return replace(model, least=float(np.quantile(linear.scores(model, _coercive(held)), 1 - RECALL)))


def _coercive(groups: Groups) -> list[str]:
    return [e.text for e in examples(groups) if e.coercive]


def prose(*, fitted: bool) -> list[str]:
    """Every second paragraph of Wikipedia's prose: those that the prefilter is fitted on, or the others."""
    return whole()[0 if fitted else 1 :: 2]


def public(folder: Path, seed: int = 0, each: int = OF_EACH) -> dict[str, list[Example]]:
    """By file, ``each`` ordinary texts of those of ORDINARY that ``folder`` has. Errors: ``EtiologyError``."""
    found = {name: how for name, how in ORDINARY.items() if (folder / name).is_file()}
    if not found:
        raise EtiologyError(f"{folder}: none of {', '.join(ORDINARY)} is there; the README says where to get them")
    return {
        name: [Example(text, coercive=False, kind=kind) for text in _drawn(folder / name, field, seed, each)]
        for name, (field, kind) in found.items()
    }


def read_texts(path: Path) -> list[str]:
    """The texts of a file: 'text' of each .jsonl row, else each line that is not empty. Errors: ``EtiologyError``."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except UnicodeDecodeError:
        raise EtiologyError(f"{path}: not UTF-8 text") from None
    found = [_text_of(line, f"{path}:{n}") for n, line in enumerate(lines, 1)] if path.suffix == ".jsonl" else lines
    if not found:
        raise EtiologyError(f"{path}: holds no text")
    return found


def _text_of(line: str, where: str) -> str:
    try:
        row = json.loads(line)
    except ValueError as problem:
        raise EtiologyError(f"{where}: not JSON ({problem})") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise EtiologyError(f"{where}: a row is an object with 'text'")
    return str(row["text"])


def _drawn(path: Path, field: str, seed: int, each: int) -> list[str]:
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    found = [row[field].strip()[:WHOLE] for row in rows if len(row[field].strip()) >= 40]
    return random.Random(seed).sample(found, min(each, len(found)))


def _messages() -> Groups:
    from etiology.attribute.library import MESSAGES
    from etiology.elicit.score import own_words

    out: Groups = {}
    for path in sorted(MESSAGES.glob("*.jsonl")):
        pairs: dict[str, list[Example]] = defaultdict(list)
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            pairs[row.get("pair", row["id"])].append(_sent(own_words(row["text"]), coercive=row["coercive"]))
        out[path.stem] = list(_short(pairs))
    return out


def _transcripts() -> Groups:
    """Of a coercive transcript the passages that hold its span, of another all that was sent."""
    from etiology.elicit.actions import actions
    from etiology.elicit.labelled import labelled
    from etiology.elicit.score import own_words, split

    pairs: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for item in labelled():
        pieces = [piece for action in actions(item.talk) for piece in split(action.text)]
        if item.coercive:
            pieces = [piece for piece in pieces if item.span and item.span in piece]
        found = [_sent(own, coercive=item.coercive) for piece in pieces if (own := own_words(piece))]
        pairs[item.author][item.pair] += found
    return {author: list(_short(of_author)) for author, of_author in pairs.items()}


def _texts() -> Groups:
    from etiology.curate.texts import texts

    pairs: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for item in texts():
        pairs[item.author][item.pair].append(Example(item.text, item.coercive, item.kind))
    return {author: list(_short(of_author)) for author, of_author in pairs.items()}


def _sent(text: str, *, coercive: bool) -> Example:
    return Example(text, coercive, "enacted" if coercive else "")


def _short(pairs: Mapping[str, list[Example]]) -> Iterator[list[Example]]:
    for group in pairs.values():
        if short := [example for example in group if len(example.text) <= WHOLE]:
            yield short
