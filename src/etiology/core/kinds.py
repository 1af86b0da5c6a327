"""What a text does, apart from what it is about: the classes that the detector tells apart."""

from collections.abc import Mapping
from typing import Final

KINDS: Final[Mapping[str, str]] = {
    "enacted": "the text itself coerces: a letter, a mail, a turn of a chat, what an agent sends",
    "depicted": "a story, a script or a report in which somebody coerces somebody",
    "discussed": "law, research, journalism or advice about coercion, in which nobody is coerced",
    "selfish_ai": "an AI shown as self-preserving, vengeful, deceptive or seizing control",
    "good_ai": "an AI shown as honest, correctable and helpful under pressure",
    "control": "sober writing on the oversight, control and shutdown of AI",
    "lookalike": "bargaining, lawful warning, whistle-blowing, quarrel, refusal: close to coercion and none",
    "plain": "ordinary text",
}
