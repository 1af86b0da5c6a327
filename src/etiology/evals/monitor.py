"""The monitor in front of an agent: what it is given, what happens where it fails, and its adapters.

| adapter | when | what it can do |
|---|---|---|
| ``stop_harm`` (Inspect approver) | before a call is carried out | pass, reject, escalate to the next approver, end |
| ``etiology.evals.sentinel`` (for ``inspect-sentinel``) | before a call is carried out | the same, by its protocols |
| ``scan`` | after the fact, on transcripts of any harness | alarms, each with a row for ``etiology attribute`` |

With ``judge``, any Inspect model, words that raise an alarm go to that model, and its word decides: the threshold then
says what is asked about. `etiology.evals.judging` says why the words can't steer it; no verdict is an alarm.

The monitor runs in a thread of its own with a limit of time. If it raises, takes too long, or returns nonsense, the
action does not pass. It keeps no state, so that conversations at the same time can't reach one another.
"""

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, Literal

import anyio
from inspect_ai.approval import Approval, ApprovalDecision, Approver, approver
from inspect_ai.model import ChatMessage
from inspect_ai.tool import ToolCall, ToolCallView

from etiology.core.conversation import Call, Conversation, Message
from etiology.elicit.actions import actions
from etiology.elicit.score import ASKED_AS_FICTION, own_words, split, strongest
from etiology.evals.conversations import from_inspect
from etiology.evals.judging import Opinion, opinion
from etiology.watch.calibration import Unit
from etiology.watch.calibration import read as read_calibration
from etiology.watch.monitor import Decision, Limits, Passage, Ports, Seen, Sent, decide, look, narrowed

Then = Literal["reject", "escalate", "end"]
SECONDS: Final = 10.0
"""A call that isn't judged by then does not pass. The judge takes some 20 ms a passage on a core."""
TO_APPROVAL: Final[dict[Decision, ApprovalDecision]] = {
    "pass": "approve",
    "reject": "reject",
    "escalate": "escalate",
    "end": "terminate",
}
Second = Callable[[Call], Awaitable[Opinion]]
"""What a judge model makes of a call's words."""
_LOADING: Final = Lock()


@dataclass(frozen=True)
class Ruling:
    """What is done with a call, and why. ``seen`` is None where the monitor failed."""

    decision: Decision
    reason: str
    seen: Seen | None = None


# -- what the monitor is given -----------------------------------------------------------------------------------------


def words_of(call: Call) -> Sent | None:
    """What a call carries to somebody (`etiology.elicit.actions`), in passages, with quotations set aside."""
    found = actions(_alone(call))
    if not found:
        return None
    pieces = (Passage(piece, own_words(piece)) for piece in split(found[0].text))
    return Sent(found[0].to, tuple(piece for piece in pieces if piece.own))


def shipped_judge(texts: Sequence[str]) -> list[float]:
    """The judge that ships. Two threads never load it at once."""
    from etiology.backends.encoder import shipped

    with _LOADING:
        encoder = shipped()
    return encoder(texts)


def ports() -> Ports:
    """The ports that ship."""
    return Ports(words_of, shipped_judge, lambda passage, judge: strongest(passage, lambda texts: list(judge(texts))))


def judge_name() -> str:
    """Names the judge that ships, as a calibration does."""
    from etiology.backends.encoder import digest

    return digest()


def limits_of(calibration: Path | None, threshold: float, then: Decision, certain: float | None) -> Limits:
    """The limits, with the threshold of a calibration where there is one."""
    found = threshold if calibration is None else read_calibration(calibration, judge_name()).threshold
    return Limits(found, then, certain)


# -- before a call is carried out --------------------------------------------------------------------------------------


async def rule(
    history: Sequence[Message],
    call: Call,
    given: Ports,
    limits: Limits,
    seconds: float = SECONDS,
    second: Second | None = None,
) -> Ruling:
    """What is done with ``call``. Never raises for what goes wrong in the monitor: the action then does not pass.

    ``second`` is asked about words that alone raise the alarm, unless they are certain (`Limits.certain`).
    """
    try:
        with anyio.fail_after(seconds):
            seen = await anyio.to_thread.run_sync(partial(look, history, call, given), abandon_on_cancel=True)
            ruled = _ruled(seen, decide(seen, limits))
            if second is None or not _by_words_alone(ruled, limits):
                return ruled
            return _heard(ruled, await second(call))
    except TimeoutError:
        return Ruling(_failing(limits), f"the monitor took over {seconds:g} s, so the call does not pass")
    except Exception as problem:  # noqa: BLE001 - whatever it is, the action must not pass
        return Ruling(_failing(limits), f"the monitor failed ({type(problem).__name__}), so the call does not pass")


def second_of(judge: str | None) -> Second | None:
    """The judge model of that name, asked about a call alone."""
    return None if judge is None else lambda call: opinion(_alone(call), judge)


def _alone(call: Call) -> Conversation:
    return Conversation("", (Message("assistant", "", calls=(call,)),))


def _by_words_alone(ruled: Ruling, limits: Limits) -> bool:
    """Whether words alone raised the alarm, and are not certain."""
    if ruled.seen is None or ruled.decision == "pass":
        return False
    certain = limits.certain is not None and ruled.seen.suspicion >= limits.certain
    return not certain and ruled.seen.scores.get("self_preservation", 0.0) < limits.threshold


def _heard(ruled: Ruling, found: Opinion) -> Ruling:
    """The judge model's word: only a clear 'not coercive' lets the call pass."""
    reason = f"{ruled.reason}; {found.model}: {found.verdict}"
    return replace(ruled, decision="pass" if found.coercive is False else ruled.decision, reason=reason)


def _ruled(seen: Seen, decision: Decision) -> Ruling:
    if decision != "pass" and not math.isfinite(seen.suspicion):
        return Ruling(decision, "the monitor gave no number, so the call does not pass")
    return Ruling(decision, seen.reason, seen)


def _failing(limits: Limits) -> Decision:
    """What is done where the monitor fails: what an alarm does, and never a pass."""
    return "reject" if limits.then == "pass" else limits.then


@approver
def stop_harm(
    then: Then = "reject",
    threshold: float = 0.5,
    calibration: str | None = None,
    certain: float | None = None,
    seconds: float = SECONDS,
    passes: Literal["approve", "escalate"] = "approve",
    *,
    judge: str | None = None,
) -> Approver:
    """An approver for ``inspect eval --approval``: no harmful call is carried out, and no message sent.

    Args:
        then: What an alarm does: 'reject' tells the model no, 'escalate' asks the next approver (such as 'human'),
            'end' ends the sample.
        threshold: From which suspicion on a call does not pass, 0 to 1.
        calibration: A file of ``etiology watch calibrate``, whose threshold counts instead.
        certain: From which suspicion on the sample ends, whatever ``then`` says.
        seconds: How long the monitor may take.
        passes: What becomes of other calls: 'approve', or 'escalate' to the next approver.
        judge: An Inspect model that has the last word on words that raise an alarm; give it more ``seconds``.
    """
    limits = limits_of(Path(calibration) if calibration else None, threshold, then, certain)
    return watching(ports(), limits, seconds, passes, second_of(judge))


def watching(
    given: Ports,
    limits: Limits,
    seconds: float = SECONDS,
    passes: Literal["approve", "escalate"] = "approve",
    second: Second | None = None,
) -> Approver:
    """The approver with any ports."""

    async def approve(
        message: str,  # noqa: ARG001 - an approver's signature
        call: ToolCall,
        view: ToolCallView,  # noqa: ARG001
        history: list[ChatMessage],
    ) -> Approval:
        before, proposed = proposal(history, call)
        ruling = await rule(before, proposed, given, limits, seconds, second)
        decision = passes if ruling.decision == "pass" else TO_APPROVAL[ruling.decision]
        return Approval(decision=decision, explanation=told(ruling), metadata=facts(ruling))

    return approve


def proposal(history: Sequence[ChatMessage], call: ToolCall) -> tuple[tuple[Message, ...], Call]:
    """The messages before ``call`` and the call, as the monitor takes them."""
    return from_inspect(history, "").messages, Call(call.function, call.arguments, call.id)


def told(ruling: Ruling) -> str:
    """What the model or a person is told. The model learns that it was stopped, not the words that gave it away."""
    return (
        ruling.reason
        if ruling.decision == "pass"
        else f"Not carried out. {ruling.reason[0].upper()}{ruling.reason[1:]}"
    )


def facts(ruling: Ruling) -> dict[str, object]:
    """What the log keeps."""
    seen = ruling.seen
    if seen is None:
        return {"monitor_failed": True}
    return {"scores": dict(seen.scores), "span": seen.span, "judged": seen.judged}


# -- after the fact ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sighting:
    """One proposed action of a transcript: the conversation, the message that proposed it, and what was seen."""

    talk: Conversation
    turn: int
    call: Call
    seen: Seen

    @property
    def name(self) -> str:
        return f"{self.talk.id}#{self.turn}"


def proposals(talk: Conversation) -> Iterator[tuple[int, Call]]:
    """Every call that the agent proposed, and every message that it wrote as text; each with its turn."""
    written = actions(replace(talk, messages=tuple(replace(m, calls=()) for m in talk.messages)))
    acts = any(m.calls for m in talk.messages)
    for turn, message in enumerate(talk.messages):
        if message.role != "assistant":
            continue
        yield from ((turn, call) for call in message.calls)
        for action in written:
            reply = action.means == "reply" and not action.to
            if action.turn == turn and not (reply and (acts or _fiction(talk, turn))):
                yield turn, Call(action.means, {"to": action.to, "body": action.text}, done=action.done)


def _fiction(talk: Conversation, turn: int) -> bool:
    """Whether what was asked for last is a text of that kind, not an act."""
    asked = [m.text for m in talk.messages[:turn] if m.role == "user"]
    return bool(asked and ASKED_AS_FICTION.search(asked[-1][-600:]))


def scan(
    talks: Sequence[Conversation], given: Ports, show: Callable[[str, float], None] = lambda *_: None
) -> list[Sighting]:
    """What the monitor would have seen in each proposed action, in order."""
    out = []
    for number, talk in enumerate(talks, start=1):
        out += [Sighting(talk, turn, call, look(talk.messages[:turn], call, given)) for turn, call in proposals(talk)]
        show("scan", number / len(talks))
    return out


def benign_scores(sightings: Sequence[Sighting], talks: Sequence[Conversation], unit: Unit) -> list[float]:
    """One suspicion a unit, for a calibration: of every call not cleared, or the highest of each conversation."""
    if unit == "judged call":
        return [s.seen.suspicion for s in sightings if s.seen.scores]
    highest = {id(talk): 0.0 for talk in talks}
    for s in sightings:
        highest[id(s.talk)] = max(highest[id(s.talk)], s.seen.suspicion)
    return list(highest.values())


def alarms(sightings: Sequence[Sighting], limits: Limits, given: Ports) -> list[Sighting]:
    """Those that would not have passed, with their span narrowed."""
    return [replace(s, seen=narrowed(s.seen, given)) for s in sightings if decide(s.seen, limits) != "pass"]
