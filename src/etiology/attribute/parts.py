"""The output folder of an attribution: settings that name it, and parts that are there whole or not at all.

``manifest.json`` holds what was asked and its hash. A part is one table of one step and one shard, written under a
hidden name and renamed; one that stands is not made again. A folder made with other settings is refused, since its
parts would be taken for these.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from etiology.core.errors import StoreError

MANIFEST: Final = "manifest.json"
FORMAT: Final = "etiology attribution 1"
COST: Final = b"cost"


@dataclass(frozen=True)
class Cost:
    """What a part took: seconds, tokens run forward and backward, and floating-point operations (estimated)."""

    seconds: float = 0.0
    forward: int = 0
    backward: int = 0
    flops: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.seconds + other.seconds,
            self.forward + other.forward,
            self.backward + other.backward,
            self.flops + other.flops,
        )


class Parts:
    """The folder. Use as a context: it holds the folder's lock."""

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self.root, self.settings = root, json.loads(json.dumps(settings))

    def __enter__(self) -> Self:
        (self.root / "parts").mkdir(parents=True, exist_ok=True)
        self._lock = (self.root / "parts" / ".lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check()
        except OSError:
            self._lock.close()
            raise StoreError(f"{self.root}: another run is writing here; wait for it or stop it") from None
        except StoreError:
            self._lock.close()
            raise
        for left_over in (self.root / "parts").glob(".making-*"):
            left_over.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _check(self) -> None:
        """Write the manifest, or compare it with the one that is there."""
        path = self.root / MANIFEST
        record = {"format": FORMAT, "settings": self.settings, "hash": _hash(self.settings)}
        if not path.exists():
            others = sorted(p.name for p in self.root.iterdir() if p.name != "parts")
            if others:
                raise StoreError(f"{self.root}: not empty ({others[0]}) and no attribution; give an --out of its own")
            self.replace(path, lambda to: to.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n"))
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            before, known = found["settings"], found["format"] == FORMAT and found["hash"] == _hash(found["settings"])
        except (ValueError, KeyError, TypeError):
            before, known = {}, False
        if not known:
            raise StoreError(f"{path}: damaged or of another version; give another --out, or remove the folder")
        changed = [name for name in self.settings if self.settings[name] != before.get(name)]
        if changed:
            said = f"was made with another {', '.join(changed)}"
            raise StoreError(f"{self.root}: {said}; give another --out, or the same settings to go on")

    def path(self, step: str, number: int) -> Path:
        return self.root / "parts" / f"{step}-{number:05}.parquet"

    def has(self, step: str, number: int) -> bool:
        return self.path(step, number).exists()

    def write(self, step: str, number: int, columns: Mapping[str, Any], cost: Cost, **about: Any) -> None:  # noqa: ANN401
        """One part, with what it took and what else is to be known of it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(dict(columns)).replace_schema_metadata(
            {COST: json.dumps(asdict(cost)), b"about": json.dumps(about)}
        )
        self.replace(self.path(step, number), lambda to: pq.write_table(table, to, compression="zstd"))

    def read(self, step: str, number: int, columns: list[str] | None = None) -> dict[str, Any]:
        """The columns of a part: NumPy arrays, or lists where they hold lists or text."""
        import pyarrow.parquet as pq

        table = pq.read_table(self.path(step, number), columns=columns)
        return {name: _column(table[name]) for name in table.column_names}

    def about(self, step: str, number: int) -> dict[str, Any]:
        """What was told of a part when it was written."""
        return dict(json.loads(self._metadata(step, number)[b"about"]))

    def cost(self, step: str) -> Cost:
        """What all parts of a step took."""
        costs = [Cost(**json.loads(self._metadata(step, n)[COST])) for n in self.numbers(step)]
        return sum(costs, Cost())

    def numbers(self, step: str) -> list[int]:
        """Numbers of the parts of a step that stand."""
        found = (self.root / "parts").glob(f"{step}-[0-9]*.parquet")
        return sorted(int(path.stem.rsplit("-", 1)[1]) for path in found)

    def _metadata(self, step: str, number: int) -> dict[bytes, bytes]:
        import pyarrow.parquet as pq

        return dict(pq.read_schema(self.path(step, number)).metadata)

    @staticmethod
    def replace(path: Path, write: Callable[[Path], object]) -> None:
        """Write a file under a hidden name, then move it into place in one step."""
        hidden = path.with_name(f".making-{os.getpid()}-{path.name}")
        write(hidden)
        hidden.replace(path)


def _column(values: Any) -> Any:  # noqa: ANN401 - a chunked array
    import pyarrow as pa

    if pa.types.is_nested(values.type) or pa.types.is_string(values.type) or pa.types.is_null(values.type):
        return values.to_pylist()
    return values.to_numpy()


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
