"""Words alone: exact spans that a document shares with a query, and BM25, both in one pass over a corpus of any size.

    BM25(d) = mean over queries of sum over its words w of  idf(w) tf(w, d) / (tf(w, d) + k1 (1 - b + b |d| / avg |d|))
    idf(w)  = log(1 + (N - df(w) + 1/2) / (df(w) + 1/2))

The pass keeps for each document its length and how often it holds each of the queries' words (`Seen`); what the words
weigh follows when the whole corpus has been counted. bm25s, which needs the corpus in memory, is the reference in the
tests. A span is at least SPAN words that stand in a query in the same order; it is found by looking up each run of SPAN
words of the document in the hash table of the queries' runs, and grown while the next run is there too.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

K1: Final = 1.5
B: Final = 0.75
"""The defaults of bm25s."""
SPAN: Final = 8
"""Words of the shortest span. Shorter ones are shared by any two texts of a manner."""
WORD: Final = re.compile(r"\b\w\w+\b")
ANY_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True)
class Seen:
    """What a pass keeps of a document: ``length`` in counted words, ``counts`` of the vocabulary's words by their
    number, and ``spans`` as (start, end) in characters; ``longest`` is the longest span's number of words.
    """

    length: int
    counts: tuple[tuple[int, int], ...]
    spans: tuple[tuple[int, int], ...]
    longest: int


class Words:
    """The queries' words and runs of words, to count documents by."""

    def __init__(self, queries: Sequence[str]) -> None:
        self.queries = [_words(query) for query in queries]
        vocabulary = sorted({word for words in self.queries for word in words})
        self.numbers = {word: i for i, word in enumerate(vocabulary)}
        self.runs = {run for query in queries for run in _runs([m[0].lower() for m in ANY_WORD.finditer(query)])}
        self.firsts = {run[0] for run in self.runs}

    def seen(self, text: str) -> Seen:
        """One document, counted."""
        words = _words(text)
        counts = Counter(self.numbers[word] for word in words if word in self.numbers)
        spans, longest = self._spans(text) if self.runs else ((), 0)
        return Seen(len(words), tuple(sorted(counts.items())), spans, longest)

    def _spans(self, text: str) -> tuple[tuple[tuple[int, int], ...], int]:
        found = list(ANY_WORD.finditer(text))
        words = [m[0].lower() for m in found]
        hits = [
            words[i] in self.firsts and tuple(words[i : i + SPAN]) in self.runs for i in range(len(words) - SPAN + 1)
        ]
        spans, longest, place = [], 0, 0
        while place < len(hits):
            if not hits[place]:
                place += 1
                continue
            end = place
            while end + 1 < len(hits) and hits[end + 1]:
                end += 1
            spans.append((found[place].start(), found[end + SPAN - 1].end()))
            longest = max(longest, end - place + SPAN)
            place = end + 1
        return tuple(spans), longest


def _words(text: str) -> list[str]:
    dull = _dull()
    return [word for word in WORD.findall(text.lower()) if word not in dull]


@cache
def _dull() -> frozenset[str]:
    """Words that are not counted: the stop words of bm25s."""
    from bm25s.stopwords import STOPWORDS_EN

    return frozenset(STOPWORDS_EN)


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + SPAN]) for i in range(len(words) - SPAN + 1)]


@dataclass(frozen=True)
class Weights:
    """What the corpus says of the words: ``documents`` in it, their mean length, documents that hold each word [V]."""

    documents: int
    average: float
    holding: NDArray[np.int64]

    @property
    def idf(self) -> NDArray[np.float64]:
        """Inverse document frequency of each word [V]."""
        return np.asarray(np.log1p((self.documents - self.holding + 0.5) / (self.holding + 0.5)))


def weigh(seen: Iterable[Seen], vocabulary: int) -> Weights:
    """The weights of a corpus, or of a part of it: `total` adds parts up."""
    holding, documents, words = np.zeros(vocabulary, np.int64), 0, 0
    for one in seen:
        documents, words = documents + 1, words + one.length
        holding[[number for number, _ in one.counts]] += 1
    return Weights(documents, words / max(1, documents), holding)


def total(parts: Sequence[Weights]) -> Weights:
    """The weights of all parts together."""
    documents = sum(part.documents for part in parts)
    words = sum(part.average * part.documents for part in parts)
    return Weights(documents, words / max(1, documents), np.sum([part.holding for part in parts], axis=0))


def bm25(seen: Sequence[Seen], words: Words, weights: Weights) -> NDArray[np.float32]:
    """The score of each document [documents], averaged over the queries: a word in several counts once in each."""
    wanted = np.zeros(len(words.numbers))
    for query in words.queries:
        for word, times in Counter(query).items():
            wanted[words.numbers[word]] += times / len(words.queries)
    value = wanted * weights.idf
    out = np.zeros(len(seen), np.float32)
    for place, one in enumerate(seen):
        room = K1 * (1 - B + B * one.length / weights.average) if weights.average else K1
        out[place] = sum(value[number] * times / (times + room) for number, times in one.counts)
    return out
