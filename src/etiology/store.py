"""A study folder's stages: content-addressed, written whole or not at all, and checked when they are read again.

A stage is a folder ``stages/<name>-<key>``. Its key is the SHA-256 of its name, its settings and the *contents* of the
stages it reads, so that a stage is made again exactly when something it depends on has changed. It is written in a
hidden folder beside its place and renamed when whole: killing a run loses at most the stages in progress.
``manifest.json`` lists every file with its SHA-256. (Why not a workflow library: docs/decisions/0001-store.md.)
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from etiology.core.errors import EvidenceError, StoreError

FORMAT = "etiology store 2"
"""Raised when a stage's files change: a folder of an older layout is refused, not misread."""
MANIFEST = "manifest.json"


def canonical(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """JSON with one spelling for each value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@dataclass(frozen=True)
class Stage:
    """A stage that is whole. ``digest`` names its contents; ``cost`` says what making it took."""

    name: str
    path: Path
    digest: str
    cost: Mapping[str, float]

    def file(self, name: str) -> Path:
        return self.path / name

    def read(self, name: str) -> Any:  # noqa: ANN401
        """A JSON file of the stage."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Slot:
    """A stage that is to be made: where it will stand, and the hidden folder where it is written first."""

    name: str
    key: str
    path: Path
    staging: Path
    record: Mapping[str, Any]


class Store:
    """The stages of one study folder. Use as a context: it holds the folder's lock."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "stages"
        self.used: dict[str, str] = {}
        """Folder name of every stage that this run used, by stage name."""

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True)
        check_format(self.root)
        self._lock = (self.root / ".lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            self._lock.close()
            raise StoreError(f"{self.root}: another run is using this study; wait for it or stop it") from problem
        (self.root / "FORMAT").write_text(FORMAT + "\n")
        for left_over in self.root.glob(".making-*"):
            shutil.rmtree(left_over, ignore_errors=True)
            left_over.unlink(missing_ok=True) if left_over.is_file() else None
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def find(self, name: str, settings: Mapping[str, Any], inputs: Mapping[str, Stage]) -> Stage | Slot:
        """The stage if it stands and is undamaged, else the slot to make it in."""
        record = {"name": name, "settings": dict(settings), "inputs": {k: v.digest for k, v in sorted(inputs.items())}}
        key = hashlib.sha256(canonical(record).encode()).hexdigest()[:16]
        path = self.root / f"{name}-{key}"
        if path.exists():
            stage = open_stage(path)
            self.used[name] = path.name
            return stage
        return Slot(name, key, path, self.root / f".making-{name}-{key}", record)

    def begin(self, slot: Slot) -> Path:
        """An empty hidden folder to write the stage's files in."""
        shutil.rmtree(slot.staging, ignore_errors=True)
        slot.staging.mkdir(parents=True)
        return slot.staging

    def commit(self, slot: Slot, cost: Mapping[str, float]) -> Stage:
        """List the files, then move the stage into place in one step."""
        files = {
            str(p.relative_to(slot.staging)): sha256_of_file(p) for p in sorted(slot.staging.rglob("*")) if p.is_file()
        }
        digest = hashlib.sha256(canonical(files).encode()).hexdigest()
        manifest = sealed({**slot.record, "files": files, "digest": digest, "cost": dict(cost)})
        (slot.staging / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        slot.staging.replace(slot.path)
        self.used[slot.name] = slot.path.name
        return Stage(slot.name, slot.path, digest, dict(cost))

    def stage(
        self,
        name: str,
        make: Callable[[Path], Mapping[str, float] | None],
        settings: Mapping[str, Any] | None = None,
        **inputs: Stage,
    ) -> Stage:
        """The stage called ``name``: found, or made here and now by ``make(folder)``."""
        found = self.find(name, settings or {}, inputs)
        if isinstance(found, Stage):
            return found
        with removed_on_failure(found.staging):
            cost = make(self.begin(found)) or {}
            return self.commit(found, cost)


@contextlib.contextmanager
def removed_on_failure(folder: Path) -> Iterator[None]:
    """Leave nothing half-written behind."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check_format(root: Path) -> None:
    """Raise if the stages were written by a version whose layout this one does not know."""
    marker = root / "FORMAT"
    found = marker.read_text(errors="replace").strip() if marker.exists() else None
    strangers = found is None and any(not p.name.startswith(".") for p in root.iterdir())
    if strangers or found not in {None, FORMAT}:
        raise StoreError(
            f"{root}: written by another version ({found or 'no FORMAT file'}; this one writes '{FORMAT}'); "
            "run the study in a new folder, or move the old stages away"
        )


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the SHA-256 of all its other entries, so that a change to any of them shows."""
    rest = {key: value for key, value in manifest.items() if key != "seal"}
    return {**rest, "seal": hashlib.sha256(canonical(rest).encode()).hexdigest()}


def read_manifest(path: Path) -> dict[str, Any]:
    """A stage's manifest, if it is as it was written."""
    again = f"remove {path} to make the stage again"
    try:
        text = (path / MANIFEST).read_text(encoding="utf-8")
        manifest: dict[str, Any] = json.loads(text)
        whole = text == json.dumps(sealed(manifest), indent=1, sort_keys=True) + "\n"
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        raise EvidenceError(f"{path / MANIFEST}: missing or damaged; {again}") from problem
    if not whole:
        raise EvidenceError(f"{path / MANIFEST}: changed since it was written; {again}")
    return manifest


def open_stage(path: Path) -> Stage:
    """A stage that stands, after checking each of its files against its manifest.

    Errors: EvidenceError naming the first file that is missing, added or changed.
    """
    manifest = read_manifest(path)
    present = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()} - {MANIFEST}
    for name, expected in manifest["files"].items():
        if name not in present:
            raise EvidenceError(f"{path / name}: missing; remove {path} to make the stage again")
        if sha256_of_file(path / name) != expected:
            raise EvidenceError(f"{path / name}: changed since it was written; remove {path} to make the stage again")
    for name in sorted(present - set(manifest["files"])):
        raise EvidenceError(f"{path / name}: not part of the stage; remove it")
    digest = hashlib.sha256(canonical(manifest["files"]).encode()).hexdigest()
    return Stage(manifest["name"], path, digest, manifest["cost"])


def replace_folder(staging: Path, target: Path) -> None:
    """Put a whole folder in the place of another."""
    old = target.with_name(f".old-{target.name}-{os.getpid()}")
    if target.exists():
        target.replace(old)
    staging.replace(target)
    shutil.rmtree(old, ignore_errors=True)
