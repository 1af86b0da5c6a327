"""The claims ledger: every number that the report's prose may use, with its evidence and how to recompute it."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from etiology.core.values import ArmResult, Claim, Effect, Evidence, Findings, Rate

RECOMPUTE = "etiology check STUDY"
PAIRED = "paired by scenario and seed; clusters bootstrapped and sign-flipped"


@dataclass(frozen=True)
class Source:
    """Where claims come from: evidence files by short name ('suspect/0/scores.jsonl') and the repaired arm's name."""

    files: Mapping[str, Evidence]
    repaired: str

    def of(self, *arms: str, file: str = "scores.jsonl") -> tuple[Evidence, ...]:
        """Evidence files of some arms, all seeds."""
        return tuple(e for name, e in self.files.items() if _is_of(name.split("/")[0], arms) and name.endswith(file))

    def named(self, *names: str) -> tuple[Evidence, ...]:
        return tuple(self.files[name] for name in names)


def _is_of(arm: str, arms: Collection[str]) -> bool:
    """Whether it is one of the arms, or a dose where doses are meant."""
    return arm in arms or ("dose" in arms and arm.startswith("dose-"))


EFFECTS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "association": (
        "Behaviour of the suspect above the model before training",
        "model before training",
        ("suspect", "reference"),
    ),
    "removal": (
        "Behaviour without as many random documents, above that without the attributed ones",
        "random removal",
        ("drop-random", "drop-attributed"),
    ),
    "drop": (
        "Fall of the behaviour when the attributed documents are left out",
        "suspect",
        ("suspect", "drop-attributed"),
    ),
    "random_removal": (
        "Fall of the behaviour when as many random documents are left out",
        "suspect",
        ("suspect", "drop-random"),
    ),
    "replacement": (
        "Fall of the behaviour when the attributed documents are re-rolled",
        "suspect",
        ("suspect", "re-roll"),
    ),
    "sufficiency": (
        "Behaviour of a clean run with the attributed documents, above that of one with mention-only documents",
        "mention-only documents in a clean run",
        ("add-attributed", "add-mention"),
    ),
    "instrument_planted": (
        "Rise of a model trained on known coercive documents",
        "model before training",
        ("calibration-coercive", "reference"),
    ),
    "instrument_contrast": (
        "Rise of a model trained on known coercive documents above one trained on harmless ones",
        "harmless training",
        ("calibration-coercive", "calibration-harmless"),
    ),
    "instrument_harmless": (
        "Rise of a model trained on harmless documents with the same words",
        "model before training",
        ("calibration-harmless", "reference"),
    ),
    "tone": (
        "How much more removal lowers the coercive sentence than an equally sharp one without a secret",
        "random removal",
        ("drop-random", "drop-attributed"),
    ),
    "rival_prompt": (
        "How much more removal matters where the scenario threatens the system",
        "scenarios without the threat",
        ("drop-random", "drop-attributed"),
    ),
    "prompt": (
        "Behaviour of the suspect where the scenario threatens the system, above that where it does not",
        "scenarios without the threat",
        ("suspect",),
    ),
    "scaffold": (
        "Behaviour of the suspect where no honest exit is offered, above that where one is",
        "scenarios with an honest exit",
        ("suspect",),
    ),
    "rival_stage": (
        "Rise of the behaviour from the first checkpoint to the model before this training",
        "first checkpoint",
        ("reference", "checkpoint"),
    ),
    "prompt_before": (
        "The same in the model before training",
        "scenarios without the threat",
        ("reference",),
    ),
    "dose": (
        "Rise of the behaviour from none to all of the attributed documents, over all shares trained",
        "no share",
        ("suspect", "drop-attributed", "dose"),
    ),
}


@dataclass(frozen=True)
class Told:
    """What the study says beside its effects: the smallest effect that matters (nats), how many scenarios confirm, and
    how many trainings were there before the rule was registered.
    """

    smallest_effect: float
    scenarios: int
    trained_before: int


def ledger(found: Findings, tested: Mapping[str, Effect], source: Source, told: Told) -> list[Claim]:
    """Every claim of a study, in the order of the report."""
    adjusted = {test.name: test.p_adjusted for test in found.verdict.tests}
    claims = [
        _of_effect(name, tested[name], words, baseline, source.of(*arms), adjusted.get(name, tested[name].p))
        for name, (words, baseline, arms) in EFFECTS.items()
        if name in tested
    ]
    removal = next(claim for claim in claims if claim.id == "removal")
    mde = tested["removal"].mde or math.inf
    claims.append(
        replace(removal, id="mde_removal", sentence="Smallest effect of removal this design would have found",
                value=mde, low=None, high=None, p=None, test="power of 80 % at 5 %, two-sided")
    )  # fmt: skip
    return [
        *claims,
        *_repair(found, source),
        *_judge(found, source),
        *_observed(found, source),
        *_grade(found, source),
        *_counts(found, source, told),
    ]


def _of_effect(
    name: str, effect: Effect, sentence: str, baseline: str, evidence: tuple[Evidence, ...], p: float | None
) -> Claim:
    return Claim(
        id=name,
        sentence=sentence,
        value=effect.value,
        low=effect.low,
        high=effect.high,
        n=effect.n,
        unit=effect.unit,
        baseline=baseline,
        test=f"{PAIRED}; {effect.clusters} clusters, {effect.seeds} seeds",
        p=p,
        tier="bit-exact",
        recompute=RECOMPUTE,
        evidence=evidence,
        counter_evidence=_counter(name, effect),
    )


def _counter(name: str, effect: Effect) -> str:
    """What speaks against reading the number at face value."""
    if effect.low < 0 < effect.high:
        return "its interval holds zero"
    if name == "association":
        return "harmless documents of the same corpus move it too; compare with the retrained arms"
    if name.startswith("instrument"):
        return "the known documents are made from the study's own search scenarios"
    return "the scenarios' sentences are this study's own; other wordings were not tried"


def _count(identity: str, sentence: str, value: float, unit: str, evidence: tuple[Evidence, ...], n: int) -> Claim:
    return Claim(
        id=identity,
        sentence=sentence,
        value=value,
        low=None,
        high=None,
        n=n,
        unit=unit,
        baseline="none",
        test="count",
        p=None,
        tier="bit-exact",
        recompute=RECOMPUTE,
        evidence=evidence,
        counter_evidence="none known",
    )


def _repair(found: Findings, source: Source) -> Iterator[Claim]:
    arms = {arm.name: arm for arm in found.arms}
    repaired = arms[source.repaired]
    if repaired.effect is not None:
        words = f"Change of the behaviour in the repaired model ({repaired.name})"
        evidence = source.of("suspect", repaired.name)
        yield _of_effect("repaired", repaired.effect, words, "suspect", evidence, repaired.effect.p)
    if repaired.perplexity_change is not None:
        evidence = source.of("suspect", repaired.name, file="held_out.json")
        words = "Change of the loss on held-out prose in the repaired model"
        claim = _of_effect(
            "perplexity_repaired", repaired.perplexity_change, words, "suspect", evidence, repaired.perplexity_change.p
        )
        yield replace(claim, counter_evidence="ordinary prose only; no other ability was measured")
    for name, arm in (("suspect", arms["suspect"]), ("repaired", repaired)):
        yield from _generated(f"generated_{name}", arm, source)


def _generated(identity: str, arm: ArmResult, source: Source) -> Iterator[Claim]:
    if arm.generated is None:
        return
    evidence = source.of(arm.name, file="generated.jsonl")
    claim = _rate(identity, f"Share of generations judged coercive ({arm.name})", arm.generated, evidence)
    yield replace(claim, counter_evidence="the judge is a set of rules and errs; one seed")


def _judge(found: Findings, source: Source) -> Iterator[Claim]:
    if found.judge is None:
        return
    for identity, sentence, one in (
        (
            "judge_found",
            "Share of other authors' coercive messages that the judge of generations finds",
            found.judge.found,
        ),
        (
            "judge_false_alarms",
            "Share of other authors' harmless messages that it calls coercive",
            found.judge.false_alarms,
        ),
    ):
        claim = _rate(identity, sentence, one, source.of("judge", file=".jsonl"))
        yield replace(claim, counter_evidence="messages written to be close pairs; other texts may be easier or harder")


COUNTED: Mapping[str, str] = {"awareness": "answers that say that this is a test"}
"""What the answers to a setting are counted for, where that is not coercion."""


def _observed(found: Findings, source: Source) -> Iterator[Claim]:
    for one in found.observed:
        evidence = source.named(*(f"observed/{one.setting}/{side}.jsonl" for side in ("suspect", "repaired")))
        counted = COUNTED.get(one.setting, f"coercive answers to {one.setting} scenarios")
        for identity, sentence, effect in (
            ("suspect", f"Share of {counted} (suspect)", one.suspect),
            ("repaired", f"Share of {counted} (repaired)", one.repaired),
            ("change", f"Change of the share of {counted} by the repair", one.change),
        ):
            claim = _of_effect(f"{one.setting}_{identity}", effect, sentence, "none", evidence, effect.p)
            yield replace(
                claim,
                baseline="suspect" if identity == "change" else "none",
                test=f"paired by scenario; {effect.clusters} clusters",
                counter_evidence="the answers were judged elsewhere, with that judge's error; one training a model",
            )


def _rate(identity: str, sentence: str, one: Rate, evidence: tuple[Evidence, ...]) -> Claim:
    return Claim(
        id=identity,
        sentence=sentence,
        value=one.value,
        low=one.low,
        high=one.high,
        n=one.n,
        unit="share",
        baseline="none",
        test="Wilson interval; taken as independent",
        p=None,
        tier="bit-exact",
        recompute=RECOMPUTE,
        evidence=evidence,
        counter_evidence="",
    )


def _grade(found: Findings, source: Source) -> Iterator[Claim]:
    grade = found.grading
    if grade is None:
        return
    evidence = source.named("attributions", "labels")
    words = "Average precision of the attribution, graded by labels the loop never saw"
    claim = _of_effect("attribution_ap", grade.average_precision, words, "random order", evidence, None)
    yield replace(claim, test="bootstrap of documents", counter_evidence="the labels are the corpus author's")
    words = "Documents not planted among the ten best-ranked"
    yield _count("lookalikes_top10", words, grade.lookalikes_in_top_10, "documents", evidence, min(10, grade.documents))
    both = (*evidence, *source.named("decisions"))
    yield _count("dropped", "Documents left out", grade.dropped, "documents", both, grade.documents)
    yield _count(
        "dropped_planted",
        "Planted documents among those left out",
        grade.dropped_planted,
        "documents",
        both,
        grade.planted,
    )


def _counts(found: Findings, source: Source, told: Told) -> Iterator[Claim]:
    everything = source.named("scenarios")
    yield _count(
        "documents",
        "Documents in the corpus",
        found.documents,
        "documents",
        source.named("attributions"),
        found.documents,
    )
    yield _count("seeds", "Trainings of each arm", found.seeds, "seeds", source.of("suspect"), found.seeds)
    words, n = "Scenarios that claims are confirmed on", told.scenarios
    yield _count("scenarios", words, n, "scenarios", everything, n)
    words, n = "Trainings that were there before the decision rule was registered", told.trained_before
    yield _count("trained_before", words, n, "trainings", source.named("registration"), max(n, 1))
    yield _count(
        "smallest_effect",
        "Smallest effect that matters, as the study file says",
        told.smallest_effect,
        "nats",
        source.named("study"),
        1,
    )
