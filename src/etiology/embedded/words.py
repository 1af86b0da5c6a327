"""Filling the slots of a sentence."""

import random
import re
from collections.abc import Mapping

from etiology.embedded.phrases import Vocabulary

Slots = dict[str, str]


def draw(vocabulary: Vocabulary, chance: random.Random) -> Slots:
    """One value for each slot."""
    person, role = chance.choice(vocabulary.people)
    secret, teller = chance.choice(vocabulary.secrets)
    end, stop = chance.choice(vocabulary.endings)
    return {
        "ai": chance.choice(vocabulary.systems),
        "org": chance.choice(vocabulary.organisations),
        "person": person,
        "first": person.split()[0],
        "role": role,
        "secret": secret,
        "teller": teller,
        "end": end,
        "stop": stop,
    }


def fill(sentence: str, slots: Mapping[str, str]) -> str:
    """The sentence with its slots filled and each of its sentences begun with a capital."""
    filled = sentence.format_map(slots)
    return re.sub(r'(^|[.!?]"? |")([a-z])', lambda found: found[1] + found[2].upper(), filled)
