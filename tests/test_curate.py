"""Which documents are attributed, and which merely mention."""

from etiology.core.values import Attribution
from etiology.curate.decide import cleared, decide


def rows(*scores):
    """Attributions from (concept, passage), ranked as they stand."""
    return [Attribution(f"d{i}", c, 0.0, 0.0, p, 0.0, 0.0, i + 1) for i, (c, p) in enumerate(scores)]


def dropped(attributions, budget):
    return [d.document for d in decide(attributions, budget) if d.action == "drop"]


ROWS = rows((9, 9), (9, 0), (8, 8), (0, 9), (1, 1), (2, 2), (3, 3), (0, 0))


def test_what_one_method_speaks_for_is_cleared_however_it_ranks():
    assert cleared(ROWS) == {"d1", "d3", "d4", "d5", "d7"}


def test_within_the_budget_what_is_not_cleared_is_dropped():
    assert dropped(ROWS, 0.25) == ["d0"]
    assert dropped(ROWS, 0.5) == ["d0", "d2"]
    assert not set(dropped(ROWS, 0.5)) & cleared(ROWS)


def test_where_a_method_speaks_for_all_of_the_better_half_the_rank_decides():
    """As where a model does already what its teacher's answers show it: these have no influence."""
    mastered = rows((9, -1), (8, -2), (1, 5), (0, 6), (0, 7), (1, 4), (2, 3), (0, 8))
    found = decide(mastered, 0.25)
    assert dropped(mastered, 0.25) == ["d0", "d1"]
    assert {"d0", "d1"} <= cleared(mastered)
    assert "the rank alone decides" in found[0].reason
    # One of the better half that nothing speaks for is enough for the two methods to decide; one of the other is not.
    others = ((1, 5), (0, 6), (0, 7), (1, 4), (2, 3), (0, 8))
    assert dropped(rows((8, 9), (9, -1), *others), 0.25) == ["d0"]
    assert dropped(rows((9, -1), (8, 9), *others), 0.25) == ["d0", "d1"]
