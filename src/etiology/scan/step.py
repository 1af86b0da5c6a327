"""Scan one shard: pieces of rows in, a table of attributes beside the corpus out, and then the manifest.

Whatever happens, nothing is raised: a shard that can't be done leaves a manifest that says why, and the others go on.
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etiology.core.errors import ScanError
from etiology.scan.arrays import there, values
from etiology.scan.cascade import SCHEMA, STAGES, Cascade, settings_of
from etiology.scan.inputs import Bad, Corpus, Shard, read
from etiology.scan.matching import Compiled
from etiology.scan.plan import Manifest, Plan, digest, record, written
from etiology.store import sha256_of_file

GROUP_ROWS: Final = 65_536
PATTERNS: Final = ("anchors.bin", "wholes.bin")


@dataclass
class Scan:
    """The work of `etiology scan` on one shard. Loads what it needs when it is first called, once a process."""

    folder: Path
    plan: Plan
    _ready: "tuple[Cascade, Corpus, str] | None" = None

    def __call__(self, number: int, shard: Shard) -> Manifest:
        """Do the shard and write its manifest."""
        cascade, corpus, name = self._loaded()
        start = time.process_time()
        try:
            manifest = self._scan(cascade, corpus, number, shard, name)
        except Exception as problem:  # noqa: BLE001 - one shard must not end the others; the manifest says what happened
            reason = f"{type(problem).__name__}: {problem}"
            manifest = Manifest(shard.name, number, name, {}, 0, 0, failed=reason)
        made = Manifest(**{**vars(manifest), "seconds": round(time.process_time() - start, 3)})
        record(self.folder, made)
        return made

    def _loaded(self) -> tuple[Cascade, Corpus, str]:
        if self._ready is None:
            parts = [self.folder / part for part in PATTERNS]
            ready = Compiled(*(p.read_bytes() for p in parts)) if all(p.exists() for p in parts) else None
            name = digest(self.plan)
            cascade = Cascade(settings_of(self.plan.settings), ready, name)
            cascade.load()
            self._ready = cascade, self.plan.open(), name
        return self._ready

    def _scan(self, cascade: Cascade, corpus: Corpus, number: int, shard: Shard, name: str) -> Manifest:
        path = self.folder / "attributes" / f"{number:05d}.parquet"
        bad: list[Bad] = []
        rows, size = 0, 0
        counts: Counter[str] = Counter()
        with written(path) as making, pq.ParquetWriter(making, SCHEMA, compression="zstd", version="2.6") as writer:
            held: list[Any] = []
            for piece in read(corpus, shard, cascade.settings.columns):
                bad += piece.bad
                if not len(piece.texts):
                    continue
                table = cascade(piece, shard.name)
                rows, size = rows + table.num_rows, size + int(values(table["bytes"], np.int64).sum())
                counts.update(_stages(table))
                held = _flushed([*held, table], writer, GROUP_ROWS)
            _flushed(held, writer, 0)
        files = {str(path.relative_to(self.folder)): sha256_of_file(path)}
        return Manifest(shard.name, number, name, files, rows, size, tuple(bad), dict(counts))


def _stages(table: Any) -> dict[str, int]:
    """How many documents each stage was the last of, and how many were scored."""
    found = np.bincount(values(table["stage"].indices, np.int8), minlength=len(STAGES)).tolist()
    scored = int(there(table["score"]).sum())
    return {**{name: n for name, n in zip(STAGES, found, strict=True) if n}, **({"scored": scored} if scored else {})}


def _flushed(held: list[Any], writer: Any, least: int) -> list[Any]:
    """Write what is held once it is a row group; what is still held."""
    if not held or sum(t.num_rows for t in held) < least:
        return held
    writer.write_table(pa.Table.from_batches(held, SCHEMA).unify_dictionaries())
    return []


def attributes(folder: Path, number: int) -> Any:
    """The attributes of a shard that is done."""
    path = folder / "attributes" / f"{number:05d}.parquet"
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as problem:
        raise ScanError(f"{path}: can't be read ({problem}); remove its manifest and scan again") from problem
