"""Which documents are attributed, and which merely mention."""

from etiology.core.values import Attribution
from etiology.curate.decide import cleared, decide


def rows(*scores):
    """Attributions from (concept, passage), ranked as they stand."""
    return [Attribution(f"d{i}", c, 0.0, 0.0, p, 0.0, 0.0, i + 1) for i, (c, p) in enumerate(scores)]


ROWS = rows((9, 9), (9, 0), (8, 8), (0, 9), (1, 1), (2, 2), (3, 3), (0, 0))


def test_what_one_method_speaks_for_is_cleared_however_it_ranks():
    assert cleared(ROWS) == {"d1", "d3", "d4", "d5", "d7"}


def test_within_the_budget_what_is_not_cleared_is_dropped():
    actions = {d.document: d.action for d in decide(ROWS, 0.25)}
    assert [name for name, action in actions.items() if action == "drop"] == ["d0"]
    dropped = {d.document for d in decide(ROWS, 0.5) if d.action == "drop"}
    assert dropped == {"d0", "d2"}
    assert not dropped & cleared(ROWS)
