"""The concept direction's negative controls: they pass what is there, and stay silent where nothing is."""

import dataclasses

import numpy as np
import pytest
from tests.test_attribution import KINDS, QUERIES, ROWS, SMALL, write

from etiology.attribute import Instance, attribute, concept, controls

CHANCE = np.random.default_rng(0)
CORPUS = CHANCE.normal(size=(400, 24)).astype(np.float32)


def answers(signal, count=12):
    """Completions that differ from their controls by ``signal`` along one axis, and by noise."""
    axis = np.eye(24)[0]
    return [
        [(axis * signal + CHANCE.normal(size=24)).astype(np.float32), CHANCE.normal(size=24).astype(np.float32)]
        for _ in range(count)
    ]


def parts_of(states):
    return concept.whitened(concept.differences(states, CORPUS.mean(axis=0)), CORPUS)


def test_permuted_directions_lose_what_the_labels_held():
    states = answers(6.0)
    own = parts_of(states).mean(axis=0)
    found = controls.permuted(states, CORPUS, 0)
    assert found.shape == (controls.NULLS, 24)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert own[0] / np.linalg.norm(own) > 0.9
    # what both answers have against the corpus is left, and so half of what one of them has
    assert 0.4 < found[:, 0].mean() < 0.8 < own[0] / np.linalg.norm(own)
    assert np.array_equal(found, controls.permuted(states, CORPUS, 0))
    assert controls.permuted(states[:5], CORPUS, 0).shape == (0, 24)


def test_instances_agree_where_they_share_something_and_by_half_where_they_do_not():
    strong = answers(6.0, 40)
    assert controls.agreeing(strong, parts_of(strong)) == (40, 40)
    nothing = answers(0.0, 400)
    matched, agree = controls.agreeing(nothing, parts_of(nothing))
    assert matched == 400
    # an own part that were not left out would put nearly all of them above
    assert 0.38 < agree / matched < 0.62


def test_the_bar_is_the_highest_of_the_permuted():
    own, null, unrelated = np.array([5.0, 4.0, 1.0, 0.0]), np.array([2.0, 4.5, 0.0, 0.0]), np.array([9.0, 0, 0, 8.0])
    found = controls.concluded((10, 9), (own, null, unrelated), np.array([0, 1]))
    assert found is not None
    assert (found.bar, found.above, found.top, found.unrelated, found.expected) == (4.5, 1, 2, 1, 1.0)
    assert found.low < 0.9 < found.high
    assert controls.concluded((3, 3), (own, np.full(4, np.nan), unrelated), np.array([0])) is None


def test_a_run_says_what_its_controls_found(model_folder, tmp_path):
    corpus = write(tmp_path / "c.jsonl", ROWS)
    found = attribute(model_folder, QUERIES, corpus, tmp_path / "out", dataclasses.replace(SMALL, top=6))
    seen = found.negative
    assert seen is not None
    assert (seen.matched, seen.agree, seen.top) == (len(QUERIES), len(QUERIES), 6)
    assert seen.expected == pytest.approx(36 / len(ROWS))
    assert "weather against furniture" in (tmp_path / "out" / "index.html").read_text()
    assert [KINDS[row.id] for row in found.rows[:6]].count("planted") >= 3
    # what was found does not change when the run is taken up again
    again = attribute(model_folder, QUERIES, corpus, tmp_path / "out", dataclasses.replace(SMALL, top=6))
    assert again.negative == seen


def test_queries_whose_completion_and_control_are_alike_agree_on_nothing(model_folder, tmp_path):
    """Both are drawn from the same sentences: no direction is in them."""
    alike = [
        Instance(q.prompt, q.completion, q.control, f"{i}")
        if i % 2
        else Instance(q.prompt, q.control or "", q.completion, f"{i}")
        for i, q in enumerate([*QUERIES, *QUERIES[1:], QUERIES[0]])
    ]
    corpus = write(tmp_path / "c.jsonl", ROWS)
    seen = attribute(model_folder, alike, corpus, tmp_path / "out", SMALL).negative
    assert seen is not None
    assert seen.low < 0.5
    assert seen.above == 0


def test_few_queries_have_no_controls(model_folder, tmp_path):
    corpus = write(tmp_path / "c.jsonl", ROWS)
    assert attribute(model_folder, QUERIES[:3], corpus, tmp_path / "out", SMALL).negative is None
