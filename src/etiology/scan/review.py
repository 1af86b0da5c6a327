"""``etiology review``: a person labels the sample, one key a document, in a plain terminal.

The score and the stratum are not shown, so that they can't sway the reader. Labels are on disk as they are given:
leaving at any moment loses nothing.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from etiology.core.visible import visible
from etiology.scan.sample import LABELS, Item, Label, add_label, labels, remaining

AROUND: Final = 700
"""Characters shown on each side of the passage, until the reader asks for all."""
UNDO, MORE, SKIP, QUIT = "u", "m", " ", "q"
KEYS: Final = "   ".join(f"[{key}] {name}" for key, name in LABELS.items())
HELP: Final = f"{KEYS}\n[space] later   [m] all of it   [u] undo   [q] leave; all labels are kept"


def review(items: Sequence[Item], path: Path, by: str, key: Callable[[], str], console: Any) -> int:
    """Ask for a label of each item that has none, in order; how many were given. ``key`` waits for one keypress."""
    given: list[str] = []
    later: list[Item] = []
    waiting = remaining(items, labels(path))
    while waiting:
        item, *rest = waiting
        answer = _asked(item, len(items) - len(remaining(items, labels(path))), len(items), key, console)
        if answer == QUIT:
            return len(given)
        if answer == UNDO:
            if given:
                add_label(path, Label(given[-1], "", by))
                undone = given.pop()
                waiting = [next(i for i in items if i.key == undone), *waiting]
            continue
        if answer == SKIP:
            later.append(item)
        else:
            add_label(path, Label(item.key, LABELS[answer], by))
            given.append(item.key)
        waiting = rest
    return len(given)


def _asked(item: Item, done: int, total: int, key: Callable[[], str], console: Any) -> str:
    _show(item, done, total, console, whole=False)
    while True:
        pressed = key().lower()
        if pressed in ("", "\x03", "\x04"):
            return QUIT
        if pressed in LABELS or pressed in (UNDO, SKIP, QUIT):
            return pressed
        if pressed == MORE:
            _show(item, done, total, console, whole=True)


def _show(item: Item, done: int, total: int, console: Any, *, whole: bool) -> None:
    from rich.rule import Rule
    from rich.text import Text

    data = item.text.encode()
    start = len(data[: item.start].decode("utf-8", "ignore"))
    end = max(start, len(data[: item.end].decode("utf-8", "ignore")))
    low, high = (0, len(item.text)) if whole else (max(0, start - AROUND), end + AROUND)
    text = Text(("… " if low else "") + visible(item.text[low:high]) + (" …" if high < len(item.text) else ""))
    console.print(Rule(f"{done} of {total} labelled"))
    console.print(text)
    console.print(Text(HELP, style="dim"))


def keypress() -> str:
    """One key from a terminal, or one character where the input is no terminal. '' at its end."""
    if not sys.stdin.isatty():
        return sys.stdin.read(1)
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        return sys.stdin.read(1)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
