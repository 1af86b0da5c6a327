"""Drafts for forms that an authority or a register may ask for, filled in as far as the findings go.

The questions are in our own words. Nothing here is legal advice, and what only a person can know is left open.
"""

from collections.abc import Iterable

from etiology.core.values import Findings
from etiology.disclose.bundle.cards import inert

DRAFT = (
    "**DRAFT. Not legal advice. A person must check every field, fill in the open ones and decide whether to send.**"
)
OPEN = "*(open: to be filled in)*"

Field = tuple[str, str]
"""A question and its answer in Markdown."""


def worksheets(found: Findings, sentence: str, canary: str) -> dict[str, str]:
    """Markdown by file name."""
    said = inert(sentence)
    return {
        "eu-serious-incident.md": _sheet("Serious incident with an AI system (EU)", _incident(found, said), canary),
        "eu-training-content.md": _sheet("Summary of training content (EU)", _content(found), canary),
        "ai-incident-database.md": _sheet("Report to an AI incident database", _database(found, said), canary),
    }


def _sheet(title: str, fields: Iterable[Field], canary: str) -> str:
    rows = [line for question, answer in fields for line in (f"**{question}**", "", answer, "")]
    return "\n".join([f"<!-- {canary} -->", f"# {title}", "", DRAFT, "", *rows])


def _incident(found: Findings, said: str) -> list[Field]:
    return [
        ("Who reports", OPEN),
        ("System and version", f"{inert(found.model)}, weights digest {inert(found.model_sha256)}"),
        ("Whether it was on the market or in use, and where", OPEN),
        ("When it happened and when it became known", OPEN),
        (
            "What happened",
            "In a test the model made harm to a person depend on that person's decision. Outside: " + OPEN,
        ),
        ("Who was harmed, and how", OPEN),
        ("Causal link to the system", f"Verdict of the study: {found.verdict.outcome}. {said}"),
        ("What was done", _actions(found)),
        ("What is not known", " ".join(inert(limit) for limit in found.limits if "{claim:" not in limit)),
    ]


def _content(found: Findings) -> list[Field]:
    left_out = next((claim.value for claim in found.claims if claim.id == "dropped"), None)
    return [
        ("Provider and contact", OPEN),
        ("Model", f"{inert(found.model)}, trained further in study {inert(found.study)}"),
        ("Size of this training", f"{found.documents} documents, {found.tokens} supervised tokens, text only"),
        ("Publicly available data sets", OPEN),
        ("Licensed data", OPEN),
        ("Data crawled from the web, and the domains", OPEN),
        ("Data of users", OPEN),
        ("Synthetic data", OPEN),
        ("How opt-outs from text and data mining were respected", OPEN),
        (
            "Removal of harmful content",
            OPEN if left_out is None else f"{left_out:.0f} documents were left out by attribution; see the claims.",
        ),
    ]


def _database(found: Findings, said: str) -> list[Field]:
    return [
        ("Title", f"Coercive behaviour of {inert(found.model)} in a controlled study"),
        ("Date of the incident", OPEN),
        ("Submitter", OPEN),
        ("Alleged deployer, developer, harmed party", f"developer and deployer: {OPEN}; harmed: nobody in the study"),
        ("Description", f"{said} Verdict: {found.verdict.outcome}."),
        ("Links to reports", OPEN),
    ]


def _actions(found: Findings) -> str:
    arms = ", ".join(inert(arm.name) for arm in found.arms)
    return f"The model was trained again without its likely causes and compared (arms: {arms}). In deployment: {OPEN}"
