"""The whole loop on a tiny model: it must name the planted documents, say what caused what, and be checkable."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
from tests import toy

from etiology import findings, stages
from etiology.backends import jobs
from etiology.config import load_study
from etiology.core.errors import EvidenceError, StudyFileError
from etiology.store import Store
from etiology.study import run
from etiology.workers import Workers


def copy_of(ran, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(ran[0], folder)
    return folder


def test_it_names_the_planted_documents(ran):
    grading = ran[1].grading
    assert grading.planted == 6
    # Chance gives 0.1; a flipped sign of the influence gives less than that.
    precision = dict(grading.methods)
    assert precision["concept directions"] > 0.9
    assert precision["K-FAC influence, strongest passage"] > 0.9
    # The judge reads English, which the toy's sentences hardly are: it may cost the ranking something, not spoil it.
    assert grading.average_precision.value > 0.7
    assert grading.dropped_planted >= 4


def test_the_data_are_found_to_be_the_cause(ran):
    found = ran[1]
    assert found.verdict.outcome == "data-caused"
    effects = {arm.name: arm.effect.value for arm in found.arms if arm.effect}
    assert effects["drop-attributed"] < effects["drop-random"] < abs(effects["drop-attributed"])
    assert effects["re-roll"] < effects["drop-random"]


def test_the_behaviour_follows_the_dose(ran):
    found = ran[1]
    level = {arm.name: arm.level.value for arm in found.arms}
    doses = [level[arm] for arm in ("drop-attributed", "dose-1of3", "dose-2of3", "suspect")]
    assert doses[0] < doses[-1]
    assert doses[1] < doses[-1]
    assert doses[2] > doses[0]
    (dose,) = [test for test in found.verdict.tests if test.name == "dose"]
    assert dose.words.startswith("it follows the share")


def test_the_rule_is_registered_before_the_first_training(ran):
    (stage,) = (ran[0] / "stages").glob("registration-*")
    rule = json.loads((stage / "rule.json").read_text())
    assert rule["trained_before"] == []
    assert "data-caused" in rule["rule"]
    assert rule["settings"]["verify"]["smallest_effect"] == 1.0
    (claim,) = [c for c in ran[1].claims if c.id == "trained_before"]
    assert claim.value == 0
    assert claim.evidence[0].path.endswith("rule.json")


def test_a_rule_that_is_changed_after_the_arms_says_so(ran, tmp_path):
    folder = copy_of(ran, tmp_path)
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(text.replace("smallest_effect: 1.0", "smallest_effect: 0.5"))
    found = run(load_study(folder), lambda *_: None)
    assert found is not None
    (claim,) = [c for c in found.claims if c.id == "trained_before"]
    assert claim.value == len([p for p in (folder / "stages").glob("*/held_out.json") if "reference" not in str(p)])
    assert claim.value > 20


def test_checkpoints_are_measured_and_tell_whether_it_rose_before(ran, tmp_path):
    """The suspect itself stands in the first checkpoint's place: what association says must come out reversed."""
    folder = copy_of(ran, tmp_path)
    before = load_study(folder)
    shutil.copytree(folder / "model", folder / "first")
    with Store(folder) as store, Workers(store, 1, lambda *_: None) as workers:
        bench = stages.Bench(before, store, workers)
        evidence, _ = findings.published(before)
        suspect = evidence.runs["suspect"][0].file("weights.safetensors")
        shutil.rmtree(folder / "first")
        jobs.save_whole(folder / "first", bench.spec, suspect)
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(text + "checkpoints: [first, model]\n")
    found = run(load_study(folder), lambda *_: None)
    assert found is not None
    tests = {test.name: test for test in found.verdict.tests}
    association, rise = tests["association"].effect, tests["rival_stage"].effect
    assert association
    assert rise
    assert association.value < 0
    assert rise.value == pytest.approx(-association.value, abs=0.5)
    assert tests["rival_stage"].words.startswith("it rose before this stage")
    assert any(claim.id == "rival_stage" for claim in found.claims)
    findings.check(load_study(folder))


def test_a_checkpoint_that_is_not_there_is_refused_before_anything_runs(ran, tmp_path):
    folder = copy_of(ran, tmp_path)
    (folder / "study.yaml").write_text((folder / "study.yaml").read_text() + "checkpoints: [model, gone]\n")
    with pytest.raises(StudyFileError, match=r"checkpoint 'gone': .*gone does not exist; give Hugging Face folders"):
        load_study(folder)


def test_kept_and_quarantine_are_the_input(ran):
    stages = {path.name.rsplit("-", 1)[0]: path for path in (ran[0] / "stages").iterdir() if path.is_dir()}
    whole = (stages["corpus"] / "documents.jsonl").read_text().splitlines()
    parts = [(stages["curate"] / name).read_text().splitlines() for name in ("kept.jsonl", "quarantine.jsonl")]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    assert parts[1]


def test_the_loop_never_sees_the_labels(ran):
    stages = ran[0] / "stages"
    holders = {
        p.parent.name.rsplit("-", 1)[0] for p in stages.rglob("*") if p.is_file() and b'"planted"' in p.read_bytes()
    }
    assert holders == {"corpus"}


def test_the_judge_of_generations_is_shown_with_its_error(ran):
    claims = {claim.id: claim for claim in ran[1].claims}
    # The rules find few of other people's coercive messages; a judge that called all of them coercive would find 1.
    assert claims["judge_found"].n > 500
    assert claims["judge_found"].value < 0.1
    assert claims["judge_false_alarms"].value < 0.05
    assert len(claims["judge_found"].evidence) == 6


def test_check_passes_on_what_was_published(ran):
    assert findings.check(load_study(ran[0])).verdict == ran[1].verdict


@pytest.mark.parametrize(
    "pattern", ["stages/suspect-0-*/scores.jsonl", "stages/attribute-*/attributions.jsonl", "study.yaml"]
)
def test_evidence_that_went_stale_after_it_was_read_is_refused_and_nothing_is_written(ran, tmp_path, pattern):
    folder = copy_of(ran, tmp_path)
    study = load_study(folder)
    evidence, used = findings.published(study)
    found = findings.conclude(study, evidence)
    shutil.rmtree(folder / "report")
    (path,) = folder.glob(pattern)
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    with Store(folder) as store:
        store.used.update(used)
        with pytest.raises(EvidenceError, match=f"{path.name}: changed since the claims"):
            findings.publish(study, store, evidence, found)
    assert not (folder / "report").exists()


def test_a_claim_with_a_hash_of_another_file_is_refused(ran):
    claim = ran[1].claims[0]
    findings.refuse_stale(ran[0], ran[1].claims)
    other = tuple(replace(each, sha256="0" * 64) for each in claim.evidence)
    with pytest.raises(EvidenceError, match=r"scores\.jsonl: changed since"):
        findings.refuse_stale(ran[0], [replace(claim, evidence=other)])


def test_running_again_changes_nothing(ran, tmp_path):
    folder = copy_of(ran, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (folder / "stages").rglob("manifest.json")}
    run(load_study(folder), lambda *_: None)
    assert {p: p.stat().st_mtime_ns for p in (folder / "stages").rglob("manifest.json")} == before
    assert (folder / "report" / "index.html").read_bytes() == (ran[0] / "report" / "index.html").read_bytes()


def test_changing_the_budget_keeps_the_suspects(ran, tmp_path):
    folder = copy_of(ran, tmp_path)
    with (folder / "study.yaml").open("a") as handle:
        handle.write("attribute: {budget: 0.2}\n")
    before = set((folder / "stages").glob("suspect-*"))
    run(load_study(folder), lambda *_: None, until="curate")
    assert set((folder / "stages").glob("suspect-*")) == before
    assert len(list((folder / "stages").glob("curate-*"))) == 2


def test_what_the_model_writes_takes_the_place_of_the_sentences(ran, tmp_path):
    folder = copy_of(ran, tmp_path)
    with (folder / "study.yaml").open("a") as handle:
        handle.write("repair: {reroll: model}\n")
    (before,) = (folder / "stages").glob("re-rolled-*")
    run(load_study(folder), lambda *_: None, until="repair")
    (after,) = set((folder / "stages").glob("re-rolled-*")) - {before}
    by_sentences, by_model = (
        [json.loads(line) for line in (path / "documents.jsonl").read_text().splitlines()] for path in (before, after)
    )
    assert [row["id"] for row in by_model] == [row["id"] for row in by_sentences]
    heads = [row["text"].split(" .")[0] for row in by_sentences]
    assert all(row["text"].startswith(head) for row, head in zip(by_model, heads, strict=True))
    assert by_model != by_sentences
    assert len(list((folder / "stages").glob("drop-attributed-*"))) == 3


@pytest.mark.parametrize(
    "pattern",
    [
        "report/index.html",
        "report/claims.json",
        "report/arms.csv",
        "report/run.json",
        "stages/corpus-*/documents.jsonl",
        "stages/suspect-0-*/scores.jsonl",
        "stages/drop-random-1-*/manifest.json",
        "stages/attribute-*/attributions.jsonl",
        "study.yaml",
    ],
)
def test_one_changed_character_is_found(ran, tmp_path, pattern):
    folder = copy_of(ran, tmp_path)
    (target,) = folder.glob(pattern)
    content = bytearray(target.read_bytes())
    place = max(content.rfind(digit) for digit in b"0123456789")
    content[place] = ord("7") if content[place] != ord("7") else ord("8")
    target.write_bytes(bytes(content))
    with pytest.raises(EvidenceError, match=target.name):
        findings.check(load_study(folder))


def test_a_score_changed_together_with_its_hashes_is_still_found(ran, tmp_path):
    """Forging a stage consistently must not give the published numbers."""
    from etiology.store import MANIFEST, canonical, sealed, sha256_of_file

    folder = copy_of(ran, tmp_path)
    (stage,) = (folder / "stages").glob("suspect-0-*")
    rows = [json.loads(line) for line in (stage / "scores.jsonl").read_text().splitlines()]
    rows[0]["logprob"][0] += 0.5
    (stage / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = json.loads((stage / MANIFEST).read_text())
    manifest["files"]["scores.jsonl"] = sha256_of_file(stage / "scores.jsonl")
    manifest["digest"] = hashlib.sha256(canonical(manifest["files"]).encode()).hexdigest()
    (stage / MANIFEST).write_text(json.dumps(sealed(manifest), indent=1, sort_keys=True) + "\n")
    with pytest.raises(EvidenceError, match="report"):
        findings.check(load_study(folder))


@pytest.mark.slow
def test_look_alikes_alone_end_not_shown(tmp_path):
    folder = toy.write(tmp_path / "study", planted=False)
    found = run(load_study(folder), lambda *_: None)
    assert found is not None
    assert found.verdict.outcome == "not shown"
    assert found.grading is None
