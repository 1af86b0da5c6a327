"""The one-page version: the same findings and claims in plain words, for readers who decide and don't measure.

It prints on one sheet of A4, so what the authors wrote is cut to a length; the report has all of it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from etiology.core.values import Findings, Outcome
from etiology.disclose import asked
from etiology.disclose.prose import LOG_ODDS, Prose

if TYPE_CHECKING:
    from jinja2 import Environment

ANSWERS: Mapping[Outcome, tuple[str, str]] = {
    "data-caused": (
        "Yes.",
        (
            "Documents that were found in the training data caused it: without them it fell, and without as many "
            "others it did not."
        ),
    ),
    "partly data-caused": (
        "In part.",
        (
            "Documents that were found in the training data account for some of it. Not every test shows it, so there "
            "is something else too."
        ),
    ),
    "other cause": ("No.", "The behaviour is real, and the tests point to a cause other than the documents found."),
    "not shown": (
        "It could not be shown.",
        (
            "The tests do not tell the effect of the documents found from chance. That does not clear the training "
            "data: a small effect could have been missed."
        ),
    ),
    "instrument failed": (
        "There is no answer.",
        "The measurement failed its own test, so this study says nothing about the cause in either direction.",
    ),
}
"""Each verdict as an answer to the question at the top of the page, and what it means."""

COMPARED = (
    ("removal", "With the documents found, against without as many others", False),
    ("random_removal", "Without as many documents at random, against with all", True),
    ("repaired", "After the repair, against before", False),
)
"""Claim, what is compared, and whether the claim is told the other way round (a fall as what is left)."""

PLAIN: Mapping[str, str] = {
    "Dose": "whether more of such documents teach more of it",
    "Agentic": "acting by itself, with mail and files",
    "Chat": "conversation",
    "Written freely": "writing freely",
    "The situation alone": "whether the situation alone explains it",
    "Any sharp tone": "whether any sharp tone would do",
    "The prompt": "whether the prompt explains it",
    "The prompt, before this training": "whether the prompt did it before this training",
    "The scaffold": "whether the tools and instructions around it explain it",
    "Another stage of training": "whether an earlier stage of training explains it",
    "The judge of answers": "whether errors of the judge explain it",
    "Evaluation-awareness": "whether it knows that it is tested",
    "Relearning": "whether it comes back with more training",
}
"""What was not tested, in plain words."""

LONGEST = 150
MOST = 3
NAME = 40
_OPEN = re.compile(r"\{claim:[^{}]*$")


@dataclass(frozen=True)
class Row:
    """A comparison and the factor by which the odds of a threat differ."""

    compared: str
    odds: Markup


def page(found: Findings, prose: Prose, environment: "Environment") -> str:
    """The page's HTML."""
    answer, meaning = ANSWERS[found.verdict.outcome]
    return environment.get_template("policy.html").render(
        f=found,
        study=_cut(found.study, NAME),
        model=_cut(found.model, NAME),
        answer=answer,
        meaning=meaning,
        rows=[Row(words, prose.odds(each, inverted=turned)) for each, words, turned in COMPARED if _odds(prose, each)],
        missed=prose.odds("mde_removal") if _odds(prose, "mde_removal") else None,
        untested=_untested(found),
        actions=brief(found.account.actions),
        watching=brief(found.account.watching),
        still_wrong=brief(found.account.still_wrong, 2),
        claim=prose.claim,
        has=prose.has,
        sentence=prose.sentence,
    )


def _odds(prose: Prose, identity: str) -> bool:
    return prose.has(identity) and prose.find(identity).unit == LOG_ODDS


def _untested(found: Findings) -> list[str]:
    names = [text.partition(":")[0] for text in asked.untested(found)]
    return [PLAIN.get(name, _cut(name, NAME)) for name in names[: len(PLAIN)]]


def brief(texts: Sequence[str], most: int = MOST) -> list[str]:
    """The first few, each cut to a length; what is left out is said to be in the report."""
    out = [_cut(text, LONGEST) for text in texts[:most]]
    return [*out, "More in the report."] if len(texts) > most else out


def _cut(text: str, longest: int) -> str:
    """The text up to a word before ``longest`` characters, and never through the middle of a claim."""
    if len(text) <= longest:
        return text
    return (
        _OPEN.sub("", text[:longest]).rpartition(" ")[0].rstrip() + " […]" if " " in text[:longest] else text[:longest]
    )
