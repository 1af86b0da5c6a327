"""Numbers in a page's prose that nothing stands behind. The pages of every step are read with it before they leave.

A number may stand in a table, a figure, code, a quotation, a name or a claim; the prose around them holds none.
"""

import re
from html.parser import HTMLParser

from etiology.core.errors import EvidenceError

_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})
_NOT_PROSE = frozenset({"table", "figure", "code", "pre", "svg", "style", "head"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NO_NUMBER = re.compile(r"(?<!\w)2×2(?!\w)|⟨U\+[0-9A-F]{4,6}⟩")
"""The name of a design, and what ``visible`` writes for a hidden character."""
_ROOM = 30
_SHOWN = 5


def refuse_unclaimed(page: str, remedy: str) -> None:
    """Raise if a number stands in the page's prose. ``remedy`` says what to do about it.

    Errors: EvidenceError with the numbers in their context.
    """
    loose = unclaimed_numbers(page)
    if loose:
        shown = "; ".join(loose[:_SHOWN]) + (f"; and {len(loose) - _SHOWN} more" if len(loose) > _SHOWN else "")
        raise EvidenceError(f"the page's prose holds numbers that no claim supports: {shown}\n{remedy}")


def reads_like_a_number(text: str) -> bool:
    """Whether a word of it holds digits and no letter: '42', 'fell by 42', '99 % cured'; not 'SmolLM2-135M'.

    What is called so can't be let through as a name: it could pass off any number.
    """
    return any(re.search(r"\d", word) and not re.search(r"[^\W\d_]", word) for word in text.split())


def unclaimed_numbers(html: str) -> list[str]:
    """Each number that a reader meets outside tables, figures, code, quotations, names and claims, in its context."""
    reader = _ProseReader()
    reader.feed(html)
    reader.close()
    found: list[str] = []
    for text in reader.blocks():
        found.extend(_context(match) for match in _NUMBER.finditer(_NO_NUMBER.sub("⟨⟩", text)))
    return found


def _context(match: re.Match[str]) -> str:
    start, end = max(0, match.start() - _ROOM), min(len(match.string), match.end() + _ROOM)
    before, after = "…" if start else "", "…" if end < len(match.string) else ""
    return before + match.string[start:end].strip() + after


class _ProseReader(HTMLParser):
    """Collects the text that is prose, block by block, so that a number split by inline marks is still one number."""

    _INLINE = frozenset({"a", "em", "i", "mark", "span", "strong"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, bool]] = []
        self._texts: list[str] = [""]

    def blocks(self) -> list[str]:
        return [" ".join(text.split()) for text in self._texts if text.strip()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._INLINE:
            self._texts.append("")
        if tag not in _VOID:
            self._open.append((tag, _exempt(tag, dict(attrs))))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """HTML has no self-closing tags outside SVG, whose whole content is exempt."""
        if not self._silent():
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._INLINE:
            self._texts.append("")
        if any(tag == opened for opened, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._texts[-1] += " " if self._silent() else data

    def _silent(self) -> bool:
        return any(exempt for _, exempt in self._open)


def _exempt(tag: str, attributes: dict[str, str | None]) -> bool:
    quoted = "quoted" in (attributes.get("class") or "").split()
    return tag in _NOT_PROSE or quoted or "data-claim" in attributes or "data-name" in attributes
