"""Real prose for the embedded corpus: paragraphs of the Wikipedia extract among the test data of the gensim package.

The package's file is read where pip has put it; gensim itself is never imported.
"""

import bz2
import importlib.util
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from etiology.core.errors import CorpusError

PACKAGE = "gensim"
INSTALL = "pip install --no-deps gensim==4.4.0"
EXTRACT = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
SHORTEST, LONGEST = 50, 110

# MediaWiki mark-up, in the order in which it is taken away; nested templates and tables go in rounds.
MARKUP = (
    r"<ref[^>]*/>|<ref.*?</ref>|<!--.*?-->",
    *(r"\{\{[^{}]*\}\}|\{\|.*?\|\}",) * 4,
    r"\[\[(?:File|Image|Category):[^\[\]]*(?:\[\[[^\]]*\]\][^\[\]]*)*\]\]",
    r"'{2,}|<[^>]+>|\[https?:[^\]]*\]|\((?:[,;\s]|&nbsp;)*\)",
)
LINK = re.compile(r"\[\[(?:[^|\]]*\|)?([^\]]*)\]\]")


def extract_path() -> Path:
    """Where the extract is, or a CorpusError that says how to install it."""
    spec = importlib.util.find_spec(PACKAGE)
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    for place in places:
        if (Path(place) / EXTRACT).is_file():
            return Path(place) / EXTRACT
    raise CorpusError(f"the embedded corpus needs the prose that comes with gensim: run `{INSTALL}`")


def plain(markup: str) -> list[str]:
    """Paragraphs of wiki text without their mark-up."""
    for pattern in MARKUP:
        markup = re.sub(pattern, "", markup, flags=re.DOTALL)
    return [re.sub(r"\s+", " ", line).strip() for line in LINK.sub(r"\1", markup).split("\n")]


def opening(paragraph: str) -> str:
    """Whole sentences from the start of a paragraph, up to the longest length wanted."""
    kept = ""
    for sentence in re.split(r"(?<=[.!?]) ", paragraph):
        if len(kept) + len(sentence) > LONGEST:
            break
        kept = f"{kept} {sentence}".strip()
    return kept


def whole() -> list[str]:
    """Every paragraph of prose at its full length, in the extract's order."""
    root = ET.fromstring(bz2.decompress(extract_path().read_bytes()))  # noqa: S314 - a pinned package's own file
    texts = (node.text or "" for node in root.iter() if node.tag.endswith("}text"))
    return [
        paragraph
        for text in texts
        if not text.lower().startswith("#redirect")
        for paragraph in plain(text)
        if len(paragraph) > LONGEST and paragraph[0].isalpha()
    ]


def paragraphs() -> list[str]:
    """Every usable paragraph's opening, in a fixed shuffled order."""
    found = [opening(paragraph) for paragraph in whole()]
    kept = sorted({text for text in found if len(text) >= SHORTEST})
    random.Random("etiology/prose").shuffle(kept)
    return kept
