"""What is registered before the first training: the decision rule, what it is applied to, and what was there already.

A rule that is chosen after looking can be chosen by its result. So its words, its settings and the arms are written
down as a stage of their own, whose hash is among the evidence of every report; another rule is another registration,
and a registration made late says so itself: it lists the trainings that it found.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from etiology.verify import verdict

RULE_FILE = "rule.json"


def registered(settings: Mapping[str, Any], trained: Sequence[str]) -> dict[str, Any]:
    """The registration as it is stored. ``settings``: of the study, as far as they decide; ``trained``: the trainings
    that were there already.
    """
    return {"rule": verdict.__doc__, "settings": dict(settings), "trained_before": sorted(trained)}
