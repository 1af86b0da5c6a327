"""The smallest set that explains a fall: found where effects add up, honest where nothing falls."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etiology.repair.subset import Search, smallest

NAMES = [f"d{i:02d}" for i in range(24)]


def additive(weights, noise=0.0):
    asked = []

    def fall(documents, seed):
        asked.append((documents, seed))
        drawn = random.Random(f"{seed}/{sorted(documents)}").gauss(0, noise) if noise else 0.0
        return sum(weights.get(name, 0.0) for name in documents) + drawn

    return fall, asked


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(NAMES), min_size=1, max_size=8), st.permutations(NAMES))
def test_equal_causes_are_found_exactly(causes, ranked):
    """With equal effects and all of the fall wanted, the smallest set is the causes, wherever they rank."""
    fall, _ = additive(dict.fromkeys(causes, 1.0))
    found = smallest(ranked, fall, Search(share=1.0, seeds=1, most_seeds=1))
    assert set(found.documents) == causes


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=24, max_size=24).filter(lambda w: sum(w) > 0.1))
def test_what_is_found_is_enough_and_cannot_lose_a_document(weights):
    by_name = dict(zip(NAMES, weights, strict=True))
    fall, _ = additive(by_name)
    found = smallest(NAMES, fall, Search(seeds=1, most_seeds=1))
    total, kept = sum(weights), [by_name[name] for name in found.documents]
    assert sum(kept) >= 0.9 * total - 1e-9
    assert all(sum(kept) - one < 0.9 * total + 1e-9 for one in kept)


def test_a_well_ranked_cause_takes_few_trainings():
    fall, asked = additive(dict.fromkeys(NAMES[:3], 1.0))
    found = smallest(NAMES, fall, Search(share=1.0, seeds=1, most_seeds=1))
    assert found.documents == tuple(NAMES[:3])
    assert len(set(asked)) < len(NAMES) / 2


def test_unsure_sets_get_more_seeds_and_clear_ones_do_not():
    fall, _ = additive({NAMES[0]: 1.0, NAMES[1]: 0.1}, noise=0.02)
    found = smallest(NAMES[:8], fall, Search(share=0.9, seeds=2, most_seeds=6))
    seeds = {t.documents: t.seeds for t in found.tried}
    assert max(seeds.values()) > 2
    assert all(n == 2 for documents, n in seeds.items() if NAMES[0] not in documents)


def test_the_same_question_gives_the_same_answer():
    weights = {name: i % 5 for i, name in enumerate(NAMES)}
    assert len({smallest(NAMES, additive(weights, 0.3)[0], Search()) for _ in range(3)}) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_small_sets_end(count):
    fall, _ = additive({NAMES[0]: 1.0})
    assert smallest(NAMES[:count], fall, Search()).documents == (NAMES[0],)


def test_the_toy_studys_documents_are_divided(ran, tmp_path):
    """Six planted documents with the same effect: few are enough, and random ones of that number do nothing."""
    import shutil

    from etiology import subset
    from etiology.config import load_study

    folder = tmp_path / "copy"
    shutil.copytree(ran[0], folder)
    found = subset.find(load_study(folder), Search(share=0.9, seeds=1, most_seeds=1), 2, lambda *_: None)
    assert found.whole.low > 0
    assert set(found.documents) <= set(found.attributed)
    assert 1 <= len(found.documents) <= len(found.attributed)
    assert found.subset is not None
    assert found.random is not None
    assert found.subset.value > found.random.value
    out = subset.save(found, folder)
    assert (out / "subset.svg").read_text().startswith("<svg")

    made = {p: p.stat().st_mtime_ns for p in (folder / "stages").rglob("manifest.json")}
    assert subset.find(load_study(folder), Search(share=0.9, seeds=1, most_seeds=1), 2, lambda *_: None) == found
    assert {p: p.stat().st_mtime_ns for p in (folder / "stages").rglob("manifest.json")} == made
