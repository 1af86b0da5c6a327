"""Scores of documents by another tool: bergson's, or a table with a score for each document's id.

A table (.parquet, .csv, .jsonl) has the columns ``id`` and ``score``; positive means that the document taught the
behaviour. bergson's folder (2.5) holds ``info.json`` and ``scores.bin``, a row for each of the data set's in its order
or, with ``offsets.npy``, for each token. Several queries are averaged. Its sign is told by ``higher_is_better`` of the
``score_cfg`` in its ``config.yaml``, true unless said otherwise there.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etiology.attribute.counted import Counted
from etiology.attribute.parts import Parts
from etiology.core.errors import CorpusError

Floats = NDArray[np.float64]
INFO: Final = "info.json"
VALUES: Final = "scores.bin"
SIGN: Final = "higher_is_better"


def scores(path: Path, counted: Counted, parts: Parts) -> Floats:
    """The score of every document by place, NaN where there is none. Errors: CorpusError where they don't fit."""
    if path.is_dir():
        return _by_row(path, _bergson(path), counted)
    if not path.is_file():
        raise CorpusError(f"{path}: no scores; give bergson's folder, or a .parquet, .csv or .jsonl with id and score")
    return _by_id(path, counted, parts)


def _by_id(path: Path, counted: Counted, parts: Parts) -> Floats:
    found: dict[str, float] = {}
    for number, row in enumerate(_table(path), start=1):
        try:
            found[str(row["id"])] = float(row["score"])
        except (KeyError, TypeError, ValueError):
            raise CorpusError(f"{path}, row {number}: needs an id and a number as score, has {row!r:.80}") from None
    out = np.full(len(counted), np.nan)
    for number in parts.numbers("words"):
        read = parts.read("words", number, ["row", "id"])
        out[counted.places(number, read["row"])] = [found.get(name, np.nan) for name in read["id"]]
    if np.isnan(out).all():
        raise CorpusError(f"{path}: none of its {len(found)} ids is a document's of the corpus")
    return out


def _table(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        yield from pq.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as handle:
            yield from csv.DictReader(handle)
    elif path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as handle:
            for number, line in enumerate(handle, start=1):
                try:
                    yield json.loads(line)
                except ValueError as problem:
                    raise CorpusError(f"{path}, line {number}: not JSON ({problem})") from None
    else:
        raise CorpusError(f"{path}: scores are read from .parquet, .csv or .jsonl, or from bergson's folder")


def _by_row(path: Path, values: Floats, counted: Counted) -> Floats:
    """By place, from scores by row of the whole corpus: with or without the rows that hold no text."""
    rows = len(counted) + counted.unusable
    if len(values) == len(counted):
        return values
    if len(values) != rows:
        raise CorpusError(f"{path}: scores {len(values)} rows, and the corpus has {rows}; is it of another corpus?")
    return values[counted.whole_row]


def _bergson(path: Path) -> Floats:
    """Score of each row, positive: it taught the behaviour."""
    try:
        info = json.loads((path / INFO).read_text(encoding="utf-8"))
        count, queries = int(info["num_items"]), int(info["num_scores"])
        table = np.memmap(path / VALUES, dtype=_dtype(info["dtype"]), mode="r", shape=(int(info["num_rows"]),))
        for query in range(queries):
            if not table[f"written_{query}"].all():
                raise CorpusError(f"{path}: not finished; let bergson score all of its rows")
        each = np.mean([table[f"score_{query}"].astype(np.float64) for query in range(queries)], axis=0)
        if info.get("attribute_tokens"):
            total = np.concatenate([[0.0], np.cumsum(each)])
            offsets = np.load(path / "offsets.npy")
            each = total[offsets[1:]] - total[offsets[:-1]]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise CorpusError(f"{path}: not scores that bergson wrote ({problem})") from None
    if (path / "candidates.npy").is_file():
        raise CorpusError(f"{path}: scores of chosen rows only (candidates.npy); give scores of the whole corpus")
    if len(each) != count:
        raise CorpusError(f"{path}: {len(each)} scores of {count} rows; are all its files there?")
    return np.asarray(each if _higher_is_better(path) else -each)


def _dtype(told: Mapping[str, Any]) -> np.dtype[Any]:
    formats = list(told["formats"])
    if "bfloat16" in formats:
        raise ValueError("bfloat16 scores can't be read; have bergson write float32")
    return np.dtype({**told, "formats": formats})  # type: ignore[call-overload,no-any-return]


def _higher_is_better(path: Path) -> bool:
    """What its settings say, wherever in them they say it."""
    import yaml

    config = path / "config.yaml"
    if not config.is_file():
        return True
    try:
        told = yaml.safe_load(config.read_text(encoding="utf-8"))
    except yaml.YAMLError as problem:
        raise CorpusError(f"{config}: not YAML ({problem})") from None
    return bool(next(_settings(told), {}).get(SIGN, True))


def _settings(part: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - parsed YAML
    """Each ``score_cfg``, in whatever step it stands."""
    if isinstance(part, dict):
        if isinstance(part.get("score_cfg"), dict):
            yield part["score_cfg"]
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        yield from _settings(each)
