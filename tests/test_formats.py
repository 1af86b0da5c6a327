"""The machine-readable files against their own validators, and against hostile text, without a network."""

import json
import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.findings import bare, not_shown, realistic, unbounded, ungraded
from tests.test_disclose import NASTY, Page, poisoned, structure, without_digits

from etiology.core.values import Findings
from etiology.disclose.bundle import files
from etiology.disclose.bundle.bom import STATES
from etiology.disclose.bundle.files import Source
from etiology.disclose.bundle.outgoing import Redaction
from etiology.disclose.bundle.signing import STATEMENT
from etiology.disclose.bundle.statements import Made

MADE = Made("corpus", "ab" * 32, "cd" * 32, {"words": "ef" * 32})


def source(found: Findings) -> Source:
    log = [Redaction("doc-a", 12, "teaches the behaviour")]
    return Source(found, ["doc-a", "doc-b"], frozenset({"doc-a"}), [MADE], log, "2026-01-02T03:04:05+00:00", "0" * 64)


def made(found: Findings) -> dict[str, bytes]:
    return files.files(source(found))


def complete() -> Findings:
    """With the repaired arm's claim equal to that arm's effect, as the ledger makes it."""
    return realistic()


@pytest.fixture(scope="module", params=[realistic, not_shown, unbounded, ungraded])
def written(request):
    return request.param(), made(request.param())


def test_the_bom_is_valid_and_holds_every_claim_with_its_evidence(written):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found, out = written
    text = out["bom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    declared = bom["declarations"]
    assert [row["bom-ref"] for row in declared["claims"]] == [f"claim-{claim.id}" for claim in found.claims]
    known = {row["bom-ref"] for row in declared["evidence"]}
    assert all({*row["evidence"], *row.get("counterEvidence", [])} <= known for row in declared["claims"])
    assert bom["vulnerabilities"][0]["analysis"]["state"] == STATES[found.verdict.outcome]
    broken = {**bom, "declarations": {**declared, "claims": [{"unknown": 1}]}}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(broken)) is not None


def test_no_verdict_is_called_unaffected():
    assert "not_affected" not in STATES.values()


@pytest.mark.parametrize("state", ["before", "after"])
def test_croissant_is_valid_and_names_the_documents_in_it(written, state, tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    out = written[1][f"croissant-{state}.json"]
    path = tmp_path / "croissant.json"
    path.write_bytes(out)
    dataset = mlcroissant.Dataset(jsonld=path)
    assert dataset.metadata.name  # which the library does not ask for itself
    rows = [row[f"documents-{state}/name"] for row in dataset.records(f"documents-{state}")]
    assert rows == (["doc-a", "doc-b"] if state == "before" else ["doc-b"])
    assert dataset.metadata.data_limitations


def test_eval_results_are_what_the_hub_reads(written):
    from huggingface_hub import parse_eval_result_entries

    (entry,) = parse_eval_result_entries(yaml.safe_load(written[1][".eval_results/etiology.yaml"]))
    assert entry.value in [arm.level.value for arm in written[0].arms]


def test_every_eval_ever_holds_each_arm_and_only_members_of_the_schema(written):
    found, out = written
    record = json.loads(out["every-eval-ever.json"])
    assert set(record) == {
        *("schema_version", "evaluation_id", "evaluation_timestamp", "retrieved_timestamp", "source_metadata"),
        *("eval_library", "model_info", "evaluation_results"),
    }
    assert [row["score_details"]["score"] for row in record["evaluation_results"]] == [
        a.level.value for a in found.arms
    ]
    assert all(
        isinstance(each, str)
        for row in record["evaluation_results"]
        for each in row["score_details"]["details"].values()
    )


def test_a_statement_for_each_stage_and_each_claim(written):
    found, _ = written
    said = files.said_of(source(found))
    assert set(said) == {
        "statements/provenance-corpus.json",
        *(f"statements/claim-{claim.id}.json" for claim in found.claims),
    }
    results = {test.name: test.passed for test in found.verdict.tests}
    for name, each in said.items():
        assert each["_type"] == STATEMENT
        assert all(re.fullmatch("[0-9a-f]{64}", subject["digest"]["sha256"]) for subject in each["subject"])
        if "claim-" in name:
            passed = results.get(each["predicate"]["claim"]["id"])
            assert each["predicate"]["result"] == {True: "PASSED", False: "FAILED", None: "WARNED"}[passed]


def test_worksheets_are_drafts_with_open_fields(written):
    sheets = [content.decode() for name, content in written[1].items() if name.startswith("worksheets/")]
    assert len(sheets) == 3
    assert all("DRAFT. Not legal advice." in sheet and "(open:" in sheet for sheet in sheets)


MARKDOWN = (
    *NASTY,
    "](javascript:alert) | a | b\n# head\n| x |",
    "```\n<script>",
    "\x1b]8;;http://x\x07",
    "<svg onload=a>",
)


@settings(max_examples=6, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=30))
@example("".join(MARKDOWN[0:2]))
@example("".join(MARKDOWN[2:4]))
@example("".join(MARKDOWN[4:6]))
@example("".join(MARKDOWN[6:8]))
@example("".join(MARKDOWN[8:10]))
@example("".join(MARKDOWN[10:12]))
@example("".join(MARKDOWN[12:14]))
def test_hostile_text_can_not_break_the_files_or_forge_a_claim(text):
    """Compared with a harmless word in the same places: names that are changed are no longer those of known arms."""
    found = realistic()
    hostile = poisoned(found, f"word{without_digits(text)}")
    clean, out = made(poisoned(found, "word")), made(hostile)
    page, before = out["report/index.html"].decode(), clean["report/index.html"].decode()
    assert structure(Page(page)) == structure(Page(before))
    assert claims(page) == claims(before)
    assert set(out) == set(clean)
    for name in ("bom.cdx.json", "every-eval-ever.json", "croissant-after.json"):
        json.loads(out[name])
    for name in [each for each in out if each.endswith(".md")]:
        sheet = out[name].decode()
        assert len(sheet.splitlines()) == len(clean[name].decode().splitlines())
        assert "<" not in re.sub(r"<!-- .* -->", "", sheet, count=1)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", sheet)
        assert bars(sheet) == bars(clean[name].decode())


def claims(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<span data-claim="([^"]*)">([^<]*)</span>', page)


def bars(sheet: str) -> int:
    """Cells of its tables: bars that Markdown reads as such."""
    return len(re.findall(r"(?<!\\)\|", sheet))


def test_a_study_that_stopped_early_is_refused_in_one_line_rather_than_half_written():
    from etiology.core.errors import EvidenceError

    with pytest.raises(EvidenceError, match="no repaired arm"):
        made(bare())
