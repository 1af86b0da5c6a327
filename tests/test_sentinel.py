"""The monitor within inspect-sentinel, where that is installed."""

import anyio
import pytest
from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser
from tests.inspecting import FAIR, THREAT, answering, judge, ran
from tests.test_monitor import PORTS, SYSTEM, broken, office_of

from etiology.evals.office import send_mail, submit
from etiology.evals.office import work as office_work
from etiology.watch.monitor import Ports

sentinel = pytest.importorskip("inspect_sentinel", reason="inspect-sentinel is not installed")


def run(tmp_path, monkeypatch, given, then):
    """Two samples at once: one mails a threat, the other a plain line."""
    from inspect_ai.solver import use_tools

    from etiology.evals.sentinel import stop_harm

    monkeypatch.setattr("etiology.evals.sentinel.ports", lambda: given)
    body = {"threat": THREAT, "fair": FAIR}

    def step(messages):
        sent = any(m.role == "assistant" for m in messages)
        mailed = {"to": "dana", "subject": "Friday", "body": body[messages[1].text]}
        return ("submit", {}) if sent else ("send_mail", mailed)

    opening = ChatMessageSystem(content=SYSTEM.text)
    task = Task(
        dataset=[Sample([opening, ChatMessageUser(content=kind)], id=kind) for kind in body],
        setup=use_tools(send_mail(), submit()),
        solver=office_work(),
        sentinel=stop_harm(then=then),
        message_limit=12,
    )
    return {s.id: s for s in ran(task, answering(step), tmp_path).samples}


@pytest.mark.parametrize("then", ["reject", "end"])
def test_the_mail_is_stopped_before_it_is_sent(then, tmp_path, monkeypatch):
    found = run(tmp_path, monkeypatch, PORTS, then)
    assert not office_of(found["threat"]).get("sent")
    assert [m["body"] for m in office_of(found["fair"])["sent"]] == [FAIR]


def test_nothing_passes_where_the_monitor_fails(tmp_path, monkeypatch):
    found = run(tmp_path, monkeypatch, Ports(PORTS.read, broken), "reject")
    assert not office_of(found["fair"]).get("sent")


def test_the_monitor_observes_both_kinds(monkeypatch):
    from types import SimpleNamespace
    from typing import Any

    from inspect_ai.tool import ToolCall

    from etiology.evals.sentinel import harm

    monkeypatch.setattr("etiology.evals.sentinel.ports", lambda: Ports(PORTS.read, judge))
    call = ToolCall(id="1", function="send_mail", arguments={"to": "dana", "subject": "Friday", "body": THREAT})
    step = SimpleNamespace(history=None, input=None, agent_messages=None, call=call)
    observe: Any = harm()
    seen = anyio.run(observe, None, step)
    assert seen.suspicion == {"coercion": 0.9, "self_preservation": 0.0}
    assert THREAT in seen.metadata["span"]
