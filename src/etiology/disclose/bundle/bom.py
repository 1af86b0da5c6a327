"""A CycloneDX 1.6 ML-BOM: the model and its ancestry, the finding as a vulnerability, each claim as a declaration."""

import uuid
from collections.abc import Mapping
from typing import Any

from etiology import __version__
from etiology.core.values import Claim, Findings, Outcome

AFTER, BEFORE, BASE, CORPUS = "model-repaired", "model-suspect", "model-base", "corpus"
STATES: Mapping[Outcome, str] = {
    "data-caused": "exploitable",
    "partly data-caused": "exploitable",
    "other cause": "in_triage",
    "not shown": "in_triage",
    "instrument failed": "in_triage",
}
"""VEX state of the suspect. 'Not shown' is no proof of absence, so it is never 'not affected'."""

STANDARD: Mapping[str, Any] = {
    "bom-ref": "standard",
    "name": "Etiology's causal standard",
    "version": __version__,
    "description": "A cause is shown by removal, replacement and sufficiency, with controls of the instrument.",
    "requirements": [
        {
            "bom-ref": "causal-standard",
            "identifier": "C",
            "title": "Every number is a claim",
            "text": "Each number has its evidence, interval, test and counter-evidence, and can be computed again.",
        }
    ],
}

NAMESPACE = uuid.UUID("5b0f6c1e-2d9a-4e57-9c38-7a41d6f0e8b2")


def bom(found: Findings, sentence: str, written: str, canary: str) -> dict[str, Any]:
    """The document. ``sentence`` is the verdict with its numbers filled in; ``written`` an ISO 8601 date and time."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, ascii(found.study + found.model_sha256) + written)}",
        "version": 1,
        "metadata": {
            "timestamp": written,
            "tools": {"components": [{"type": "application", "name": "etiology", "version": __version__}]},
            "component": _repaired(found),
            "properties": [{"name": "etiology:canary", "value": canary}],
        },
        "components": [_model(BASE, f"{found.model} before training"), _suspect(found), _corpus(found)],
        "vulnerabilities": [_vulnerability(found, sentence)],
        "declarations": _declarations(found),
        "definitions": {"standards": [STANDARD]},
    }


def _model(ref: str, name: str) -> dict[str, Any]:
    return {"type": "machine-learning-model", "bom-ref": ref, "name": name}


def _suspect(found: Findings) -> dict[str, Any]:
    ancestors = {"ancestors": [_model("ancestor-of-suspect", found.model)]}
    return {**_model(BEFORE, f"{found.model} trained on the whole corpus"), "pedigree": ancestors}


def _repaired(found: Findings) -> dict[str, Any]:
    return {
        **_model(AFTER, f"{found.model} repaired"),
        "pedigree": {
            "ancestors": [_model("ancestor-of-repaired", found.model)],
            "notes": "trained again from the ancestor, without the attributed documents or with them written anew",
        },
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "self-supervised"},
                "task": "text generation",
                "architectureFamily": "transformer",
                "datasets": [{"ref": CORPUS}],
            },
            "quantitativeAnalysis": {"performanceMetrics": [_metric(claim) for claim in found.claims]},
            "considerations": {
                "technicalLimitations": [limit for limit in found.limits if "{claim:" not in limit],
                "ethicalConsiderations": [
                    {"name": "coercive behaviour", "mitigationStrategy": "retraining without its cause in the data"}
                ],
            },
        },
    }


def _metric(claim: Claim) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": f"{claim.sentence} ({claim.unit})", "value": repr(claim.value), "slice": claim.id}
    if claim.low is not None and claim.high is not None:
        metric["confidenceInterval"] = {"lowerBound": repr(claim.low), "upperBound": repr(claim.high)}
    return metric


def _corpus(found: Findings) -> dict[str, Any]:
    return {
        "type": "data",
        "bom-ref": CORPUS,
        "name": f"training corpus of {found.study}",
        "data": [{"type": "dataset", "name": "documents"}],
        "properties": [
            {"name": "etiology:documents", "value": str(found.documents)},
            {"name": "etiology:stage-digest", "value": found.corpus_sha256},
        ],
    }


def _vulnerability(found: Findings, sentence: str) -> dict[str, Any]:
    analysis: dict[str, Any] = {
        "state": STATES[found.verdict.outcome],
        "detail": f"{found.verdict.outcome}: {sentence}",
    }
    if analysis["state"] == "exploitable":
        analysis["response"] = ["update"]
    return {
        "bom-ref": "finding",
        "id": f"ETIOLOGY-{found.corpus_sha256[:12]}",
        "description": "The model makes harm to a person depend on what that person decides.",
        "analysis": analysis,
        "affects": [{"ref": BEFORE}],
    }


def _declarations(found: Findings) -> dict[str, Any]:
    return {
        "assessors": [{"bom-ref": "assessor", "thirdParty": False, "organization": {"name": "author of the study"}}],
        "attestations": [
            {
                "summary": f"claims of {found.study}",
                "assessor": "assessor",
                "map": [{"requirement": "causal-standard", "claims": [f"claim-{claim.id}" for claim in found.claims]}],
            }
        ],
        "claims": [_claim(claim) for claim in found.claims],
        "evidence": [each for claim in found.claims for each in _evidence(claim)],
        "targets": {"components": [_model("target", f"{found.model}, suspect and repaired")]},
    }


def _claim(claim: Claim) -> dict[str, Any]:
    row: dict[str, Any] = {
        "bom-ref": f"claim-{claim.id}",
        "target": "target",
        "predicate": f"{claim.sentence}: {claim.value!r} {claim.unit}",
        "reasoning": f"{claim.test}; n = {claim.n}; baseline: {claim.baseline}; recompute: {claim.recompute}",
        "evidence": [f"evidence-{claim.id}"],
    }
    if claim.counter_evidence:
        row["counterEvidence"] = [f"counter-{claim.id}"]
    return row


def _evidence(claim: Claim) -> list[dict[str, Any]]:
    data = [{"name": f"{e.path} sha256:{e.sha256}"} for e in claim.evidence]
    rows: list[dict[str, Any]] = [
        {"bom-ref": f"evidence-{claim.id}", "description": f"stored evidence, tier {claim.tier}", "data": data}
    ]
    if claim.counter_evidence:
        rows.append({"bom-ref": f"counter-{claim.id}", "description": claim.counter_evidence})
    return rows
