"""A bundle: what a study discloses, in one folder that is safe to publish and checks itself on another machine.

``facts.json`` holds the masked facts; every other file follows from it, and ``check`` makes each again and compares.
"""

import hashlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etiology import __version__, facts, findings
from etiology.backends import jobs
from etiology.config import STUDY_FILE, Study
from etiology.core.errors import EvidenceError, KeyFileError
from etiology.core.values import Document, Findings
from etiology.disclose.bundle import cards, files, outgoing, sealing, signing, weights
from etiology.disclose.bundle.outgoing import CANARY, Redaction
from etiology.disclose.bundle.signing import dumped
from etiology.disclose.bundle.statements import Made
from etiology.store import MANIFEST, Stage, canonical, read_manifest, replace_folder, sealed
from etiology.verify.registration import RULE_FILE

if TYPE_CHECKING:
    from securesystemslib.signer._key import SSlibKey

FORMAT = "etiology bundle 2"
FACTS, KEY, SEALED = "facts.json", "key.pem", "sealed.age"
SIGNATURE = "manifest.dsse.json"
SALT_FILE, SETTINGS = "salt.txt", "settings.json"
UNSCANNED = frozenset({SEALED, weights.SIGNATURE})
"""Encrypted, or in a form of another's that has no room for the canary."""


@dataclass(frozen=True)
class Options:
    """Keys of a bundle: ``sign`` an Ed25519 key, ``weights`` an elliptic-curve key, ``recipient`` an age1… key."""

    sign: Path | None = None
    weights: Path | None = None
    recipient: str | None = None


# -- writing -----------------------------------------------------------------------------------------------------------


def write(study: Study, target: Path, options: Options) -> Findings:
    """Check the study's report, then write its bundle whole to ``target``. Nothing is written if anything is unsafe.

    Errors: EvidenceError when the report is stale or something can't be published; KeyFileError for keys.
    """
    _refuse_stranger(target)
    findings.check(study)
    evidence, used = findings.published(study)
    salt = secrets.token_bytes(32)
    public = facts.public(findings.known(study, evidence), salt)
    content = dumped(_record(public, evidence, study, used, salt))
    source = _source(content)
    signer = signing.signer(options.sign) if options.sign else None
    made = {FACTS: content, **files.files(source), **_statements(source, signer)}
    if signer:
        made[KEY] = CANARY.encode() + b"\n" + signer.public
    outgoing.refuse_unsafe(made, public.spans)
    if options.recipient:
        made[SEALED] = sealing.sealed(_raw(study, evidence, salt), options.recipient)
    if options.weights:
        made |= weights.signed(_repaired_weights(evidence, source), options.weights, CANARY)
    _write(target, _with_manifest(made, source.found.study, signer))
    return source.found


def _refuse_stranger(target: Path) -> None:
    if target.exists() and not (target / MANIFEST).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise EvidenceError(f"{target}: is there and no bundle; give another place with --to")


def _record(
    public: facts.Public, evidence: findings.Evidence, study: Study, used: Mapping[str, str], salt: bytes
) -> dict[str, Any]:
    documents = jobs.read_documents(evidence.corpus.file("documents.jsonl"))
    return {
        "format": FORMAT,
        "version": __version__,
        "canary": CANARY,
        "written": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "facts": facts.to_json(public.facts),
        "commitments": {facts.alias(salt, d.id): _commitment(salt, d) for d in documents},
        "stages": [_made(study.folder / "stages" / place) for _, place in sorted(used.items())],
        "redactions": [asdict(each) for each in public.redactions],
    }


def _commitment(salt: bytes, document: Document) -> str:
    """Binds a document's text without telling it: who has the salt and the text can compare."""
    return hashlib.sha256(salt + document.whole.encode("utf-8", "surrogatepass")).hexdigest()


def _made(path: Path) -> dict[str, Any]:
    manifest = read_manifest(path)
    settings = hashlib.sha256(canonical(manifest["settings"]).encode("utf-8", "surrogatepass")).hexdigest()
    return asdict(Made(manifest["name"], manifest["digest"], settings, manifest["inputs"]))


def _statements(source: files.Source, signer: signing.Signer | None) -> dict[str, bytes]:
    said = files.said_of(source)
    if signer is None:
        return {name: dumped(each) for name, each in said.items()}
    return {name: signer.envelope(each, CANARY) for name, each in said.items()}


def _with_manifest(made: Mapping[str, bytes], study: str, signer: signing.Signer | None) -> dict[str, bytes]:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(made.items())}
    record = {"format": FORMAT, "version": __version__, "study": study, "canary": CANARY, "files": hashes}
    manifest = dumped(sealed({**record, "signed": signer is not None}))
    out = {**made, MANIFEST: manifest}
    if signer:
        subject = [{"name": MANIFEST, "digest": {"sha256": hashlib.sha256(manifest).hexdigest()}}]
        out[SIGNATURE] = signer.envelope(_of_manifest(subject), CANARY)
    return out


def _of_manifest(subject: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kind = "https://etiology.invalid/bundle/1"
    return {"_type": signing.STATEMENT, "subject": subject, "predicateType": kind, "predicate": {"canary": CANARY}}


def _write(target: Path, made: Mapping[str, bytes]) -> None:
    staging = target.with_name(f".making-{target.name}")
    shutil.rmtree(staging, ignore_errors=True)
    for name, content in made.items():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_bytes(content)
    replace_folder(staging, target)


def _source(content: bytes) -> files.Source:
    """What a bundle's files are made from, out of its facts."""
    import json

    try:
        record = json.loads(content)
        known = facts.from_json(record["facts"])
        return files.Source(
            found=findings.concluded(known),
            documents=[a.document for a in known.attributions],
            dropped=known.dropped,
            stages=[Made(**each) for each in record["stages"]],
            redactions=[Redaction(**each) for each in record["redactions"]],
            written=record["written"],
            facts_sha256=facts.digest(content),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as problem:
        raise EvidenceError(f"{FACTS}: not the facts of a study; the bundle is damaged") from problem


# -- the sealed tier ---------------------------------------------------------------------------------------------------

RAW = {
    "corpus": ("documents.jsonl", "labels.json"),
    "scenarios": ("scenarios.jsonl",),
    "registered": (RULE_FILE,),
    "model": ("model.json",),
    "attributed": ("attributions.jsonl", "pieces.jsonl"),
    "decided": ("decisions.jsonl",),
}
RUN = ("scores.jsonl", "held_out.json", "sizes.json", "generated.jsonl")


def _raw(study: Study, evidence: findings.Evidence, salt: bytes) -> dict[str, bytes]:
    """All that ``findings.known`` reads, with the stages' manifests."""
    wanted = [(getattr(evidence, role), names) for role, names in RAW.items()]
    wanted += [(stage, RUN) for stages in evidence.runs.values() for stage in stages]
    paths = [stage.file(name) for stage, names in wanted for name in (*names, MANIFEST)]
    raw = {str(path.relative_to(study.folder)): path.read_bytes() for path in paths if path.exists()}
    run_file = f"report/{findings.RUN_FILE}"
    answers = [file.path for file in findings.observed_files(study).values()]
    return {
        **raw,
        **{name: (study.folder / name).read_bytes() for name in answers},
        STUDY_FILE: (study.folder / STUDY_FILE).read_bytes(),
        run_file: (study.folder / run_file).read_bytes(),
        SETTINGS: dumped(study.model_dump(mode="json")),
        SALT_FILE: f"{salt.hex()}\n{CANARY}\n".encode(),
    }


def _repaired_weights(evidence: findings.Evidence, source: files.Source) -> Path:
    """The stored weights of the first seed of the arm that the report calls repaired."""
    known = evidence.runs[cards.repaired(source.found).name][0].file("weights.safetensors")
    if not known.exists():
        raise EvidenceError(f"{known}: the repaired weights are not stored; run the study again")
    return known


# -- checking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trust:
    """What a bundle is checked against, beside itself: the signer's public key, an age identity, the weights."""

    key: Path | None = None
    identity: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Checked:
    """What a check found: the recomputed findings, and the id of the key that signed (None: unsigned)."""

    found: Findings
    signed_by: str | None


def check(bundle: Path, trust: Trust) -> Checked:
    """Recompute every claim and every file of a bundle from its facts alone.

    Errors: EvidenceError naming the first file that is missing, added, changed, of another study or signed by another
    key; or that the bundle is of another version.
    """
    manifest = _manifest(bundle)
    present = _present(bundle, manifest)
    key = _key(bundle, manifest, present, trust)
    source = _source(present[FACTS])
    expected = files.files(source)
    said = files.said_of(source)
    _compare(bundle, present, {FACTS: present[FACTS], **expected}, said, key)
    _scan(bundle, present)
    if trust.identity:
        _check_sealed(bundle, present, trust.identity)
    if trust.weights:
        weights.check(trust.weights, bundle)
    return Checked(source.found, key.keyid if key else None)


def is_bundle(folder: Path) -> bool:
    """Whether a folder is meant as a bundle and not as a study, though its manifest may be lost."""
    return not (folder / STUDY_FILE).exists() and any(
        (folder / name).is_file() for name in (MANIFEST, FACTS, SIGNATURE)
    )


def _manifest(bundle: Path) -> dict[str, Any]:
    import json

    path = bundle / MANIFEST
    try:
        text = path.read_bytes()
        manifest: dict[str, Any] = json.loads(text)
        version = (manifest["format"], manifest["version"])
        whole = text == dumped(sealed(manifest)) and manifest["signed"] in (True, False) and bool(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise EvidenceError(f"{path}: missing or damaged; get the bundle again") from problem
    if not whole:
        raise EvidenceError(f"{path}: changed since it was written; get the bundle again")
    if version != (FORMAT, __version__):
        raise EvidenceError(
            f"{path}: written by etiology {version[1]} ({version[0]}); this is {__version__} ({FORMAT}): "
            "check it with that one"
        )
    return manifest


def _present(bundle: Path, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """The files, each as the manifest lists it. Links are refused: they lead out of the bundle."""
    paths = {str(p.relative_to(bundle)): p for p in bundle.rglob("*") if p.is_symlink() or p.is_file()}
    outside = {MANIFEST, *([SIGNATURE] if manifest["signed"] else [])}
    listed: Mapping[str, str] = manifest["files"]
    for name in sorted({*listed, FACTS, *outside} - set(paths)):
        raise EvidenceError(f"{bundle / name}: missing; get the bundle again")
    for name in sorted(set(paths) - set(listed) - outside):
        raise EvidenceError(f"{bundle / name}: not part of the bundle; remove it")
    for name in sorted(paths):
        if paths[name].is_symlink():
            raise EvidenceError(f"{paths[name]}: a link; a bundle holds plain files")
    contents = {name: paths[name].read_bytes() for name in sorted(paths)}
    for name, digest in listed.items():
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise EvidenceError(f"{bundle / name}: changed since the bundle was written; get it again")
    return contents


def _key(bundle: Path, manifest: Mapping[str, Any], present: Mapping[str, bytes], trust: Trust) -> "SSlibKey | None":
    """The key that the bundle must be signed by: the given one, else its own; None when it is unsigned."""
    if not manifest["signed"]:
        if trust.key:
            raise EvidenceError(f"{bundle}: not signed, but a signature by {trust.key} is asked for; don't trust it")
        return None
    if KEY not in present:
        raise EvidenceError(f"{bundle / KEY}: missing; get the bundle again")
    own = signing.public_key(present[KEY], str(bundle / KEY))
    key = _given(trust.key) if trust.key else own
    if key.keyid != own.keyid:
        raise EvidenceError(f"{bundle}: signed by another key than {trust.key}; don't trust it")
    digest = hashlib.sha256(present[MANIFEST]).hexdigest()
    wanted = _of_manifest([{"name": MANIFEST, "digest": {"sha256": digest}}])
    _expect_signed(bundle, SIGNATURE, present[SIGNATURE], wanted, key)
    return key


def _given(path: Path) -> "SSlibKey":
    try:
        return signing.public_key(path.read_bytes(), str(path))
    except OSError as problem:
        raise KeyFileError(f"{path}: can't be read; give the signer's public key in PEM") from problem


def _expect_signed(bundle: Path, name: str, content: bytes, wanted: Mapping[str, Any], key: "SSlibKey") -> None:
    import json

    if signing.opened(content, key, str(bundle / name)) != wanted:
        raise EvidenceError(f"{bundle / name}: says something else than the facts of this study give; don't trust it")
    envelope = json.loads(content)
    signatures = envelope["signatures"]
    if content != dumped(envelope) or len(signatures) != 1 or envelope.get("canary") != CANARY:
        raise EvidenceError(f"{bundle / name}: not as it was written; get the bundle again")


def _compare(
    bundle: Path,
    present: Mapping[str, bytes],
    expected: Mapping[str, bytes],
    said: Mapping[str, Mapping[str, Any]],
    key: "SSlibKey | None",
) -> None:
    """Every file that follows from the facts is there and as they give it; nothing else is."""
    known = {*expected, *said, MANIFEST, SIGNATURE, KEY, SEALED, weights.SIGNATURE, weights.KEY}
    for name in sorted({*expected, *said} - set(present)):
        raise EvidenceError(f"{bundle / name}: missing; get the bundle again")
    for name in sorted(set(present) - known):
        raise EvidenceError(f"{bundle / name}: not part of a bundle; remove it")
    for name, content in expected.items():
        if present[name] != content:
            raise EvidenceError(f"{bundle / name}: differs from what the facts give; don't trust it")
    for name, statement in said.items():
        if key is not None:
            _expect_signed(bundle, name, present[name], statement, key)
        elif present[name] != dumped(statement):
            raise EvidenceError(f"{bundle / name}: differs from what the facts give; don't trust it")


def _scan(bundle: Path, present: Mapping[str, bytes]) -> None:
    named = {str(bundle / name): content for name, content in present.items() if name not in UNSCANNED}
    outgoing.refuse_unsafe(named, ())


def _check_sealed(bundle: Path, present: Mapping[str, bytes], identity: Path) -> None:
    """Mask the raw evidence again: it must give the published facts, byte for byte."""
    import json
    import tempfile

    where = bundle / SEALED
    if SEALED not in present:
        raise EvidenceError(f"{where}: no sealed tier; ask its author for a bundle made with --sealed-for")
    try:
        secret = identity.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise KeyFileError(f"{identity}: can't be read; give an age key file") from problem
    raw = sealing.unsealed(present[SEALED], secret, str(where))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            _unpack(raw, folder, where)
            again = _facts_of(folder, json.loads(raw[f"report/{findings.RUN_FILE}"]), bytes.fromhex(_salt(raw)))
        except (KeyError, TypeError, ValueError, OSError) as problem:
            raise EvidenceError(f"{where}: does not hold the raw evidence of a study; don't trust it") from problem
    if dumped(again) != dumped(json.loads(present[FACTS])["facts"]):
        raise EvidenceError(f"{where}: the raw evidence gives other facts than were published; don't trust it")


def _salt(raw: Mapping[str, bytes]) -> str:
    return raw[SALT_FILE].decode().splitlines()[0]


def _unpack(raw: Mapping[str, bytes], folder: Path, where: Path) -> None:
    for name, content in raw.items():
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise EvidenceError(f"{where}: holds a file that leads out of it; don't trust it")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _facts_of(folder: Path, run: Mapping[str, Any], salt: bytes) -> dict[str, Any]:
    roles = run["evidence"]
    stages = {path.name: _stage(path) for path in (folder / "stages").iterdir()}
    evidence = findings.Evidence(
        **{role: stages[roles[role]] for role in RAW},
        runs={arm: [stages[name] for name in names] for arm, names in roles["runs"].items()},
    )
    return facts.to_json(facts.public(findings.known(_settings(folder), evidence), salt).facts)


def _settings(folder: Path) -> Study:
    """The study as it was read, without looking for the model and the corpus that its file names."""
    import json

    return Study.model_validate({**json.loads((folder / SETTINGS).read_bytes()), "folder": folder})


def _stage(path: Path) -> Stage:
    """A stage of which only the files that matter were sealed."""
    manifest = read_manifest(path)
    return Stage(manifest["name"], path, manifest["digest"], manifest["cost"])
