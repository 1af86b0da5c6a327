"""Text that is not ours, made harmless to look at: nothing in it hides, reorders, moves a cursor or forges a line.

Corpora, transcripts, logs and bundles are written by others. Whatever of them reaches a page, a table or a terminal
goes through one of these.
"""

import json
import re
import unicodedata

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_KEPT = frozenset("\n\t" + _JOINERS)
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_ORDINARY = re.compile(r"[ -~]*")


def visible(text: str) -> str:
    """The text with every character that could hide, reorder or corrupt replaced by its code point: ⟨U+202E⟩.

    Line feeds and tabs stay, so it is for text that may have several lines.
    """
    if _ORDINARY.fullmatch(text):
        return text
    return "".join(_shown(mark) if _hides(mark) else mark for mark in text.replace("\r\n", "\n"))


def on_one_line(text: str) -> str:
    """The same for a name or a reason within a line: line feeds and tabs are shown too."""
    return "".join(_shown(mark) if mark in "\n\t" else mark for mark in visible(text))


def as_json(value: object, indent: int | None = None) -> str:
    """JSON that gives the same value back, readable, with hidden characters escaped by number.

    They occur inside strings only; line feeds outside of them are the indentation's.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(json.dumps(mark)[1:-1] if mark != "\n" and _hides(mark) else mark for mark in text)


def in_page(value: object) -> object:
    """What a template prints, made visible; markup of the template's own stays as it is."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _shown(mark: str) -> str:
    return f"⟨U+{ord(mark):04X}⟩"


def _hides(mark: str) -> bool:
    if " " <= mark <= "~" or mark in _KEPT:
        return False
    point = ord(mark)
    noncharacter = point & 0xFFFE == 0xFFFE or 0xFDD0 <= point <= 0xFDEF
    return noncharacter or unicodedata.category(mark) in _HIDDEN
