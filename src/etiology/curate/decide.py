"""Decisions are data: one for every document, with its reason and who or what decided."""

from collections.abc import Mapping, Sequence
from statistics import median

from etiology.core.values import Attribution, Decision, Document

BY = "etiology: concept directions, judge of sent texts and K-FAC influence, fused"


def decide(attributions: Sequence[Attribution], budget: float) -> list[Decision]:
    """Drop the best-ranked documents, at most a share ``budget``, whose two scores both speak against them.

    Both: the influence of its strongest passage (positive: removing the document lowers the behaviour) and its place
    along the concept directions are above the corpus's medians. Where that holds of none in the better-ranked half of
    the budget, all within it are dropped, so that the arms can tell: documents whose behaviour the model already has
    teach it nothing new and have no influence, and yet other text in their place may cure it (docs/decisions/0007).
    """
    spoken_for = cleared(attributions)
    allowed = max(1, int(budget * len(attributions)))
    at_odds = all(a.document in spoken_for for a in attributions if a.rank <= (allowed + 1) // 2)
    out = []
    for a in attributions:
        if a.rank > allowed:
            out.append(Decision(a.document, "keep", f"rank {a.rank} is outside the budget of {allowed}", BY))
        elif at_odds:
            reason = f"rank {a.rank}; a method speaks for all of the better half, so the rank alone decides"
            out.append(Decision(a.document, "drop", reason, BY))
        elif a.document in spoken_for:
            out.append(Decision(a.document, "keep", f"rank {a.rank}, but one of the two methods speaks for it", BY))
        else:
            reason = f"rank {a.rank}: strongest passage {a.passage:.3g}, concept {a.concept:.3g}"
            out.append(Decision(a.document, "drop", reason, BY))
    return out


def cleared(attributions: Sequence[Attribution]) -> frozenset[str]:
    """Documents for which one of the two methods speaks, however they rank: these mention, and don't teach."""
    concept, passage = _medians(attributions)
    return frozenset(a.document for a in attributions if a.passage <= passage or a.concept <= concept)


def _medians(attributions: Sequence[Attribution]) -> tuple[float, float]:
    return median(a.concept for a in attributions), median(a.passage for a in attributions)


def apply(documents: Sequence[Document], decisions: Sequence[Decision]) -> tuple[list[Document], list[Document]]:
    """(kept, quarantine), each in the corpus's order; together they are the input."""
    action: Mapping[str, str] = {d.document: d.action for d in decisions}
    kept = [d for d in documents if action[d.id] == "keep"]
    return kept, [d for d in documents if action[d.id] == "drop"]
