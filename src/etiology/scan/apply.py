"""Apply decisions: the new corpus and the quarantine, and the proof that together they are the input.

    OUT/corpus/…        what is kept, under the shards' own names
    OUT/quarantine/…    what is dropped, what can't be read, and the original of every row that was changed
    OUT/decisions/…     one row a document: action, reason, author, weight
    OUT/manifests/…     per shard: the hashes of the input's rows and of the output's, as they lie on disk

1. read the scan's attributes of the shard, decide (`policy`);
2. read the shard's rows; each text must hash to what was scanned, else the corpus has changed and the shard fails;
3. write kept and quarantined rows under temporary names; read both again; put them in place only if their rows
   (but for the changed ones) are the input's.

A shard whose container is damaged goes to the quarantine whole, byte for byte. Nothing is ever deleted.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from etiology.core.errors import ScanError
from etiology.scan import patterns, policy, step
from etiology.scan.arrays import truths, values
from etiology.scan.cascade import settings_of
from etiology.scan.inputs import Bad, Columns, Corpus, Piece, Shard, read
from etiology.scan.outputs import changed, rows_of, writer
from etiology.scan.plan import Manifest, Plan, digest, load, record, written
from etiology.scan.proof import Multiset, of_rows
from etiology.scan.texts import texts_of
from etiology.store import sha256_of_file


def plan_of(scan: Path, ready: policy.Ready, policy_path: Path) -> Plan:
    """The plan of an apply: the scan's corpus, shards and tasks, and the policy."""
    scanned = load(scan)
    settings = {
        "scan": str(scan.absolute()),
        "scan_plan": digest(scanned),
        "policy": str(policy_path.absolute()),
        "policy_digest": ready.digest,
        "threshold": ready.threshold,
    }
    return Plan(scanned.corpus, scanned.shards, scanned.tasks, settings)


@dataclass
class Apply:
    """The work of `etiology apply` on one shard."""

    folder: Path
    plan: Plan
    _ready: "tuple[policy.Ready, Corpus, Columns, list[str]] | None" = None

    def __call__(self, number: int, shard: Shard) -> Manifest:
        """Do the shard and write its manifest."""
        name = digest(self.plan)
        start = time.process_time()
        try:
            self._loaded()  # may fail, as any shard may
            start = time.process_time()
            manifest = self._apply(number, shard, name)
        except Exception as problem:  # noqa: BLE001 - one shard must not end the others; the manifest says what happened
            manifest = Manifest(shard.name, number, name, {}, 0, 0, failed=f"{type(problem).__name__}: {problem}")
        made = Manifest(**{**vars(manifest), "seconds": round(time.process_time() - start, 3)})
        record(self.folder, made)
        return made

    def _loaded(self) -> tuple[policy.Ready, Corpus, Columns, list[str]]:
        if self._ready is None:
            given = self.plan.settings
            ready = policy.read(Path(given["policy"]), given["threshold"])
            if ready.digest != given["policy_digest"]:
                raise ScanError(f"{given['policy']}: changed since this was begun; apply it to another folder")
            settings = settings_of(load(Path(given["scan"])).settings)
            families = patterns.read(Path(settings.patterns) if settings.patterns else None)
            self._ready = ready, self.plan.open(), settings.columns, [f.group for f in families.all]
        return self._ready

    def _apply(self, number: int, shard: Shard, name: str) -> Manifest:
        ready, corpus, columns, groups = self._loaded()
        scan = Path(self.plan.settings["scan"])
        attributes = step.attributes(scan, number)
        decided = policy.decide(ready, attributes, groups)
        pieces = read(corpus, shard, columns, rows=True)
        job = _Job(self.folder, corpus, shard, columns, ready, decided, attributes)
        counts, files, bad = job.rows(pieces) or job.whole()
        path = self.folder / "decisions" / f"{number:05d}.parquet"
        with written(path) as making:
            pq.write_table(decided.table, making, compression="zstd")
        files[str(path.relative_to(self.folder))] = sha256_of_file(path)
        size = int(values(attributes["bytes"], np.int64).sum())
        return Manifest(shard.name, number, name, files, attributes.num_rows, size, bad, counts)


@dataclass
class _Job:
    """One shard being applied."""

    folder: Path
    corpus: Corpus
    shard: Shard
    columns: Columns
    ready: policy.Ready
    decided: policy.Decided
    attributes: Any

    def rows(self, pieces: Iterator[Piece]) -> "tuple[dict[str, Any], dict[str, str], tuple[Bad, ...]] | None":
        """Row by row; None if the shard turns out to be damaged."""
        kept, quarantine = (self.folder / part / self.shard.name for part in ("corpus", "quarantine"))
        out = ~self.decided.of("drop")
        edited = self.decided.of(*policy.CHANGING)
        hashes = self.attributes["hash"].to_pylist()
        given, at = Multiset(), 0
        bad: list[Bad] = []
        try:
            first = next(pieces, None)
            if first is None or first.damaged:
                return None
            with written(kept) as a, written(quarantine) as b:
                with writer(self.corpus, self.shard, a) as keep, writer(self.corpus, self.shard, b) as drop:
                    for piece in _chain(first, pieces):
                        if piece.damaged:
                            raise _DamagedError  # noqa: TRY301 - so that both files are removed
                        bad += piece.bad
                        stop = at + len(piece.texts)
                        self._check(piece, hashes[at:stop], stop)
                        given += of_rows(piece.rows, self._known(piece, hashes[at:stop]))
                        new = self._new(piece, at, edited[at:stop])
                        keep(_where(changed(piece.rows, new, self.columns.text[-1], self.shard), out[at:stop]))
                        drop(_where(piece.rows, ~out[at:stop] | edited[at:stop]))
                        at = stop
                proof = self._prove(a, b, given, edited[out])
        except _DamagedError:
            return None
        if at != len(hashes):
            raise ScanError(f"{self.shard.name}: {at} rows now, {len(hashes)} when scanned; scan again")
        counts = self.decided.counts
        files = {str(p.relative_to(self.folder)): sha256_of_file(p) for p in (kept, quarantine)}
        return {**counts, **proof}, files, tuple(bad)

    def _check(self, piece: Piece, scanned: Sequence[bytes], stop: int) -> None:
        if texts_of(piece.texts).hashes() != scanned:
            raise ScanError(f"{self.shard.name}: changed since it was scanned (before row {stop}); scan again")

    def _known(self, piece: Piece, checked: Sequence[bytes]) -> dict[str, Sequence[bytes]]:
        """By column, the hashes of its strings that were just checked: where a document is one column as it is."""
        whole = len(self.columns.text) == 1 and not piece.texts.null_count
        return {self.columns.text[0]: checked} if whole else {}

    def _new(self, piece: Piece, at: int, edited: NDArray[np.bool_]) -> dict[int, str]:
        """The new text of each changed row, by its number in the piece."""
        new: dict[int, str] = {}
        for i in np.flatnonzero(edited).tolist():
            number = int(self.decided.rule[at + i])
            rule, texts = self.ready.policy.rules[number], self.ready.texts[number]
            if rule.action == "rewrite":
                name = self.attributes["id"][at + i].as_py()
                if texts is None or name not in texts:
                    raise ScanError(f"{self.shard.name}: no text for document '{name}' in {rule.texts}; add it")
                new[i] = texts[name]
            elif len(self.columns.text) == 1:
                new[i] = rule.tag + piece.texts[i].as_py()
            else:
                raise ScanError("a tag can be put before documents of one text column only; drop or down-weight these")
        return new

    def _prove(self, kept: Path, quarantine: Path, given: Multiset, edited: NDArray[np.bool_]) -> dict[str, str]:
        """The hashes, if the rows on disk are the input's. Errors: ScanError where they are not."""
        same, at = Multiset(), 0
        for rows in rows_of(kept, self.shard):
            same += of_rows(_where(rows, ~edited[at : at + len(rows)]))
            at += len(rows)
        apart = sum((of_rows(rows) for rows in rows_of(quarantine, self.shard)), Multiset())
        if same + apart != given:
            raise ScanError(
                f"{self.shard.name}: what was written is not what was read ({(same + apart).hex}); report this"
            )
        return {"input": given.hex, "kept unchanged": same.hex, "quarantine": apart.hex}

    def whole(self) -> tuple[dict[str, Any], dict[str, str], tuple[Bad, ...]]:
        """The whole file into the quarantine: it is damaged, and none of it is trusted."""
        target = self.folder / "quarantine" / self.shard.name
        (self.folder / "corpus" / self.shard.name).unlink(missing_ok=True)
        made = hashlib.sha256()
        with written(target) as making, self.corpus.open(self.shard) as source:
            with making.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            source.seek(0)
            while block := source.read(1 << 20):
                made.update(block)
            if sha256_of_file(making) != made.hexdigest():
                raise ScanError(f"{self.shard.name}: the copy in the quarantine differs; check the disk")
        reason = "the shard is damaged: all of it is in the quarantine"
        bad = Bad(None, 0, 0, self.shard.size, made.hexdigest(), reason)
        files = {str(target.relative_to(self.folder)): made.hexdigest()}
        return {"whole shards quarantined": 1, "input": made.hexdigest(), "quarantine": made.hexdigest()}, files, (bad,)


class _DamagedError(Exception):
    """The shard is damaged somewhere after its beginning."""


def _chain(first: Piece, rest: Iterator[Piece]) -> Iterator[Piece]:
    yield first
    yield from rest


def _where(rows: Any, mask: NDArray[np.bool_]) -> Any:
    """The rows where the mask is true; the very same ones where it always is."""
    return rows if mask.all() else rows.filter(truths(mask))


def copy_side_files(corpus: Corpus, folder: Path, fingerprint: str) -> None:
    """The files that make shards a data set, beside the new corpus, without what was counted of the old rows."""
    for name in corpus.side_files():
        with corpus.open(Shard(name, 0, "")) as source:
            data = json.load(source)
        if isinstance(data, dict):
            for key in ("splits", "dataset_size", "download_size", "size_in_bytes", "download_checksums"):
                data.pop(key, None)
            if "_fingerprint" in data:
                data["_fingerprint"] = fingerprint
        with written(folder / "corpus" / name) as making:
            making.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def weights(folder: Path) -> Mapping[str, float]:
    """The weight of each document that is down-weighted, by id, from the decisions."""
    found: dict[str, float] = {}
    for path in sorted((folder / "decisions").glob("*.parquet")):
        table = pq.read_table(path, columns=["id", "weight"], filters=[("weight", "<", 1.0)])
        found.update(zip(table["id"].to_pylist(), table["weight"].to_pylist(), strict=True))
    return found
