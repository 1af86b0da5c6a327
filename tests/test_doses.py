"""The arms between none and all of the attributed documents."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from etiology.repair import arms as recipes

CORPUS = [f"d{i}" for i in range(20)]


@given(st.sets(st.sampled_from(CORPUS)), st.integers(2, 6), st.integers(0, 3))
def test_a_larger_dose_holds_the_smaller_one(dropped, steps, seed):
    held = [set(recipes.dosed(CORPUS, sorted(dropped), step, steps, seed)) - {None} for step in range(steps + 1)]
    assert held[0] == set(CORPUS) - dropped
    assert held[-1] == set(CORPUS)
    assert all(smaller <= larger for smaller, larger in pairwise(held))
    for step, names in enumerate(held):
        assert len(names & dropped) == round(step / steps * len(dropped))


@given(st.sets(st.sampled_from(CORPUS), min_size=1))
def test_a_dose_leaves_all_other_slots_as_they_are(dropped):
    slots = recipes.dosed(CORPUS, sorted(dropped), 1, 3, 0)
    assert all(slot in {name, None} for slot, name in zip(slots, CORPUS, strict=True))
    assert {name for slot, name in zip(slots, CORPUS, strict=True) if slot is None} <= dropped


def test_doses_are_read_from_the_arms_names_and_ordered_by_share():
    arms = ("suspect", recipes.dose(2, 3), "re-roll", recipes.dose(1, 3), "drop-attributed")
    shares = recipes.doses(arms)
    assert [arm for _, arm in shares] == ["drop-attributed", "dose-1of3", "dose-2of3", "suspect"]
    assert [round(share, 2) for share, _ in shares] == [0.0, 0.33, 0.67, 1.0]
    assert recipes.doses(("suspect", "drop-attributed")) == []


def test_an_order_by_name_would_put_ten_before_two():
    assert [arm for _, arm in recipes.doses([recipes.dose(10, 11), recipes.dose(2, 11)])][1:3] == [
        "dose-2of11",
        "dose-10of11",
    ]


@given(st.permutations(CORPUS), st.sets(st.sampled_from(CORPUS)))
def test_a_clean_run_holds_the_lower_half_and_what_is_added(ranked, added):
    slots = recipes.clean(CORPUS, ranked, sorted(added))
    assert {name for name in slots if name} == {*ranked[10:], *added}
    assert all(slot in {name, None} for slot, name in zip(slots, CORPUS, strict=True))


def test_a_replacement_fills_its_own_slot_and_no_empty_one():
    assert recipes.replaced(["a", None, "b"], {"b": "b/mention", "c": "c/mention"}) == ["a", None, "b/mention"]
