"""What a scan (or an apply) will do, frozen in one file before any work, and the manifests that say what was done.

    DIR/plan.json              corpus, shards with their sizes, number of tasks, settings; written once
    DIR/patterns.bin           the compiled patterns
    DIR/<parts>/00000.parquet  what was made of shard 0
    DIR/manifests/00000.json   written last: a shard without a manifest was not done, whatever files there are

Task t does shards t, t + tasks, t + 2 × tasks, … . Going on with another corpus, another number of tasks or other
settings is refused: with fewer tasks, shards would be missing and nobody would know.

Each file is written under a temporary name and renamed when whole. Two tasks that do the same shard make the same
bytes, so that it does not matter whose rename comes last.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from etiology.core.errors import ScanError
from etiology.scan.inputs import Bad, Corpus, Shard, open_corpus
from etiology.store import canonical, sealed, sha256_of_file

FORMAT: Final = "etiology scan 1"


@dataclass(frozen=True)
class Plan:
    """Everything that decides what comes out. ``settings`` is plain data."""

    corpus: str
    shards: tuple[Shard, ...]
    tasks: int
    settings: Mapping[str, Any]
    format: str = FORMAT

    def of(self, task: int) -> Iterator[tuple[int, Shard]]:
        """(number, shard) of each shard that a task does."""
        return ((i, self.shards[i]) for i in range(task, len(self.shards), self.tasks))

    def open(self) -> Corpus:
        """The corpus, as it lies now."""
        return open_corpus(self.corpus)[0]


def frozen(plan: Plan, folder: Path) -> Plan:
    """Write the plan, or take up the same one. Errors: ScanError where the folder holds another."""
    wanted = asdict(plan)
    path = folder / "plan.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _once(path, json.dumps(wanted, ensure_ascii=False, indent=1) + "\n")
    found = load(folder)
    for key, value in json.loads(json.dumps(wanted)).items():
        stored = json.loads(json.dumps(asdict(found)))[key]
        if stored != value:
            raise ScanError(
                f"{path}: made with {key} {_difference(stored, value)}; go on with the same command as before, or "
                "give another folder"
            )
    return found


def _once(path: Path, text: str) -> None:
    """Write a file whole, unless another process has just done so: the first one's plan stays."""
    making = path.with_name(f".{path.name}.{os.getpid()}.part")
    making.write_text(text, encoding="utf-8")
    with suppress(FileExistsError):
        os.link(making, path)
    making.unlink()


def _difference(stored: Any, wanted: Any) -> str:
    if isinstance(stored, dict) and isinstance(wanted, dict):
        key = next(k for k in sorted({*stored, *wanted}) if stored.get(k) != wanted.get(k))
        return f"{key} {_difference(stored.get(key), wanted.get(key))}"
    if isinstance(stored, list) and isinstance(wanted, list):
        if len(stored) != len(wanted):
            return f"of {len(stored)}, not {len(wanted)}"
        return next(_difference(s, w) for s, w in zip(stored, wanted, strict=True) if s != w)
    return f"{json.dumps(stored)}, not {json.dumps(wanted)}"


def load(folder: Path) -> Plan:
    """The plan of a folder."""
    path = folder / "plan.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ScanError(f"{path}: of another version ({data['format']}); this one reads '{FORMAT}'")
        shards = tuple(Shard(**shard) for shard in data["shards"])
        return Plan(data["corpus"], shards, data["tasks"], data["settings"])
    except FileNotFoundError as problem:
        raise ScanError(f"{folder}: holds no plan.json; give the folder of a scan") from problem
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ScanError(f"{path}: can't be read ({problem}); begin in another folder") from problem


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``: put in its place if nothing went wrong, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=f"-{path.name}", dir=path.parent)
    os.close(handle)
    making = Path(name)
    making.chmod(0o644)
    try:
        yield making
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


@dataclass(frozen=True)
class Manifest:
    """What was done with one shard. ``files``: each file (path below the folder) and its SHA-256.

    ``failed`` is empty, or says why the shard could not be done; it is then done again by the next run. ``counts``
    are whatever the work counted, ``seconds`` the processor's.
    """

    shard: str
    number: int
    plan: str
    files: Mapping[str, str]
    rows: int
    bytes: int
    bad: tuple[Bad, ...] = ()
    counts: Mapping[str, Any] | None = None
    seconds: float = 0.0
    failed: str = ""


def digest(plan: Plan) -> str:
    """Names the plan, so that a manifest can't be taken for one of another."""
    return hashlib.sha256(canonical(asdict(plan)).encode()).hexdigest()[:16]


def manifest_path(folder: Path, number: int) -> Path:
    return folder / "manifests" / f"{number:05d}.json"


def record(folder: Path, manifest: Manifest) -> None:
    """Write a manifest, which makes the shard done."""
    with written(manifest_path(folder, manifest.number)) as making:
        making.write_text(json.dumps(sealed(asdict(manifest)), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def state(folder: Path, number: int, plan: str) -> Manifest | None:
    """The manifest of a shard, if it is whole and of this plan."""
    try:
        data = json.loads(manifest_path(folder, number).read_text(encoding="utf-8"))
        if sealed(data) != data or data["plan"] != plan:
            return None
    except (OSError, ValueError, KeyError):
        return None
    data.pop("seal")
    return Manifest(**{**data, "bad": tuple(Bad(**bad) for bad in data["bad"])})


def done(folder: Path, number: int, plan: str) -> Manifest | None:
    """The manifest of a shard that is done and whose files are as they were written. None: do it (again)."""
    found = state(folder, number, plan)
    if found is None or found.failed:
        return None
    try:
        same = all(sha256_of_file(folder / name) == sha for name, sha in found.files.items())
    except OSError:
        return None
    return found if same else None


def manifests(folder: Path) -> list[Manifest | None]:
    """The manifest of each shard of the folder's plan that is done, in order; None where it is not."""
    plan = load(folder)
    name = digest(plan)
    return [done(folder, i, name) for i in range(len(plan.shards))]


def why_not(folder: Path, number: int) -> str:
    """Why a shard is not done, as far as is known."""
    found = state(folder, number, digest(load(folder)))
    return "not begun, or stopped in between" if found is None else found.failed or "its files were changed since"
