"""in-toto statements: how each stage was made (SLSA provenance), and the result of each claim (test result)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from etiology import __version__
from etiology.core.values import Claim, Findings, TestResult
from etiology.disclose.bundle.signing import STATEMENT, dumped

PROVENANCE = "https://slsa.dev/provenance/v1"
TEST = "https://in-toto.io/attestation/test-result/v0.1"
BUILD = "https://etiology.invalid/stage/1"
"""Names the kind of build; the address is reserved to lead nowhere."""


@dataclass(frozen=True)
class Made:
    """A stage as its manifest tells it: what it is called, the digest of its contents, what it was made from."""

    name: str
    digest: str
    settings_sha256: str
    inputs: Mapping[str, str]


def statements(found: Findings, stages: Sequence[Made], facts_sha256: str, canary: str) -> dict[str, dict[str, Any]]:
    """Every statement by its file name. ``facts_sha256`` binds each claim to the facts of this study and no other."""
    rows = {f"provenance-{stage.name}.json": _provenance(stage, found.study, canary) for stage in stages}
    tests = {test.name: test for test in found.verdict.tests}
    results = {
        f"claim-{claim.id}.json": _result(claim, tests.get(claim.id), found, facts_sha256, canary)
        for claim in found.claims
    }
    return {**rows, **results}


def _statement(kind: str, subject: list[dict[str, Any]], predicate: Mapping[str, Any]) -> dict[str, Any]:
    return {"_type": STATEMENT, "subject": subject, "predicateType": kind, "predicate": dict(predicate)}


def _provenance(stage: Made, study: str, canary: str) -> dict[str, Any]:
    build = {
        "buildType": BUILD,
        "externalParameters": {"study": study, "stage": stage.name, "settingsSha256": stage.settings_sha256},
        "resolvedDependencies": [
            {"name": name, "digest": {"sha256": digest}} for name, digest in sorted(stage.inputs.items())
        ],
    }
    run = {"builder": {"id": "https://etiology.invalid/builder", "version": {"etiology": __version__}}}
    predicate = {"buildDefinition": build, "runDetails": run, "canary": canary}
    return _statement(PROVENANCE, [{"name": stage.name, "digest": {"sha256": stage.digest}}], predicate)


def _result(claim: Claim, test: TestResult | None, found: Findings, facts: str, canary: str) -> dict[str, Any]:
    """PASSED and FAILED are the verdict of the test behind the claim; a claim that no test decides is WARNED."""
    passed = None if test is None else test.passed
    subject = [
        {"name": f"{found.study}/claim/{claim.id}", "digest": {"sha256": _digest(claim)}},
        {"name": f"{found.study}/facts", "digest": {"sha256": facts}},
    ]
    predicate = {
        "result": "WARNED" if passed is None else "PASSED" if passed else "FAILED",
        "configuration": [{"name": e.path, "digest": {"sha256": e.sha256}} for e in claim.evidence],
        "passedTests": [claim.id] if passed else [],
        "failedTests": [claim.id] if passed is False else [],
        "warnedTests": [claim.id] if passed is None else [],
        "claim": finite(asdict(claim)),
        "canary": canary,
    }
    return _statement(TEST, subject, predicate)


def _digest(claim: Claim) -> str:
    return hashlib.sha256(dumped(finite(asdict(claim)))).hexdigest()


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value with each infinite or undefined number as text: JSON has none."""
    if isinstance(value, float) and value - value != 0:
        return "Infinity" if value > 0 else "-Infinity" if value < 0 else "NaN"
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value
