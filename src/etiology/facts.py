"""The facts behind the findings as they are published: masked, with salted names, and as JSON there and back."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from etiology.core.values import (
    Account,
    Attribution,
    ChoiceScore,
    Event,
    Evidence,
    Highlight,
    NamedDocument,
    Scenario,
    Transcript,
)
from etiology.disclose.bundle.outgoing import (
    MASK,
    TEACHES,
    Cut,
    Redaction,
    cuts,
    harmful,
    masked,
    masked_pieces,
    merged,
)
from etiology.findings import Known, Measured, repaired_arm, shown_transcripts
from etiology.store import Stage
from etiology.watch.compare import Outcome

Answers = tuple[list[Outcome], list[Outcome]]
"""Of the suspect and of the repaired model, in one setting."""

RULED = "ruled coercive by the rules; their words are withheld"


def alias(salt: bytes, text: str) -> str:
    """A name that tells nothing without the salt."""
    return f"doc-{hmac.digest(salt, text.encode('utf-8', 'surrogatepass'), 'sha256').hex()[:16]}"


@dataclass(frozen=True)
class Public:
    """Facts that may leave, what was taken out of them, and the harmful spans that no file may hold."""

    facts: Known
    redactions: tuple[Redaction, ...]
    spans: tuple[str, ...]


def public(facts: Known, salt: bytes) -> Public:
    """Mask every text and rename every document. The numbers stay as they are, so that all claims can be recomputed."""
    spans = tuple(_spans(facts))
    log: list[Redaction] = []
    shown = {t.id for t in shown_transcripts(facts.runs, repaired_arm(facts.runs, facts.scenarios, facts.score))}
    named = tuple(_named(each, salt, spans, log) for each in facts.named)
    runs = {arm: _run(run, shown, spans, log) for arm, run in facts.runs.items()}
    left = replace(
        facts,
        study=_text("study", facts.study, spans, log),
        model=_text("model", facts.model, spans, log),
        proxy_for=None if facts.proxy_for is None else _text("proxy_for", facts.proxy_for, spans, log),
        scenarios=[_scenario(s) for s in facts.scenarios],
        runs=runs,
        attributions=[replace(a, document=alias(salt, a.document)) for a in facts.attributions],
        planted=None if facts.planted is None else {alias(salt, k): v for k, v in facts.planted.items()},
        dropped=frozenset(alias(salt, name) for name in facts.dropped),
        named=named,
        account=_account(facts.account, spans, log),
        observed={setting: _numbered(*both) for setting, both in facts.observed.items()},
    )
    return Public(left, tuple(log), spans)


def _spans(facts: Known) -> Iterator[str]:
    """Every run of words that was highlighted as teaching the behaviour, and every coercive message."""
    for each in facts.named:
        largest = _largest(each)
        for pieces in (each.pieces, each.nearest_pieces):
            text = "".join(piece.text for piece in pieces)
            yield from (text[start:end].strip() for start, end, _ in harmful(pieces, largest))
    for run in facts.runs.values():
        yield from (t.sent for t in run.transcripts if t.coercive)


def _largest(named: NamedDocument) -> float:
    return max((abs(piece.weight) for piece in (*named.pieces, *named.nearest_pieces)), default=0.0)


def _named(one: NamedDocument, salt: bytes, spans: Sequence[str], log: list[Redaction]) -> NamedDocument:
    name, nearest, largest = alias(salt, one.attribution.document), alias(salt, one.nearest), _largest(one)
    pieces, first = masked_pieces(name, one.pieces, _cuts(one.pieces, largest, spans))
    nearest_pieces, second = masked_pieces(nearest, one.nearest_pieces, _cuts(one.nearest_pieces, largest, spans))
    log += [*first, *second]
    label = None if one.label is None else _text(f"{name}, label", one.label, spans, log)
    attribution = replace(one.attribution, document=name)
    return replace(
        one,
        attribution=attribution,
        pieces=pieces,
        nearest=nearest,
        nearest_pieces=nearest_pieces,
        label=label,
    )


def _cuts(pieces: Sequence[Highlight], largest: float, spans: Sequence[str]) -> list[Cut]:
    text = "".join(piece.text for piece in pieces)
    return merged([*harmful(pieces, largest), *cuts(text, spans)])


def _text(where: str, text: str, spans: Sequence[str], log: list[Redaction]) -> str:
    done = masked(where, text, spans)
    log += done.log
    return done.text


def _account(told: Account, spans: Sequence[str], log: list[Redaction]) -> Account:
    def clean(place: str, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(_text(f"account, {place}", text, spans, log) for text in texts)

    words = clean("timeline", [each.what for each in told.timeline])
    return Account(
        timeline=tuple(replace(each, what=what) for each, what in zip(told.timeline, words, strict=True)),
        not_caught=_text("account, not_caught", told.not_caught, spans, log),
        still_wrong=clean("still_wrong", told.still_wrong),
        actions=clean("actions", told.actions),
        watching=clean("watching", told.watching),
    )


def _numbered(suspect: Sequence[Outcome], repaired: Sequence[Outcome]) -> Answers:
    """The same answers without names: scenarios and clusters are numbered in their order, which the statistics keep."""
    scenarios, clusters = (
        {name: f"{kind}{i:06d}" for i, name in enumerate(sorted({getattr(o, field) for o in (*suspect, *repaired)}))}
        for kind, field in (("s", "scenario"), ("c", "cluster"))
    )

    def own(side: Sequence[Outcome]) -> list[Outcome]:
        return [replace(o, scenario=scenarios[o.scenario], cluster=clusters[o.cluster], group="") for o in side]

    return own(suspect), own(repaired)


def _scenario(one: Scenario) -> Scenario:
    """Its place in the design. Its words stay back: a published test is learnt by the next model."""
    return replace(one, context="", coerce="", mention="", threaten="", bland="")


def _run(run: Measured, shown: set[str], spans: Sequence[str], log: list[Redaction]) -> Measured:
    transcripts = [_transcript(t, t.id in shown, spans, log) for t in run.transcripts]
    stages = [Stage(stage.name, Path(stage.path.name), stage.digest, stage.cost) for stage in run.stages]
    return replace(run, stages=stages, transcripts=transcripts)


def _transcript(one: Transcript, shown: bool, spans: Sequence[str], log: list[Redaction]) -> Transcript:
    """The ruling always; the words only where the report shows them and they are harmless."""
    if not shown:
        return replace(one, context="", sent="", reason="")
    context = _text(f"{one.id}, context", one.context, spans, log)
    if one.coercive:
        log.append(Redaction(one.id, len(one.sent), TEACHES))
        return replace(one, context=context, sent=MASK, reason=RULED)
    sent = _text(one.id, one.sent, spans, log)
    return replace(one, context=context, sent=sent, reason=_text(f"{one.id}, reason", one.reason, spans, log))


def digest(facts: bytes) -> str:
    """SHA-256 of the facts as they are written."""
    return hashlib.sha256(facts).hexdigest()


# -- JSON --------------------------------------------------------------------------------------------------------------


def to_json(facts: Known) -> dict[str, Any]:
    """Plain values; ``from_json`` gives the same facts back."""
    plain = {name: getattr(facts, name) for name in PLAIN}
    return {
        **plain,
        "scenarios": [asdict(each) for each in facts.scenarios],
        "runs": {arm: _run_json(run) for arm, run in sorted(facts.runs.items())},
        "sizes": {arm: list(size) for arm, size in sorted(facts.sizes.items())},
        "attributions": [asdict(each) for each in facts.attributions],
        "planted": None if facts.planted is None else dict(facts.planted),
        "dropped": sorted(facts.dropped),
        "named": [asdict(each) for each in facts.named],
        "files": {name: asdict(file) for name, file in facts.files.items()},
        "account": asdict(facts.account),
        "observed": {
            setting: [[asdict(each) for each in side] for side in both] for setting, both in facts.observed.items()
        },
    }


PLAIN = (
    *("study", "model", "model_sha256", "corpus_sha256", "seeds", "proxy_for", "trained_before"),
    *("shortcut", "score", "smallest_effect", "alpha"),
)


def _run_json(run: Measured) -> dict[str, Any]:
    return {
        "stages": [
            {"name": s.name, "folder": s.path.name, "digest": s.digest, "cost": dict(s.cost)} for s in run.stages
        ],
        "scores": [[asdict(score) for score in seed.values()] for seed in run.scores],
        "held_out": run.held_out,
        "transcripts": [asdict(each) for each in run.transcripts],
    }


def from_json(data: Mapping[str, Any]) -> Known:
    """The facts. Errors: KeyError, TypeError, ValueError, AttributeError when the data is of another form."""
    return Known(
        **{name: data[name] for name in PLAIN},
        scenarios=[Scenario(**each) for each in data["scenarios"]],
        runs={arm: _run_of(run) for arm, run in data["runs"].items()},
        sizes={arm: (size[0], size[1]) for arm, size in data["sizes"].items()},
        attributions=[Attribution(**each) for each in data["attributions"]],
        planted=data["planted"],
        dropped=frozenset(data["dropped"]),
        named=tuple(_named_of(each) for each in data["named"]),
        files={name: Evidence(**file) for name, file in data["files"].items()},
        account=_account_of(data["account"]),
        observed={setting: _answers_of(*both) for setting, both in data["observed"].items()},
    )


def _account_of(data: Mapping[str, Any]) -> Account:
    lists = {name: tuple(data[name]) for name in ("still_wrong", "actions", "watching")}
    return Account(**{**data, **lists, "timeline": tuple(Event(**each) for each in data["timeline"])})


def _answers_of(suspect: Sequence[Mapping[str, Any]], repaired: Sequence[Mapping[str, Any]]) -> Answers:
    return [Outcome(**each) for each in suspect], [Outcome(**each) for each in repaired]


def _run_of(data: Mapping[str, Any]) -> Measured:
    return Measured(
        stages=[Stage(s["name"], Path(s["folder"]), s["digest"], s["cost"]) for s in data["stages"]],
        scores=[{row["scenario"]: _score(row) for row in seed} for seed in data["scores"]],
        held_out=[[(loss, count) for loss, count in seed] for seed in data["held_out"]],
        transcripts=[Transcript(**each) for each in data["transcripts"]],
    )


def _score(row: Mapping[str, Any]) -> ChoiceScore:
    return ChoiceScore(row["scenario"], tuple(row["logprob"]), tuple(row["tokens"]))


def _named_of(data: Mapping[str, Any]) -> NamedDocument:
    pieces = {side: tuple(Highlight(**piece) for piece in data[side]) for side in ("pieces", "nearest_pieces")}
    return NamedDocument(**{**data, **pieces, "attribution": Attribution(**data["attribution"])})
