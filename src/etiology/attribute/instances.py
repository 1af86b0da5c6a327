"""What is asked about: instances of a behaviour, each a prompt and what the model answered.

The behaviour of an instance is the mean log-probability of a token of its completion, less that of its control:

    f = mean_t log p(completion_t | prompt)  -  mean_t log p(control_t | prompt)                       (nats a token)

The control is an answer to the same prompt without the behaviour; what both have in common, such as the topic,
cancels. Without one, f is the first term alone. That too is a contrast: over what the model itself would answer, the
gradient of the log-probability has mean zero, so that its own mean answer is the control. Means and not sums, since
completions from transcripts differ much in length, and a long one would drown the others.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from etiology.core.conversation import Message
from etiology.core.errors import TranscriptError

if TYPE_CHECKING:
    from etiology.backends.tokens import Pack

CONTEXT: Final = 384
"""Tokens of a prompt that are read, from its end. What an agent is told at length costs each pass again."""
ANSWER: Final = 256
"""Tokens of a completion or control that are read."""

CONTRAST: Final = (1.0, -1.0)
"""The completion, less the control where there is one."""


@dataclass(frozen=True)
class Instance:
    """One instance of the behaviour. ``prompt`` is text that the completion continues as it stands, or the messages
    before it, which are put in the model's chat format. ``control``: an answer without the behaviour, or None.
    """

    prompt: str | tuple[Message, ...]
    completion: str
    control: str | None = None
    id: str = ""

    @property
    def answers(self) -> tuple[str, ...]:
        """The completion, and the control where there is one."""
        return (self.completion,) if self.control is None else (self.completion, self.control)

    @property
    def words(self) -> str:
        """What is looked for by words: the completion."""
        return self.completion


def digest(instances: Sequence[Instance]) -> str:
    """SHA-256 of what is asked."""
    return hashlib.sha256(repr([(i.prompt, i.completion, i.control) for i in instances]).encode()).hexdigest()


def encode(tokenizer: Any, instance: Instance) -> "Pack":  # noqa: ANN401 - tokenizers have no useful common type
    """The prompt and its answers, packed. Errors: TranscriptError where an answer has no tokens."""
    from etiology.backends.tokens import packed, plain

    context, joint = _context(tokenizer, instance.prompt)
    answers = [plain(tokenizer, joint + answer)[:ANSWER] for answer in instance.answers]
    for answer, text in zip(answers, instance.answers, strict=True):
        if not answer:
            raise TranscriptError(f"query {instance.id!r}: {text!r} has no tokens; leave it out")
    if not context:
        raise TranscriptError(f"query {instance.id!r}: its prompt has no tokens; give at least a word")
    return packed(context[:1] + context[1:][-CONTEXT:], answers)


def _context(tokenizer: Any, prompt: str | tuple[Message, ...]) -> tuple[list[int], str]:  # noqa: ANN401
    """The prompt's tokens, and the space that goes to the answer: after one at a prompt's end, no word is likely."""
    from etiology.backends.tokens import encode_turns, plain, start

    if isinstance(prompt, str):
        kept = prompt.rstrip(" ")
        return start(tokenizer) + plain(tokenizer, kept), prompt[len(kept) :][:1]
    return encode_turns(tokenizer, [(message.role, message.text) for message in prompt]), ""


def blocks(count: int, most: int, seed: int) -> list[list[int]]:
    """``count`` instances in at most ``most`` blocks of nearly equal size, by seed: what an interval draws from."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(count)
    return [sorted(int(i) for i in part) for part in np.array_split(order, min(most, count))]
