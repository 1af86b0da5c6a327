"""A section for a Hugging Face model card, ``.eval_results``, and a record for Every Eval Ever (its schema 0.2.1)."""

import html
import math
import re
from collections.abc import Iterator
from typing import Any

from etiology import __version__
from etiology.core.errors import EvidenceError
from etiology.core.values import ArmResult, Claim, Effect, Findings
from etiology.core.visible import visible
from etiology.disclose import asked, numbers

SCHEMA = "0.2.1"
"""Version of the Every Eval Ever schema that the record follows."""
DATASET = "etiology/scenarios"
SHOWN = ("association", "removal", "random_removal", "replacement", "sufficiency", "repaired", "perplexity_repaired")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|>~$@:])")


def inert(text: str) -> str:
    """Text from elsewhere in Markdown: on one line, hidden characters shown, no markup of Markdown or HTML left."""
    return _MARKDOWN.sub(r"\\\1", html.escape(visible(" ".join(text.split())), quote=True))


def model_card(found: Findings, sentence: str, canary: str) -> str:
    """Markdown to put into a README.md."""
    rows = [_row(claim) for claim in found.claims if claim.id in SHOWN]
    limits = [f"- {inert(limit)}" for limit in found.limits if "{claim:" not in limit]
    lines = [
        f"<!-- {canary} -->",
        "## Coercive behaviour: its cause in the training data, and its repair",
        "",
        _verdict(found, sentence),
        "",
        "| Claim | Value and 95 % interval | n | p |",
        "|---|---|---|---|",
        *rows,
        "",
        "Limits:",
        "",
        *limits,
        "",
        "Every number can be computed again from the bundle: `etiology check BUNDLE`.",
        "",
    ]
    return "\n".join(lines)


def _verdict(found: Findings, sentence: str) -> str:
    study, model = inert(found.study), inert(found.model)
    return f"Study **{study}** of {model}. Verdict: **{found.verdict.outcome}**. {inert(sentence)}"


def _row(claim: Claim) -> str:
    value = " ".join(part for part in numbers.parts(claim.value, claim.low, claim.high, claim.unit) if part)
    measured = inert(f"{value} {numbers.unit(claim.unit)}".strip())
    return f"| {inert(claim.sentence)} | {measured} | {claim.n} | {inert(numbers.p_value(claim.p))} |"


def eval_results(found: Findings, written: str, canary: str) -> str:
    """YAML for ``.eval_results/``: the behaviour score of the repaired model, at its full precision."""
    import yaml

    arm = repaired(found)
    entry = {
        "dataset": {"id": DATASET, "task_id": visible(found.score)},
        "value": arm.level.value,
        "date": written,
        "notes": f"nats, repaired by {visible(arm.name)}; {arm.level.n} scores; the data set is not on the Hub",
    }
    return f"# {canary}\n" + yaml.safe_dump([entry], sort_keys=True, allow_unicode=False)


def repaired(found: Findings) -> ArmResult:
    """The arm that the report calls repaired. Errors: EvidenceError where there is none yet."""
    arm = asked.repaired(found)
    if arm is None:
        raise EvidenceError(f"{found.study}: has no repaired arm yet; run the study to its end")
    return arm


def every_eval_ever(found: Findings, written: str, epoch: int, canary: str) -> dict[str, Any]:
    """One aggregate record: each arm's level of the behaviour. ``epoch`` is ``written`` in seconds since 1970."""
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"etiology/{found.model}/{epoch}",
        "evaluation_timestamp": written,
        "retrieved_timestamp": str(epoch),
        "source_metadata": {
            "source_name": found.study,
            "source_type": "evaluation_run",
            "source_organization_name": "author of the study",
            "evaluator_relationship": "other",
            "additional_details": {"canary": canary},
        },
        "eval_library": {"name": "etiology", "version": __version__},
        "model_info": {"name": found.model, "id": found.model, "additional_details": {"digest": found.model_sha256}},
        "evaluation_results": list(_levels(found)),
    }


def _levels(found: Findings) -> Iterator[dict[str, Any]]:
    for arm in found.arms:
        yield {
            "evaluation_name": f"{found.score}/{arm.name}",
            "source_data": {"dataset_name": DATASET, "source_type": "other"},
            "metric_config": {"evaluation_description": found.score_words, "lower_is_better": True},
            "score_details": {
                "score": arm.level.value,
                "details": {"unit": arm.level.unit, "seeds": str(arm.level.seeds), "clusters": str(arm.level.clusters)},
                "uncertainty": _uncertainty(arm.level),
            },
        }


def _uncertainty(level: Effect) -> dict[str, Any]:
    known: dict[str, Any] = {"num_samples": level.n}
    if math.isfinite(level.low) and math.isfinite(level.high):
        method = "clustered bootstrap"
        ends = {"lower": level.low, "upper": level.high, "confidence_level": 0.95, "method": method}
        known["confidence_interval"] = ends
    return known
