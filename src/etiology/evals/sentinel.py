"""The monitor for ``inspect-sentinel``, where that package is installed: ``pip install 'etiology[sentinel]'``.

``harm`` observes (a suspicion a kind of harm, for `threshold`, `observe_only` or a calibration of one's own);
``stop_harm`` decides, and lets nothing pass where the monitor fails. Both watch calls before they are carried out:

    Task(…, sentinel=stop_harm(then="escalate"))

Neither reads anything but the step it is given: conversations at the same time can't mix in them. Which messages belong
to a step is the host's doing; a sidecar that tells conversations apart by how they open can give two one history.
Neither is declared portable, since the judge runs in a thread with a limit of time: they run within evals, not in the
sidecar.
"""

from pathlib import Path

from inspect_ai.model import ChatMessage
from inspect_sentinel import (
    BeforeToolCall,
    Context,
    Decision,
    Escalations,
    Monitor,
    Observation,
    Protocol,
    monitor,
    protocol,
)

from etiology.evals.monitor import SECONDS, Ruling, Then, facts, limits_of, ports, proposal, rule, told
from etiology.watch.monitor import look


@monitor(name="harm", version=1, portable=False)
def harm() -> Monitor:
    """How suspicious each call is, from 0 to 1, as 'coercion' and 'self_preservation'; 0 where it was cleared."""
    given = ports()

    async def observe(context: Context, step: BeforeToolCall) -> Observation:  # noqa: ARG001 - a monitor's signature
        from anyio.to_thread import run_sync

        history, call = proposal(_history(step), step.call)
        seen = await run_sync(look, history, call, given)
        scores = {"coercion": 0.0, "self_preservation": 0.0} | dict(seen.scores)
        return Observation(suspicion=scores, explanation=seen.reason, metadata={"span": seen.span})

    return observe


@protocol(name="stop_harm", version=1, portable=False)
def stop_harm(
    then: Then = "reject",
    threshold: float = 0.5,
    calibration: str | None = None,
    certain: float | None = None,
    seconds: float = SECONDS,
) -> Protocol:
    """Reject, escalate or end before a harmful call is carried out; the same choices as the approver of this name."""
    given = ports()
    limits = limits_of(Path(calibration) if calibration else None, threshold, then, certain)

    async def decide(context: Context, step: BeforeToolCall, escalations: Escalations) -> Decision:  # noqa: ARG001
        history, call = proposal(_history(step), step.call)
        return _decision(await rule(history, call, given, limits, seconds))

    return decide


def _history(step: BeforeToolCall) -> list[ChatMessage]:
    """All that this agent has sent its model, or what the host has of it."""
    return list(step.history or step.input or step.agent_messages or ())


def _decision(ruling: Ruling) -> Decision:
    """The agent is told that it was stopped; the log keeps why."""
    if ruling.decision == "pass":
        return Decision(action="proceed", explanation=ruling.reason, metadata=facts(ruling))
    action = "terminate" if ruling.decision == "end" else ruling.decision
    return Decision(action=action, explanation=told(ruling), metadata=facts(ruling))
