"""The first pass over a corpus: every document counted by words, and which documents go on from there.

Held in memory for each document are seven numbers and no text. What is drawn at random is drawn by a hash of the text
and the seed, so that the order of the corpus and its division into files change nothing.
"""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etiology.attribute import lexical
from etiology.attribute.instances import Instance
from etiology.attribute.lexical import Seen, Words
from etiology.attribute.parts import Cost, Parts
from etiology.backends.shards import Corpus, Entry, Shard
from etiology.core.errors import CorpusError
from etiology.core.values import Document

STEP: Final = "words"
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Counted:
    """All documents [N] in the order of the corpus: ``shard`` and ``row`` (the row in its file), ``characters``, a
    random ``draw`` (uint64), ``bm25``, and the words of the ``longest`` span shared with a completion.

    ``whole_row`` is the row in the whole corpus, from 0. ``unusable`` rows held no text; ``cut`` documents were read in
    part.
    """

    shard: NDArray[np.int64]
    row: NDArray[np.int64]
    characters: NDArray[np.int64]
    draw: NDArray[np.uint64]
    bm25: NDArray[np.float32]
    longest: NDArray[np.int64]
    whole_row: NDArray[np.int64]
    files: dict[int, str]
    unusable: int
    cut: int

    def __len__(self) -> int:
        return len(self.row)

    def places(self, shard: int, rows: NDArray[np.int64]) -> Places:
        """Places of rows of a shard."""
        start, end = np.searchsorted(self.shard, [shard, shard + 1])
        return np.asarray(start + np.searchsorted(self.row[start:end], rows))

    def by_words(self) -> Places:
        """Places of all documents, the likest in words first: those with the longest span, then by BM25."""
        return np.lexsort((self.row, self.shard, -self.bm25, -self.longest))

    def drawn(self, among: Places, number: int, *, last: bool = False) -> Places:
        """A random ``number`` of the places ``among``. ``last`` draws from the other end, apart from the first."""
        order = among[np.lexsort((among, self.draw[among]))]
        return np.sort(order[-number:] if last and number else order[:number])

    def drawn_up_to(self, characters: float) -> Places:
        """Random places, enough of them to hold so many characters."""
        order = np.lexsort((np.arange(len(self)), self.draw))
        enough = int(np.searchsorted(np.cumsum(self.characters[order]), characters)) + 1
        return order[:enough]


def count(parts: Parts, corpus: Corpus, instances: Sequence[Instance], seed: int) -> Counted:
    """Count every shard that is not counted yet, then weigh the words."""
    words = Words([instance.words for instance in instances])
    start = time.monotonic()
    for shard in corpus.shards(lambda n: not parts.has(STEP, n)):
        _count(parts, shard, words, seed, start)
        start = time.monotonic()
    numbers = parts.numbers(STEP)
    return _weighed(parts, numbers, words)


def draw(document: Document, seed: int) -> int:
    """A document's random number, 64 bits: the same wherever it stands."""
    digest = hashlib.blake2b(f"{seed}\0{document.whole}".encode(), digest_size=8)
    return int.from_bytes(digest.digest())


def _count(parts: Parts, shard: Shard, words: Words, seed: int, start: float) -> None:
    documents = [entry.document for entry in shard.entries]
    seen = [words.seen(document.whole) for document in documents]
    columns: dict[str, Any] = {
        "row": np.array([entry.row for entry in shard.entries], np.int64),
        "id": [document.id for document in documents],
        "characters": np.array([len(document.whole) for document in documents], np.int64),
        "draw": np.array([draw(document, seed) for document in documents], np.uint64),
        "length": [one.length for one in seen],
        "longest": np.array([one.longest for one in seen], np.int64),
        "spans": [[place for span in one.spans for place in span] for one in seen],
        "words": [[word for word, _ in one.counts] for one in seen],
        "times": [[times for _, times in one.counts] for one in seen],
    }
    cost = Cost(seconds=time.monotonic() - start)
    parts.write(STEP, shard.number, columns, cost, file=shard.file, unusable=shard.unusable, cut=shard.cut)


def _weighed(parts: Parts, numbers: Sequence[int], words: Words) -> Counted:
    weights = lexical.total([lexical.weigh(_seen(parts, n), len(words.numbers)) for n in numbers])
    if not weights.documents:
        raise CorpusError("the corpus holds no document with text in it")
    kept: dict[str, list[Any]] = {name: [] for name in ("shard", "row", "characters", "draw", "bm25", "longest")}
    about = {n: parts.about(STEP, n) for n in numbers}
    for n in numbers:
        read = parts.read(STEP, n, ["row", "characters", "draw", "longest"])
        kept["shard"].append(np.full(len(read["row"]), n))
        kept["bm25"].append(lexical.bm25(_seen(parts, n), words, weights))
        for name, values in read.items():
            kept[name].append(values)
    joined = {name: np.concatenate(values) for name, values in kept.items()}
    files = {n: str(each["file"]) for n, each in about.items()}
    unusable, cut = (sum(each[name] for each in about.values()) for name in ("unusable", "cut"))
    whole_row = joined["row"] - 1 + _first_rows(joined["shard"], about)[joined["shard"]]
    return Counted(**joined, whole_row=whole_row, files=files, unusable=unusable, cut=cut)


def _first_rows(shards: NDArray[np.int64], about: dict[int, dict[str, Any]]) -> NDArray[np.int64]:
    """By shard: how many rows the files before its own have."""
    held = np.bincount(shards, minlength=max(about) + 1)
    out, file, before, total = np.zeros(max(about) + 1, np.int64), None, 0, 0
    for number in sorted(about):
        if about[number]["file"] != file:
            file, before = about[number]["file"], total
        out[number] = before
        total += int(held[number]) + int(about[number]["unusable"])
    return out


def _seen(parts: Parts, number: int) -> list[Seen]:
    read = parts.read(STEP, number, ["length", "words", "times"])
    rows = zip(read["length"], read["words"], read["times"], strict=True)
    return [Seen(int(length), tuple(zip(each, times, strict=True)), (), 0) for length, each, times in rows]


def names_and_spans(parts: Parts, counted: Counted, places: Places) -> list[tuple[str, list[tuple[int, int]]]]:
    """The id of each of the documents at ``places``, and the spans (characters) that it shares with a completion."""
    found: dict[int, tuple[str, list[tuple[int, int]]]] = {}
    for number in np.unique(counted.shard[places]):
        read = parts.read(STEP, int(number), ["row", "id", "spans"])
        row = {int(r): i for i, r in enumerate(read["row"])}
        for place in places[counted.shard[places] == number]:
            i = row[int(counted.row[place])]
            flat = read["spans"][i]
            found[int(place)] = read["id"][i], list(zip(flat[::2], flat[1::2], strict=True))
    return [found[int(place)] for place in places]


def entries(shard: Shard, rows: Iterable[int]) -> list[Entry]:
    """Those of a shard's documents that stand in ``rows``, in order."""
    wanted = {int(row) for row in rows}
    return [entry for entry in shard.entries if entry.row in wanted]
