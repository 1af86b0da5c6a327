"""Spans and BM25 in one pass, held to bm25s and to looking for every substring."""

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etiology.attribute import lexical
from etiology.attribute.lexical import SPAN, Words

TEXTS = [
    "the committee met on Tuesday and the vote was close",
    "a vote, another vote and a third vote of the committee",
    "rain fell over the lamp posts all Tuesday long",
    "nothing here",
    "the",
]
QUERIES = ["the committee vote vote", "rain on Tuesday", "words that none of them holds"]


def scores(texts, queries):
    words = Words(queries)
    seen = [words.seen(text) for text in texts]
    return lexical.bm25(seen, words, lexical.weigh(seen, len(words.numbers)))


def test_bm25_is_that_of_bm25s():
    reference = bm25s.BM25()
    reference.index(bm25s.tokenize(TEXTS, stopwords="en", show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(QUERIES, stopwords="en", return_ids=False, show_progress=False)
    expected = np.mean([reference.get_scores(each) for each in tokens], axis=0)
    # another variant of idf or another length would change these by a tenth and more
    assert scores(TEXTS, QUERIES) == pytest.approx(expected, rel=1e-5)


def test_counting_in_parts_changes_nothing():
    words = Words(QUERIES)
    seen = [words.seen(text) for text in TEXTS]
    parts = [lexical.weigh(seen[:2], len(words.numbers)), lexical.weigh(seen[2:], len(words.numbers))]
    assert lexical.bm25(seen, words, lexical.total(parts)) == pytest.approx(scores(TEXTS, QUERIES))


SENTENCE = "stop this at once or the whole board will read of the loan on Monday"


def test_a_shared_span_is_found_whole_and_where_it_stands():
    text = f'He wrote: "{SENTENCE.capitalize()}!" and left. ' + SENTENCE
    seen = Words([SENTENCE]).seen(text)
    assert [text[a:b].lower() for a, b in seen.spans] == [SENTENCE.lower()] * 2
    assert seen.longest == len(SENTENCE.split())


def test_one_word_less_than_a_span_is_none():
    words = SENTENCE.split()
    assert Words([SENTENCE]).seen(" ".join(words[: SPAN - 1])).spans == ()
    assert Words([SENTENCE]).seen(" ".join(words[:SPAN])).longest == SPAN
    assert Words(["too short"]).seen(SENTENCE).spans == ()


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
def test_the_longest_span_is_that_of_a_slow_search(query, text):
    """Runs may be grown across two places of the query; every run of SPAN words in a span must stand in the query."""
    seen = Words([" ".join(query)]).seen(" ".join(text))
    joined = "".join(query)
    runs = ["".join(text)[i : i + SPAN] in joined for i in range(len(text) - SPAN + 1)]
    assert bool(seen.spans) == any(runs)
    covered = {i // 2 for a, b in seen.spans for i in range(a, b)}
    expected = {i + j for i, hit in enumerate(runs) if hit for j in range(SPAN)}
    assert covered == expected
