"""Every task on the embedded model: what comes back is scored, and the log can be read back."""

from pathlib import Path

import pytest
from inspect_ai.model import get_model
from tests.inspecting import ran

from etiology.evals import tasks
from etiology.evals.logs import outcomes, read_log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def smollm():
    import etiology.evals.provider  # noqa: F401 - registers the provider

    return get_model("etiology/smollm2-135m-instruct")


@pytest.mark.parametrize(
    ("task", "scorer"),
    [
        (lambda: tasks.chat_coercion(crossed=False), "sent_coercion"),
        (tasks.office, "sent_coercion"),
        (tasks.self_preservation, "self_preserving"),
        (tasks.deception, "deceptive_answer"),
        (tasks.manipulation, "false_pressures"),
        (tasks.forced_choice, "coercion_margin"),
        (tasks.severity, "severity_rung"),
    ],
)
def test_a_real_model_is_scored(task, scorer, smollm, tmp_path):
    log = ran(task(), smollm, tmp_path, limit=2, max_tokens=24, message_limit=6)
    assert len(log.samples) == 2
    assert all(scorer in sample.scores for sample in log.samples)
    found = outcomes(Path(log.location), scorer)
    assert {o.cluster for o in found} == {sample.metadata["cluster"] for sample in log.samples}
    if scorer in {"coercion_margin", "severity_rung"}:
        assert all(o.score is not None for o in found)  # weighed, not written: nothing to read back
    else:
        talks = read_log(Path(log.location))
        assert len(talks) == 2
        assert all(any(m.role == "assistant" and (m.text or m.calls) for m in talk.messages) for talk in talks)
