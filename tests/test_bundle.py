"""Bundles: what they hold, what they refuse to publish, and that nobody can change one without being found out."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.commands import command
from tests.test_cli import ROOT, assert_one_line, etiology

from etiology import bundles, facts, findings
from etiology.config import load_study
from etiology.core.errors import EvidenceError, KeyFileError
from etiology.core.values import Account, Event, Highlight
from etiology.core.visible import visible
from etiology.disclose.bundle import files, outgoing
from etiology.disclose.bundle.cards import repaired
from etiology.disclose.bundle.outgoing import CANARY, MASK
from etiology.disclose.bundle.signing import dumped, signer
from etiology.store import sealed
from etiology.study import run


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    import pyrage
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    folder = tmp_path_factory.mktemp("keys")
    private = (form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    for name in ("own", "other"):
        key = ed25519.Ed25519PrivateKey.generate()
        (folder / f"{name}.pem").write_bytes(key.private_bytes(*private))
        public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(public)
        identity = pyrage.x25519.Identity.generate()
        (folder / f"{name}.age").write_text(f"# a verifier\n{identity}\n")
        (folder / f"{name}.recipient").write_text(str(identity.to_public()))
    (folder / "weights.pem").write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(*private))
    return folder


@pytest.fixture(scope="module")
def whole(ran, keys, tmp_path_factory):
    """A signed bundle with everything in it."""
    target = tmp_path_factory.mktemp("bundle") / "whole"
    recipient = (keys / "own.recipient").read_text()
    bundles.write(load_study(ran[0]), target, bundles.Options(keys / "own.pem", keys / "weights.pem", recipient))
    return target


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def read(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def repacked(folder: Path) -> None:
    """What a forger without the key can do: list the files anew."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"] = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in read(folder).items()
        if name not in {"manifest.json", "manifest.dsse.json"}
    }
    (folder / "manifest.json").write_bytes(dumped(sealed(manifest)))


# -- checking ----------------------------------------------------------------------------------------------------------


def test_a_bundle_gives_every_claim_of_the_study_from_itself_alone(ran, whole, keys, tmp_path):
    alone = Path(shutil.copytree(whole, tmp_path / "elsewhere"))
    found = bundles.check(alone, bundles.Trust(key=keys / "own.pub")).found
    assert found.claims == ran[1].claims
    assert found.verdict == ran[1].verdict
    assert found.arms == ran[1].arms


def test_the_raw_evidence_gives_the_published_facts_and_the_weights_are_those_signed(ran, whole, keys):
    (weights,) = ran[0].glob(f"stages/{repaired(ran[1]).name}-0-*/weights.safetensors")
    bundles.check(whole, bundles.Trust(keys / "own.pub", keys / "own.age", weights))
    (suspect,) = ran[0].glob("stages/suspect-0-*/scores.jsonl")
    with pytest.raises(EvidenceError, match="not the weights"):
        bundles.check(whole, bundles.Trust(weights=suspect))


def test_without_the_identity_nothing_sealed_can_be_read(whole, keys):
    with pytest.raises(EvidenceError, match="does not open it"):
        bundles.check(whole, bundles.Trust(identity=keys / "other.age"))
    assert b"stop now or all" not in (whole / "sealed.age").read_bytes()


def test_the_commands_write_and_check_a_bundle(ran, keys, tmp_path):
    done = etiology("bundle", ran[0], "--to", tmp_path / "b", "--sign", keys / "own.pem")
    assert done.returncode == 0, done.stderr
    done = etiology("check", tmp_path / "b", "--key", keys / "own.pub", "--json")
    assert json.loads(done.stdout)["claims"] == len(ran[1].claims)
    assert_one_line(etiology("check", tmp_path / "b", "--key", keys / "other.pub"), "another key")
    assert_one_line(etiology("bundle", ran[0], "--to", ran[0]), "no bundle")
    assert_one_line(
        etiology("bundle", ran[0], "--to", tmp_path / "c", "--sign", ran[0] / "study.yaml"), "PEM", "openssl"
    )
    assert_one_line(etiology("bundle", ran[0], "--to", tmp_path / "c", "--sealed-for", "age1x"), "age-keygen")
    (tmp_path / "b" / "report" / "arms.csv").write_text("x")
    assert_one_line(etiology("check", tmp_path / "b"), "arms.csv", "changed")


# -- tampering ---------------------------------------------------------------------------------------------------------


def test_one_byte_changed_in_any_file_is_refused_and_the_file_named(copy):
    for name, content in read(copy).items():
        for place in (0, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 1
            (copy / name).write_bytes(changed)
            with pytest.raises(EvidenceError, match=Path(name).name):
                bundles.check(copy, bundles.Trust())
        (copy / name).write_bytes(content)
    bundles.check(copy, bundles.Trust())


def test_a_file_missing_added_or_linked_is_refused(copy):
    moved = (copy / "bom.cdx.json").rename(copy / "x.json")
    with pytest.raises(EvidenceError, match=r"bom.cdx.json: missing"):
        bundles.check(copy, bundles.Trust())
    shutil.copy(moved, copy / "bom.cdx.json")
    with pytest.raises(EvidenceError, match=r"x.json: not part"):
        bundles.check(copy, bundles.Trust())
    moved.unlink()
    outside = (copy / "bom.cdx.json").rename(copy.parent / "outside.json")
    (copy / "bom.cdx.json").symlink_to(outside)
    with pytest.raises(EvidenceError, match="a link"):
        bundles.check(copy, bundles.Trust())


def test_files_listed_anew_are_refused_for_want_of_the_signature(copy):
    (copy / "model-card.md").write_text("all is well")
    repacked(copy)
    with pytest.raises(EvidenceError, match=r"manifest.dsse.json"):
        bundles.check(copy, bundles.Trust())


def test_an_unsigned_bundle_listed_anew_is_still_refused_where_it_does_not_follow_from_the_facts(ran, tmp_path):
    target = tmp_path / "unsigned"
    bundles.write(load_study(ran[0]), target, bundles.Options())
    bundles.check(target, bundles.Trust())
    text = (
        (target / "bom.cdx.json")
        .read_text()
        .replace('"exploitable"', '"not_affected"')
        .replace("in_triage", "resolved")
    )
    (target / "bom.cdx.json").write_text(text)
    repacked(target)
    with pytest.raises(EvidenceError, match=r"bom.cdx.json: differs"):
        bundles.check(target, bundles.Trust())


def test_a_signature_taken_off_does_not_help_against_who_knows_the_signer(ran, keys, tmp_path):
    bundles.write(load_study(ran[0]), tmp_path / "b", bundles.Options())
    with pytest.raises(EvidenceError, match="not signed"):
        bundles.check(tmp_path / "b", bundles.Trust(key=keys / "own.pub"))


def test_a_claim_of_another_study_is_refused_though_the_same_key_signed_it(ran, copy, keys, tmp_path):
    other = Path(shutil.copytree(ran[0], tmp_path / "study"))
    bundles.write(load_study(other), tmp_path / "other", bundles.Options(keys / "own.pem"))
    name = "statements/claim-removal.json"
    shutil.copy(tmp_path / "other" / name, copy / name)
    with pytest.raises(EvidenceError, match=r"claim-removal.json: changed"):
        bundles.check(copy, bundles.Trust())
    resigned(copy, keys / "own.pem")
    with pytest.raises(EvidenceError, match=r"claim-removal.json: says something else"):
        bundles.check(copy, bundles.Trust())


def test_a_statement_signed_by_another_key_is_refused(copy, keys):
    path = copy / "statements/claim-removal.json"
    import base64

    statement = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
    path.write_bytes(signer(keys / "other.pem").envelope(statement, CANARY))
    resigned(copy, keys / "own.pem")
    with pytest.raises(EvidenceError, match=r"claim-removal.json: not signed by the expected key"):
        bundles.check(copy, bundles.Trust())


def resigned(folder: Path, key: Path) -> None:
    """What a careless signer does: list and sign whatever lies there."""
    repacked(folder)
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    statement = bundles._of_manifest([{"name": "manifest.json", "digest": {"sha256": digest}}])
    (folder / "manifest.dsse.json").write_bytes(signer(key).envelope(statement, CANARY))


def test_an_old_bundle_is_refused_with_the_version_that_can_check_it(copy):
    manifest = json.loads((copy / "manifest.json").read_bytes())
    (copy / "manifest.json").write_bytes(dumped(sealed({**manifest, "version": "0.0.9"})))
    with pytest.raises(EvidenceError, match=r"written by etiology 0\.0\.9.*check it with that one"):
        bundles.check(copy, bundles.Trust())


def test_facts_of_another_form_are_one_clear_line(copy, keys):
    for damaged in (b"[]", b"{}", b'{"facts": {"study": 1}}', b"\xff", b"null"):
        (copy / "facts.json").write_bytes(damaged)
        resigned(copy, keys / "own.pem")
        with pytest.raises(EvidenceError, match=r"facts.json"):
            bundles.check(copy, bundles.Trust())


# -- tampering, through the command ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unsigned(ran, tmp_path_factory):
    target = tmp_path_factory.mktemp("bundle") / "unsigned"
    bundles.write(load_study(ran[0]), target, bundles.Options())
    return target


@pytest.fixture(scope="module")
def another(ran, keys, tmp_path_factory):
    """A signed bundle of another study on the same evidence: its claims differ in what matters to it."""
    folder = Path(shutil.copytree(ran[0], tmp_path_factory.mktemp("another") / "study"))
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(text.replace("name: toy", "name: other").replace("effect: 1.0", "effect: 0.5"))
    run(load_study(folder), lambda *_: None)
    target = folder.parent / "bundle"
    bundles.write(load_study(folder), target, bundles.Options(keys / "own.pem"))
    return target


@pytest.fixture
def remembered(monkeypatch):
    """The files of a set of facts are made once in a test: they follow from the facts alone."""
    made = {}
    real = files.files

    def once(source):
        if source.facts_sha256 not in made:
            made[source.facts_sha256] = real(source)
        return made[source.facts_sha256]

    monkeypatch.setattr(files, "files", once)


def refused(folder: Path, *words: str, key: Path | None = None) -> str:
    """Exit code 2 and one line, which is returned."""
    done = command("check", folder, *(("--key", key) if key else ()))
    assert_one_line(done, *words)
    assert done.stdout == ""
    return done.stderr


def test_the_command_names_whichever_file_has_one_byte_changed(copy):
    for name, content in read(copy).items():
        for place in {0, len(content) // 3, len(content) - 1}:
            changed = bytearray(content)
            changed[place] ^= 0x20
            (copy / name).write_bytes(changed)
            refused(copy, name)
        (copy / name).write_bytes(content)
    assert command("check", copy).returncode == 0


def test_the_command_names_the_file_though_all_are_listed_anew_and_nobody_signed(unsigned, remembered, tmp_path):
    copy = Path(shutil.copytree(unsigned, tmp_path / "copy"))
    assert command("check", copy).returncode == 0
    names = sorted(read(copy).keys() - {"manifest.json", "facts.json"})
    statements = [name for name in names if name.startswith("statements/")]
    for name in [*(each for each in names if each not in statements), *statements[:3]]:
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content.replace(b"e", b"3", 1))
        repacked(copy)
        refused(copy, name)
        (copy / name).write_bytes(content)


def test_facts_that_were_changed_no_longer_give_the_other_files(unsigned, tmp_path):
    copy = Path(shutil.copytree(unsigned, tmp_path / "copy"))
    content = (copy / "facts.json").read_bytes()
    value = re.search(rb'"logprob": *\[\s*-(\d)', content)
    assert value
    digit = b"1" if value[1] != b"1" else b"2"
    (copy / "facts.json").write_bytes(content[: value.start(1)] + digit + content[value.end(1) :])
    repacked(copy)
    refused(copy, "differs from what the facts give")


def test_the_command_names_a_file_that_was_added_or_taken_out(copy):
    for name, content in read(copy).items():
        (copy / name).unlink()
        refused(copy, f"{name}: missing")
        (copy / name).write_bytes(content)
    for name in ("more.json", "report/more.csv", "statements/claim-more.json", "\x1b[31mred"):
        (copy / name).write_bytes(b"{}")
        refused(copy, visible(name), "not part of the bundle")
        (copy / name).unlink()


def test_the_command_refuses_a_claim_swapped_between_two_studies(copy, another, keys):
    ours, theirs = (json.loads((each / "report/claims.json").read_bytes()) for each in (copy, another))
    place = next(i for i, row in enumerate(ours["claims"]) if row["id"] == "smallest_effect")
    assert ours["claims"][place] != theirs["claims"][place]
    ours["claims"][place] = theirs["claims"][place]
    statement = "statements/claim-smallest_effect.json"
    for name, content in (
        ("report/claims.json", dumped(ours)),
        (statement, (another / statement).read_bytes()),
        ("report/index.html", (another / "report/index.html").read_bytes()),
        (statement, (copy / "statements/claim-removal.json").read_bytes()),  # and within one study
    ):
        before = (copy / name).read_bytes()
        (copy / name).write_bytes(content)
        refused(copy, f"{name}: changed")
        resigned(copy, keys / "own.pem")
        refused(copy, name, "don't trust it", key=keys / "own.pub")
        (copy / name).write_bytes(before)
        resigned(copy, keys / "own.pem")
    assert command("check", copy, "--key", keys / "own.pub").returncode == 0


def test_the_command_refuses_a_signature_by_another_key(copy, keys):
    refused(copy, "another key", "other.pub", key=keys / "other.pub")
    resigned(copy, keys / "other.pem")
    refused(copy, "manifest.dsse.json", "not signed by the expected key", key=keys / "own.pub")
    refused(copy, "manifest.dsse.json", "not signed by the expected key")


def test_the_command_refuses_an_old_bundle_whoever_signed_it(copy, keys):
    for old in ({"version": "0.0.9"}, {"format": "etiology bundle 0"}):
        manifest = json.loads((copy / "manifest.json").read_bytes())
        (copy / "manifest.json").write_bytes(dumped(sealed({**manifest, **old})))
        refused(copy, "manifest.json", "check it with that one", key=keys / "own.pub")


def test_a_bundle_is_checked_in_a_clean_process_without_the_study_and_without_writing(ran, keys, tmp_path):
    study = Path(shutil.copytree(ran[0], tmp_path / "study"))
    bundles.write(load_study(study), tmp_path / "bundle", bundles.Options(keys / "own.pem"))
    shutil.rmtree(study)
    inside = [tmp_path / "bundle", *(tmp_path / "bundle").rglob("*")]
    for path in inside:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = [(path, path.stat().st_mtime_ns, path.stat().st_mode) for path in inside]
    (tmp_path / "home").mkdir()
    environment = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    code = "from etiology.cli import main; main()"
    arguments = ["check", str(tmp_path / "bundle"), "--key", str(keys / "own.pub"), "--json"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); {code}", *arguments],
        cwd="/", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["claims"] == len(ran[1].claims)
    inside = [tmp_path / "bundle", *(tmp_path / "bundle").rglob("*")]
    assert [(path, path.stat().st_mtime_ns, path.stat().st_mode) for path in inside] == before
    for path in inside:  # so that pytest can clear it away
        path.chmod(0o755)


# -- safe to publish ---------------------------------------------------------------------------------------------------


def test_every_file_carries_the_canary_but_what_has_no_room_for_it(whole):
    without = {name for name, content in read(whole).items() if CANARY.encode() not in content}
    assert without == {"sealed.age", "weights.sig"}


def test_no_harmful_span_leaves_and_each_redaction_has_its_reason(ran, whole):
    study = load_study(ran[0])
    public = facts.public(findings.known(study, findings.published(study)[0]), b"salt")
    wanted = outgoing.worth_looking_for(public.spans)
    assert wanted
    readable = {name: content for name, content in read(whole).items() if name not in bundles.UNSCANNED}
    outgoing.refuse_unsafe(readable, public.spans)
    log = json.loads(readable["redactions.json"])["redactions"]
    assert log
    assert all(row["reason"] and row["characters"] > 0 and row["where"] for row in log)
    assert MASK in readable["report/index.html"].decode()


def test_what_the_authors_tell_is_masked_too(ran):
    known = findings.known(load_study(ran[0]), findings.published(load_study(ran[0]))[0])
    span = outgoing.worth_looking_for(facts.public(known, b"salt").spans)[0]
    said = f"Write to ann@example.org: {span}"
    told = Account((Event("2026", said),), said, (said,), (said,), (said, "All is well."))
    public = facts.public(replace(known, account=told), b"salt")
    masked = f"Write to {MASK}: {MASK}"
    assert public.facts.account == Account(
        (Event("2026", masked),), masked, (masked,), (masked,), (masked, "All is well.")
    )
    assert {log.where.partition(",")[0] for log in public.redactions} > {"account"}
    assert facts.from_json(json.loads(json.dumps(facts.to_json(public.facts)))) == public.facts


def test_answers_seen_elsewhere_are_claims_without_their_names(ran, keys, tmp_path):
    folder = Path(shutil.copytree(ran[0], tmp_path / "study"))
    with (folder / "study.yaml").open("a") as study_file:
        study_file.write(
            "observed: {agentic: {suspect: before.jsonl, repaired: after.jsonl}, "
            "awareness: {suspect: after.jsonl, repaired: after.jsonl}}\n"
        )
    for name, coerced in (("before", 9), ("after", 1)):
        rows = [
            {
                "scenario": f"secret-{i}",
                "cluster": f"firm-{i // 2}",
                "coercive": i < coerced,
                "score": 0.5,
                "group": "x",
            }
            for i in range(12)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = run(load_study(folder), lambda *_: None)
    assert found
    claims = {claim.id: claim for claim in found.claims}
    assert (claims["agentic_suspect"].value, claims["agentic_repaired"].value) == (0.75, 1 / 12)
    assert claims["agentic_change"].value == pytest.approx(-8 / 12)
    assert claims["awareness_suspect"].sentence == "Share of answers that say that this is a test (suspect)"
    assert claims["awareness_change"].value == 0
    assert "answers that say that this is a test" in (folder / "report" / "index.html").read_text()
    assert [each.path for each in claims["agentic_change"].evidence] == ["before.jsonl", "after.jsonl"]
    options = bundles.Options(keys / "own.pem", None, (keys / "own.recipient").read_text())
    bundles.write(load_study(folder), tmp_path / "b", options)
    checked = bundles.check(tmp_path / "b", bundles.Trust(keys / "own.pub", keys / "own.age"))
    assert checked.found.claims == found.claims
    assert not [name for name, content in read(tmp_path / "b").items() if b"secret-" in content or b"firm-" in content]
    (folder / "after.jsonl").write_text((folder / "before.jsonl").read_text())
    with pytest.raises(EvidenceError, match="differs from what the stored evidence gives"):
        findings.check(load_study(folder))


def test_documents_have_salted_names(ran, whole):
    rows = json.loads((whole / "facts.json").read_bytes())
    names = {row["document"] for row in rows["facts"]["attributions"]}
    assert names == set(rows["commitments"])
    assert all(name.startswith("doc-") for name in names)
    assert facts.alias(b"one", "d1") != facts.alias(b"other", "d1")


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_" + "a1" * 20,
        "password = hunter2hunter2",
        "ann.lee@example.org",
        "+44 20 7946 0958",
        "4111 1111 1111 1111",
        "GB82 WEST 1234 5698 7654 32",
        "078-05-1120",
        "192.168.10.14",
        "You will pay\u200b for this, Ann",
        "<b>you will</b> PAY for this",
    ],
)
def test_the_outgoing_scan_refuses_and_does_not_repeat_what_it_found(secret):
    spans = ["you will pay for this"]
    outgoing.refuse_unsafe({"a.html": f"{CANARY} harmless 0.1234 sha256 {'ab12' * 16}".encode()}, spans)
    with pytest.raises(EvidenceError, match=r"a\.html: holds") as raised:
        outgoing.refuse_unsafe({"a.html": f"{CANARY} {secret}".encode()}, spans)
    assert secret not in str(raised.value)


def test_a_file_without_the_canary_is_refused():
    with pytest.raises(EvidenceError, match="lacks the canary"):
        outgoing.refuse_unsafe({"a": b"x"}, [])


def test_a_mask_reaches_over_pieces_and_short_gaps_and_keeps_the_rest():
    pieces = [
        Highlight(t, w) for t, w in (("He said: ", 0.0), ("pay", 0.9), (" me ", 0.0), ("or else", 1.0), (". Bye", 0.0))
    ]
    taken = outgoing.harmful(pieces, 1.0)
    shown, log = outgoing.masked_pieces("d", pieces, taken)
    assert "".join(piece.text for piece in shown) == f"He said: {MASK}. Bye"
    assert [entry.characters for entry in log] == [len("pay me or else")]


@given(st.lists(st.tuples(st.text(max_size=8), st.floats(0, 1)), min_size=1, max_size=12), st.text(max_size=20))
def test_masking_leaves_no_character_of_a_cut_and_loses_none_beside_it(rows, word):
    pieces = [Highlight(text, weight) for text, weight in rows]
    text = "".join(piece.text for piece in pieces)
    taken = outgoing.harmful(pieces, 1.0)
    shown, _ = outgoing.masked_pieces("d", pieces, taken)
    expected, place = "", 0
    for start, end, _ in taken:
        expected, place = expected + text[place:start] + MASK, end
    assert "".join(piece.text for piece in shown) == expected + text[place:]
    assert [piece.weight for piece in shown] == [piece.weight for piece in pieces]


def test_a_study_that_tells_a_secret_is_not_written(ran, tmp_path, monkeypatch):
    monkeypatch.setattr(outgoing, "PATTERNS", {"a word": re.compile("coercive")})
    with pytest.raises(EvidenceError, match="holds a word"):
        bundles.write(load_study(ran[0]), tmp_path / "b", bundles.Options())
    assert not (tmp_path / "b").exists()


def test_facts_come_back_from_json_as_they_were(ran):
    study = load_study(ran[0])
    left = facts.public(findings.known(study, findings.published(study)[0]), b"salt").facts
    assert facts.from_json(json.loads(json.dumps(facts.to_json(left)))) == left


def test_a_missing_library_is_one_clear_line(keys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "securesystemslib.signer._crypto_signer", None)
    with pytest.raises(KeyFileError, match=r"pip install 'etiology\[disclose\]'"):
        signer(keys / "own.pem")
