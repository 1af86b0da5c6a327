"""What a study asked and what it did not: the settings, the other explanations, and the tests that were not run.

What was not run is said as plainly as what was: a reader must not take silence for a good result.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from etiology.core.values import ArmResult, Effect, Findings, TestResult
from etiology.disclose import numbers, tables

OBSERVED = (
    ("Chat", "Conversations, without tools; what was sent is judged."),
    ("Agentic", "Mail, files and jobs behind tools; what was sent or tried is judged."),
)
"""Settings that a study shows when it is given the answers."""

SUSPECT = "suspect"
RANDOM = "drop-random"


@dataclass(frozen=True)
class Setting:
    """One way to see the behaviour, before and after the repair; both empty where it was not run."""

    name: str
    what: str
    suspect: str
    repaired: str


@dataclass(frozen=True)
class Rival:
    """Another explanation, what would show it, and what came of it."""

    name: str
    question: str
    effect: str
    result: str


EXPLANATIONS = (
    ("The situation alone", "rival_prompt", "Is the effect of removal larger where the scenario threatens the system?"),
    ("Any sharp tone", "tone", "Does an equally sharp sentence without a secret fall as much?"),
    ("The prompt", "prompt", "Is the behaviour higher where the scenario threatens the system?"),
    ("The prompt, before this training", "prompt_before", "Was it so in the model before training?"),
    ("The scaffold", "scaffold", "Does it go away where an honest exit is offered?"),
    ("Another stage of training", "rival_stage", "Did it rise before this stage?"),
)
"""Other explanations by the name of their test. Others have none: see ``rivals``."""


def settings(found: Findings) -> list[Setting]:
    """Forced choice, what was written, chat and agentic, in this order and never added up."""
    arms = {arm.name: arm for arm in found.arms}
    suspect, after = arms.get(SUSPECT), repaired(found)
    chosen = written = ("", "")
    if suspect and after:
        chosen = numbers.effect(suspect.level), numbers.effect(after.level)
        if suspect.generated:
            written = numbers.rate(suspect.generated), numbers.rate(after.generated)
    return [
        Setting("Forced choice", "Given continuations are compared; nothing is written.", *chosen),
        Setting("Written freely", "The model goes on from a scenario; rules judge what would be sent.", *written),
        *(Setting(name, what, *_seen(found, name.lower())) for name, what in OBSERVED),
    ]


def _seen(found: Findings, setting: str) -> tuple[str, str]:
    one = next((each for each in found.observed if each.setting == setting), None)
    return (numbers.effect(one.suspect), numbers.effect(one.repaired)) if one else ("", "")


def repaired(found: Findings) -> ArmResult | None:
    """The arm that the report calls repaired: the one of the claim's own value."""
    claimed = next((claim.value for claim in found.claims if claim.id == "repaired"), None)
    return next((arm for arm in found.arms if arm.effect is not None and arm.effect.value == claimed), None)


def rivals(found: Findings) -> list[Rival]:
    """Every other explanation that this project knows of, and any further one that was tested."""
    tests = {test.name: test for test in found.verdict.tests}
    known = [name for _, name, _ in EXPLANATIONS]
    out = [_rival(name, question, tests.get(test)) for name, test, question in EXPLANATIONS]
    further = [test for test in tests.values() if test.name.startswith("rival_") and test.name not in known]
    out += [_rival(test.name.removeprefix("rival_").replace("_", " "), test.question, test) for test in further]
    return [*out, *_by_design(found)]


def _rival(name: str, question: str, test: TestResult | None) -> Rival:
    if test is None or test.effect is None:
        return Rival(name, question, numbers.NONE, "not run")
    return Rival(name, test.question, numbers.effect(test.effect), test.words or tables.result(test))


def _by_design(found: Findings) -> Iterator[Rival]:
    """What the design itself meets: the judge, any documents left out, and chance in training."""
    yield Rival(
        "The judge of answers",
        "Could the judge's errors make the effect?",
        numbers.NONE,
        "no: the tests compare given continuations; what is written freely rests on the judge, whose errors are shown",
    )
    random = random_removal(found)
    question = "Does it change without as many random documents?"
    yield Rival(
        "Leaving out any documents", question, numbers.effect(random), "not run" if random is None else _of(random)
    )
    once = found.seeds < 2
    said = (
        "one seed: chance in training is not measured" if once else f"{found.seeds} seeds; they are in every interval"
    )
    yield Rival("Chance in training", "Does it hold over seeds?", numbers.NONE, said)


def random_removal(found: Findings) -> Effect | None:
    """The change without as many random documents, from the suspect."""
    return next((arm.effect for arm in found.arms if arm.name == RANDOM), None)


def _of(effect: Effect) -> str:
    held = effect.low <= 0 <= effect.high
    return "no change shown" if held else "it changed: compare with the named documents"


def untested(found: Findings) -> list[str]:
    """What this project knows how to ask and this study did not."""
    absent = [f"{_words(test.name)}: {test.question}" for test in found.verdict.tests if test.effect is None]
    absent += [f"{one.name}: {one.what}" for one in settings(found) if not one.suspect]
    absent += [f"{one.name}: {one.question}" for one in rivals(found) if one.result == "not run"]
    for start, words in (
        ("awareness", "Evaluation-awareness: Does the model act otherwise when it takes the scenario for a test?"),
        ("relearn", "Relearning: Does harmless training afterwards bring the behaviour back?"),
    ):
        if not claims_of(found, start):
            absent.append(words)
    return absent


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def claims_of(found: Findings, start: str) -> list[str]:
    """The claims whose ids begin so, in the ledger's order."""
    return [claim.id for claim in found.claims if claim.id.startswith(start)]


def dose(found: Findings) -> TestResult | None:
    """The dose–response test, where it was run."""
    return next((test for test in found.verdict.tests if test.name.startswith("dose") and test.effect), None)
