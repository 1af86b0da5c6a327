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
from etiology.config import STUDY_FILE, Study, load_study
from etiology.core.errors import EvidenceError, KeyFileError
from etiology.core.values import Document
from etiology.disclose.bundle import files, outgoing, sealing, signing, weights
from etiology.disclose.bundle.outgoing import CANARY, Redaction
from etiology.disclose.bundle.signing import dumped
from etiology.disclose.bundle.statements import Made
from etiology.store import MANIFEST, Stage, canonical, read_manifest, replace_folder, sealed

if TYPE_CHECKING:
    from securesystemslib.signer._key import SSlibKey

FORMAT = "etiology bundle 1"
FACTS, KEY, SEALED = "facts.json", "key.pem", "sealed.age"
SIGNATURE = "manifest.dsse.json"
SALT_FILE = "salt.txt"
UNSCANNED = frozenset({SEALED, weights.SIGNATURE})
"""Encrypted, or in a form of another's that has no room for the canary."""


@dataclass(frozen=True)
class Options:
    """Keys of a bundle: ``sign`` an Ed25519 key, ``weights`` an elliptic-curve key, ``recipient`` an age1… key."""

    sign: Path | None = None
    weights: Path | None = None
    recipient: str | None = None


# -- writing -----------------------------------------------------------------------------------------------------------


def write(study: Study, target: Path, options: Options) -> findings.Findings:
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
        made[KEY] = f"{CANARY}\n{signer.public}".encode()
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
    return {
        **raw,
        STUDY_FILE: (study.folder / STUDY_FILE).read_bytes(),
        run_file: (study.folder / run_file).read_bytes(),
        SALT_FILE: f"{salt.hex()}\n{CANARY}\n".encode(),
    }
