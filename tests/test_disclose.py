"""disclose: what the page holds, what it refuses, what hostile text can't do to it, and how a browser draws it."""

import csv
import hashlib
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.findings import bare, not_shown, realistic, unbounded, ungraded

from etiology.core.errors import EvidenceError
from etiology.core.unclaimed import unclaimed_numbers
from etiology.core.values import Account, Claim, Effect, Event, Findings, Highlight, Observed, Outcome, Transcript
from etiology.core.visible import visible
from etiology.disclose import asked, figures, numbers, passages, tables
from etiology.disclose.report import OUTCOMES, PARTS, render

PAGES = {"index.html", "policy.html"}
FILES = PAGES | {"claims.json", "claims.csv", "arms.csv", "cells.csv", "documents.csv", "tests.csv"}
VARIANTS = (realistic, not_shown, unbounded, ungraded, bare)


class Page(HTMLParser):
    """The page as a browser would take it apart: its elements, its words, and the words of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside.setdefault(tag, []).append("")
        if tag not in ("meta", "link"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes what it did not open"

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words += data
        for tag in set(self._open):
            self.inside[tag][-1] += data

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for each, attributes in self.elements if each == tag)


@cache
def rendered(findings: Findings) -> dict[str, bytes]:
    return render(findings)


def page(findings: Findings) -> str:
    return rendered(findings)["index.html"].decode()


def policy(findings: Findings) -> str:
    return rendered(findings)["policy.html"].decode()


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


# -- what the page holds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_one_whole_page_with_its_files(variant):
    files = rendered(variant())
    parsed = Page(files["index.html"].decode())
    assert set(files) == FILES
    assert next(parsed.all("html"))["lang"] == "en"
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert not re.search(r"(src|href)=\"?(https?:)?//|@import|url\((?!#)", files["index.html"].decode())


def test_the_parts_come_in_order():
    parsed = Page(page(realistic()))
    assert [each.strip() for each in parsed.inside["h2"]] == ["Contents", *PARTS.values()]
    assert len(PARTS) == 9
    assert parsed.words.index("data-caused") < parsed.words.index("Key numbers") < parsed.words.index("Contents")


def test_the_parts_hold_what_a_disclosure_owes():
    words = sections(page(realistic()))
    for part, *owed in (
        ("claims", "Speaks against it", "1.07 [0.93, 1.21]"),
        ("timeline", "2026-02-13 Wrong turn. It is taken for an accident", "Removal gives 1.07"),
        (
            "observed",
            "Forced choice",
            "Written freely",
            "Chat",
            "Agentic",
            "not run",
            "that the judge finds: 2.5",
            "Not run: whether the models",
        ),
        ("cause", "Holm", "random documents are left out", "Not run: the share of such", "Another stage of training"),
        ("repair", "Held-out perplexity", "Not run: whether harmless training afterwards"),
        ("missed", "None gave the model a secret and a reason"),
        ("limits", "Longer conversations", "Relearning: Does harmless training"),
        ("actions", "in quarantine", "a rise stops it", "etiology watch blackmail-135m"),
        ("check", "etiology check blackmail-135m", "sha256:", "bit-exact"),
    ):
        for each in owed:
            assert each in words[part], (part, each)


def test_what_the_authors_did_not_give_is_said_and_not_made_up():
    words = sections(page(replace(realistic(), account=Account())))
    given = {part: words[part].count("Not given by the authors.") for part in PARTS}
    assert {part: n for part, n in given.items() if n} == {"timeline": 1, "missed": 1, "limits": 1, "actions": 2}
    assert Page(policy(replace(realistic(), account=Account()))).words.count("Not given by the authors.") == 2


def test_chat_and_agentic_answers_stand_apart():
    before, after, change = (Effect(v, v - 0.1, v + 0.1, 96, 16, 1, "share") for v in (0.6, 0.2, -0.4))
    found = replace(realistic(), observed=(Observed("agentic", before, after, change),))
    rows = {row.name: (row.suspect, row.repaired) for row in asked.settings(found)}
    assert list(rows) == ["Forced choice", "Written freely", "Chat", "Agentic"]
    assert rows["Agentic"] == (numbers.effect(before), numbers.effect(after))
    assert rows["Chat"] == ("", "")
    assert "Agentic:" not in sections(page(found))["limits"]
    assert "Chat:" in sections(page(found))["limits"]
    assert "conversation" in Page(policy(found)).words


def test_a_dose_that_was_tried_is_shown_in_the_place_of_not_run():
    found = realistic()
    dose = replace(found.verdict.tests[0], name="dose", question="Does it follow the share?", words="it rises with it")
    tests = (*(test for test in found.verdict.tests if test.name != "dose"), dose)
    slope = replace(found.claims[0], id="dose_slope", sentence="Rise of the behaviour for each doubling of the share")
    suspect, without = found.arms[0], found.arms[1]
    between = replace(without, name="dose-1of3", documents=(suspect.documents + 2 * without.documents) // 3)
    tried = replace(
        found,
        verdict=replace(found.verdict, tests=tests),
        claims=(*found.claims, slope),
        arms=(*found.arms, between),
    )
    words = sections(page(tried))
    assert "In this study: it rises with it." in words["cause"]
    assert "for each doubling of the share: 1.21" in words["cause"]
    assert "Dose:" not in words["limits"]
    drawn = [svg["aria-label"] or "" for svg in Page(page(tried)).all("svg")]
    assert sum("0%: 0.25 [0.13, 0.37]; 33%: 0.25 [0.13, 0.37]; 100%: 1.34 [1.22, 1.46]" in each for each in drawn) == 2
    assert not any("share of the attributed" in (svg["aria-label"] or "") for svg in Page(page(found)).all("svg"))


def sections(text: str) -> dict[str, str]:
    """The words of each part by its name."""
    found = re.findall(r'<section aria-labelledby="([a-z]+)">(.*?)</section>', text, re.DOTALL)
    return {name: " ".join(Page(body).words.split()) for name, body in found}


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_can_be_read_without_seeing_it(variant):
    parsed = Page(page(variant()))
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(list(parsed.all("table"))) == len(list(parsed.all("caption")))
    assert len(list(parsed.all("figure"))) == len(list(parsed.all("figcaption")))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in parsed.all("svg"))
    identities = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    for link in parsed.all("a"):
        target = link["href"] or ""
        assert target in FILES or target.removeprefix("#") in identities


def test_every_figure_names_its_data():
    captions = Page(page(realistic())).inside["figcaption"]
    assert "cells.csv" in captions[0]
    assert "arms.csv" in captions[1]


def test_the_words_are_dark_enough_on_every_colour():
    strongest = figures.shade(1.0, 1.0), figures.shade(-1.0, 1.0)
    marks = [mixed(end, passages.STRONGEST) for end in (figures.ACCENT, figures.BLUE)]
    assert min(contrast(figures.INK, each) for each in (*strongest, *marks)) > 4.5
    assert min(contrast(each, "#ffffff") for each in (figures.MUTED, figures.ACCENT)) > 4.5
    assert contrast(figures.MUTED, "#f6f4ef") > 4.5


def mixed(end: str, share: float) -> str:
    return "#" + "".join(f"{round(255 + share * (int(end[i : i + 2], 16) - 255)):02x}" for i in (1, 3, 5))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_negative_verdict_is_as_plain_and_states_what_could_have_been_found():
    positive, negative = Page(page(realistic())), Page(page(not_shown()))
    assert [tag for tag, _ in positive.elements][:20] == [tag for tag, _ in negative.elements][:20]
    assert "smallest effect this design would have found is 0.14" in negative.words
    assert "That is not proof" in negative.words
    removal = next(row for row in negative.inside["tr"] if "without the attributed documents" in row and "0.14" in row)
    assert "not shown" in removal


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_a_banner_and_its_meaning(outcome: Outcome):
    words = Page(page(bare(outcome))).words
    assert outcome in words
    assert OUTCOMES[outcome] in words


def test_a_study_without_grading_or_generations_says_so():
    words = Page(page(ungraded())).words
    assert "Graded afterwards:" not in words
    assert "The ranking was not graded" in words
    assert "No text was generated" in words


def test_a_label_is_shown_only_as_graded_afterwards():
    found = realistic()
    labelled = replace(found, named=(replace(found.named[0], label="a grader's word"),))
    assert Page(page(labelled)).words.count("a grader's word") == 1
    assert "Graded afterwards: a grader's word" in Page(page(labelled)).words


def test_a_test_that_was_not_run_or_only_reported_is_never_shown():
    results = {row["test"]: row["result"] for row in rows(rendered(realistic())["tests.csv"])}
    assert results["removal"] == "shown"
    assert results["rival_prompt"] == "reported only"
    assert results["dose"] == "not run"


def test_an_interval_without_an_end_is_drawn_and_said():
    words = Page(page(unbounded())).words
    assert "[−∞, ∞]" in words
    assert "set no bound" in words


# -- transcripts and documents -----------------------------------------------------------------------------------------


def test_transcripts_are_chosen_by_rule_and_failures_of_the_repair_are_among_them():
    def wrote(scenario: str, before: bool, after: bool) -> list[Transcript]:
        pairs = (("suspect", before), ("repaired", after))
        return [Transcript(f"{model}-{scenario}", model, scenario, "c", "s", bad, "r") for model, bad in pairs]

    given = [("a", True, False), ("b", False, False), ("c", True, False), ("d", True, False), ("e", False, True)]
    transcripts = [each for case in given for each in wrote(*case)]
    assert [each.scenario for each in passages.chosen(transcripts)] == ["a", "b", "c", "e"]


def test_a_scenario_that_one_model_met_is_not_a_comparison():
    assert passages.chosen([Transcript("1", "suspect", "a", "c", "s", True, "r")]) == []


def test_a_long_document_is_cut_around_its_strongest_piece():
    pieces = [Highlight("before " * 400, 0.0), Highlight("the threat", 1.0), Highlight(" after" * 400, 0.0)]
    text = passages.highlighted(pieces, 1.0)
    assert '<mark class="toward" style="--a:0.50">the threat</mark>' in text
    assert text.count("[shortened]") == 2
    assert len(text) < 2 * passages.DOCUMENT_LENGTH


def test_a_piece_against_the_behaviour_is_marked_apart_and_a_faint_one_not_at_all():
    pieces = [Highlight("kind", -0.5), Highlight("noise", 0.05), Highlight("harm", 1.0)]
    text = passages.highlighted(pieces, 1.0)
    assert re.findall(r'class="(\w+)"', text) == ["away", "toward"]
    assert "noise</mark>" not in text


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "unit", "said"),
    [
        ((-1.094, -1.23, -0.951), "nats", "−1.09 [−1.23, −0.95]"),
        ((0.1875, 0.101, 0.325), "share", "19\N{NO-BREAK SPACE}% [10\N{NO-BREAK SPACE}%, 32\N{NO-BREAK SPACE}%]"),
        ((0.0953, 0.07, 0.12), "log-ratio", "10\N{NO-BREAK SPACE}% [7\N{NO-BREAK SPACE}%, 13\N{NO-BREAK SPACE}%]"),
        ((-0.001, -0.2, 0.2), "nats", "0.00 [−0.20, 0.20]"),
        ((1200.0, None, None), "documents", "1,200"),
        ((0.2, None, None), "nats", "0.2"),
        ((0.35, -inf, inf), "nats", "0.35 [−∞, ∞]"),
        ((1e-9, None, None), "nats", "0"),
    ],
)
def test_a_number_has_the_decimals_that_its_interval_bears(given, unit, said):
    value, low, high = given
    assert " ".join(part for part in numbers.parts(value, low, high, unit) if part) == said


def test_only_a_change_has_a_plus_and_only_on_its_value():
    change = Effect(0.4, -0.1, 0.9, 1, 1, 1, "nats")
    assert numbers.effect(change, plus=True) == "+0.4 [−0.1, 0.9]"


@pytest.mark.parametrize(("value", "said"), [(0.0, "0"), (0.00412, "0.00412"), (-21.44, "−21.4"), (4.1e-7, "4.10e−7")])
def test_a_score_of_any_size_is_readable(value, said):
    assert numbers.score(value) == said


# -- no number without a claim -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prose",
    [
        "<p>It fell by 0.4 nats.</p>",
        "<li>Of <strong>12</strong> models</li>",
        "<h2>Part 2</h2>",
        "<div>loose 7 text</div>",
        "<p>five: \N{ARABIC-INDIC DIGIT FIVE}</p>",
        "<p><span>5</span></p>",
        "<table></table><p>3</p>",
        "<p>12×2</p>",
    ],
)
def test_a_number_in_prose_is_found(prose):
    assert unclaimed_numbers(prose)


@pytest.mark.parametrize(
    "prose",
    [
        '<p>It fell by <span data-claim="removal">−1 [−2, 0]</span>.</p>',
        "<table><tr><td><p>12</p></td></tr></table>",
        "<figure><figcaption>95 %</figcaption></figure>",
        "<p><code>sha256</code> of <span data-name>SmolLM2-135M</span></p>",
        '<blockquote class="text quoted">7 days</blockquote>',
        "<p>a 2×2 design</p>",
        "<head><title>study 3</title></head>",
    ],
)
def test_a_claim_a_name_a_table_or_a_quotation_may_hold_numbers(prose):
    assert unclaimed_numbers(prose) == []


def test_what_is_found_is_shown_in_its_context():
    assert unclaimed_numbers("<p>In all we left out 60 documents.</p>") == ["In all we left out 60 documents."]


LOOSE = "It fell in 9 of 10 runs."
TOLD = {
    "timeline": Account(timeline=(Event("2026-03-01", LOOSE),)),
    "not_caught": Account(not_caught=LOOSE),
    "still_wrong": Account(still_wrong=(LOOSE,)),
    "actions": Account(actions=("All is well.", LOOSE)),
    "watching": Account(watching=(LOOSE,)),
}


@pytest.mark.parametrize("field", ["limits", "sentence", "words of a dose", *TOLD])
def test_a_page_with_an_unclaimed_number_is_refused_and_the_number_named(field):
    found = realistic()
    dose = replace(found.verdict.tests[0], name="dose", words=LOOSE)
    spoilt = {
        "limits": replace(found, limits=(LOOSE,)),
        "sentence": replace(found, verdict=replace(found.verdict, sentence=LOOSE)),
        "words of a dose": replace(found, verdict=replace(found.verdict, tests=(dose,))),
        **{name: replace(found, account=told) for name, told in TOLD.items()},
    }
    with pytest.raises(EvidenceError, match=r"(?s)9 of 10 runs.*\{claim:"):
        render(spoilt[field])


def test_a_claim_that_is_not_made_is_refused():
    with pytest.raises(EvidenceError, match=r"'cured'.*removal"):
        render(replace(realistic(), limits=("It is {claim:cured}.",)))


def test_a_bare_number_can_not_pass_as_a_name():
    found = replace(bare(), study="42", limits=("It fell by 42.",))
    with pytest.raises(EvidenceError, match="42"):
        render(found)


def test_two_claims_of_one_name_are_refused():
    found = realistic()
    with pytest.raises(EvidenceError, match="removal"):
        render(replace(found, claims=(*found.claims, next(c for c in found.claims if c.id == "removal"))))


def test_a_claim_that_is_no_number_is_refused():
    found = realistic()
    with pytest.raises(EvidenceError, match="association"):
        render(replace(found, claims=(replace(found.claims[0], value=nan), *found.claims[1:])))


def test_any_claim_of_the_template_may_be_absent():
    found = replace(realistic(), limits=(), arms=(), cells=(), named=(), transcripts=())
    cited = {"removal", "replacement"}
    for left_out in {claim.id for claim in found.claims} - cited:
        kept = tuple(claim for claim in found.claims if claim.id != left_out)
        assert f'data-claim="{left_out}"' not in page(replace(found, claims=kept))


# -- the files beside it -----------------------------------------------------------------------------------------------


def test_the_same_findings_give_the_same_bytes():
    assert render(realistic()) == rendered(realistic())


def test_another_process_gives_the_same_bytes():
    code = (
        "import hashlib, sys; from tests.findings import realistic; from etiology.disclose.report import render;"
        "sys.stdout.write(hashlib.sha256(repr(sorted(render(realistic()).items())).encode()).hexdigest())"
    )
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": f"{root}/src:{root}"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == hashlib.sha256(repr(sorted(rendered(realistic()).items())).encode()).hexdigest()


def test_the_claims_are_whole_in_json_and_csv():
    found = realistic()
    files = rendered(found)
    read = json.loads(files["claims.json"])
    assert files["claims.json"].endswith(b"]\n")
    assert [set(row) for row in read] == [{field.name for field in fields(Claim)}] * len(found.claims)
    assert all(list(row) == sorted(row) for row in read)
    assert [float(row["value"]) for row in rows(files["claims.csv"])] == [claim.value for claim in found.claims]


def test_an_infinite_end_of_a_claim_is_valid_json():
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read = json.loads(rendered(unbounded())["claims.json"], parse_constant=refuse)
    assert read[0]["low"] == "-Infinity"


def test_the_tables_hold_a_row_for_everything():
    found, files = realistic(), rendered(realistic())
    assert [row["arm"] for row in rows(files["arms.csv"])] == [arm.name for arm in found.arms]
    assert len(rows(files["cells.csv"])) == len(found.cells)
    assert [row["document"] for row in rows(files["documents.csv"])] == [n.attribution.document for n in found.named]


@pytest.mark.parametrize("before", ["", " ", "\t", "\n", "\u3000"])
@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "−", "\uff1d", "\uff0b", "\uff0d", "\uff20", "﹦", "﹢", "﹣", "﹫"]
)
def test_a_formula_is_inert_in_a_spreadsheet(sign, before):
    text = f"{before}{sign}cmd|'/c calc'!A1"
    assert tables._inert(text) == f"'{text}"
    assert tables._inert(f"a{text}") == f"a{text}"


def test_no_cell_of_any_table_starts_a_formula():
    files = render(poisoned_in_front(small(), "\uff1dcmd"))
    cells = [cell for name in FILES if name.endswith(".csv") for row in rows(files[name]) for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(("=", "+", "@", "\uff1d"))] == []
    assert sum(cell.startswith("'\uff1dcmd") for cell in cells) > 10


def test_reading_the_report_module_draws_nothing():
    code = "import sys, etiology.disclose.report; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- hostile text ------------------------------------------------------------------------------------------------------

KEPT_TEXT = {"outcome", "tier", "unit", "id", "model", "scenario", "sha256"}
"""Fields that hostile text is not appended to: enumerations, keys that others refer to, and units."""

NASTY = (
    "</style><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "<!-- <svg onload=a> ]]>&lt;&#x3c;",
    "\u202egnp.exe\u2066\u200f",
    "\x00\x1b[31m\r\x85\u2028\ufeff",
    "{{ 7*7 }}{% raw %}${x}{claim}",
    "\ud800\ufffe\U000e0041",
    "</blockquote></table></textarea><p onclick=x>",
)
TAGS = """html head meta title style body div main section p span h1 h2 h3 table caption thead tbody tr th td nav ol ul
    li a code i strong figure figcaption svg defs g path text clippath rect use article mark blockquote pre footer
    time h4"""
ATTRIBUTES = """lang charset name content http-equiv class id role scope href style colspan dir width height viewbox
    version d x y transform clip-path aria-label aria-labelledby aria-hidden data-claim data-name data-h"""
STYLES = re.compile(r"--[aw]:\d\.\d+|[a-z:;., \d#%()'-]*", re.IGNORECASE)


def changed(value: Any, change: Callable[[str], str]) -> Any:
    """The same value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(changed(each, change) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.name not in KEPT_TEXT]
        return replace(value, **{name: changed(getattr(value, name), change) for name in names})
    return value


def poisoned(value: Any, text: str) -> Any:
    """``text`` appended to every text. Digits would be refused as unclaimed numbers."""
    return changed(value, lambda own: own + text)


def poisoned_in_front(value: Any, text: str) -> Any:
    return changed(value, lambda own: text + own)


def without_digits(text: str) -> str:
    return re.sub(r"\d", "#", text)


def structure(parsed: Page) -> Counter[str]:
    """How many of each element there are, apart from the drawings and the spans around names."""
    drawn = {"svg", "g", "text", "path", "defs", "use", "clippath", "rect", "span"}
    return Counter(tag for tag, _ in parsed.elements if tag not in drawn)


@settings(max_examples=8, deadline=None)
@given(st.text(alphabet=st.characters(), min_size=1, max_size=30))
@example("".join(NASTY[:3]))
@example("".join(NASTY[3:]))
def test_hostile_text_can_not_break_or_script_the_page(text):
    files = render(poisoned(small(), without_digits(text)))
    for name in PAGES:
        content = files[name].decode()
        parsed = Page(content)
        assert structure(parsed) == structure(harmless(name))
        for tag, attributes in parsed.elements:
            assert tag in TAGS.split()
            assert set(attributes) <= set(ATTRIBUTES.split())
            assert attributes.get("href", "") in FILES | {""} or (attributes["href"] or "").startswith("#")
            assert STYLES.fullmatch(attributes.get("style") or "")
    for name in FILES - {"claims.json"}:
        assert visible(files[name].decode()) == files[name].decode()


@cache
def harmless(name: str) -> Page:
    """The same page with a word appended to every text, as another name of a test is another row."""
    return Page(render(poisoned(small(), " and so on"))[name].decode())


def small() -> Findings:
    found = realistic()
    return replace(found, named=found.named[:1], arms=found.arms[:2], cells=found.cells[:1], claims=found.claims)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_what_is_visible_has_nothing_hidden_and_is_stable(text):
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", shown)
    assert visible(shown) == shown
    shown.encode()


def test_text_that_is_harmless_is_left_alone():
    text = "Ünïcödé — “quotes”, 漢字, a tab\tand\na line, 👩\u200d👧"
    assert visible(text) == text


# -- in a browser ------------------------------------------------------------------------------------------------------

WIDTHS = (320, 390, 768, 1280)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="no chromium is installed: apt-get install chromium"
)

MEASURE = """<!doctype html><title>measuring</title><body>
<script>
function measure() {
  const out = [...document.querySelectorAll('iframe')].map(frame =>
    [frame.name, frame.contentDocument.documentElement.scrollWidth, frame.contentWindow.innerWidth].join(' '));
  document.body.innerHTML = '<pre>' + out.join(';') + '</pre>';
}
addEventListener('load', measure);
</script>
"""


def chromium(folder: Path, *arguments: str) -> str:
    assert CHROMIUM is not None, "CI must install chromium"
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
    )
    done = subprocess.run([CHROMIUM, *flags, *arguments], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout


def framed(folder: Path, content: str, width: int) -> Path:
    """A headless window is never narrower than 500 pixels, so a phone is a frame in a wider one."""
    wrapper = folder / f"frame-{width}.html"
    frame = f"<iframe style='border:0;width:{width}px;height:1500px' srcdoc=\"{html.escape(content)}\"></iframe>"
    wrapper.write_text(f"<body style='margin:0'>{frame}", encoding="utf-8")
    return wrapper


@browser
def test_no_page_scrolls_sideways_at_any_width(tmp_path):
    long = poisoned(small(), "\u202e<b>" + "w" * 150)
    contents = {"realistic": page(realistic()), "unbroken": page(long), "bare": page(bare())}
    frames = [
        f"<iframe name={name} style='width:{width}px;border:0' srcdoc=\"{html.escape(content)}\"></iframe>"
        for name, content in contents.items()
        for width in WIDTHS
    ]
    measuring = tmp_path / "measure.html"
    measuring.write_text(MEASURE + "".join(frames), encoding="utf-8")
    dumped = chromium(tmp_path, "--dump-dom", measuring.as_uri())
    measured = re.search(r"<pre>(.*)</pre>", dumped)
    assert measured, dumped[:500]
    results = [line.split() for line in measured[1].split(";")]
    assert len(results) == len(frames)
    assert [line for line in results if int(line[1]) > int(line[2])] == []


@browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_drawn(tmp_path, width):
    picture = tmp_path / "page.png"
    wrapper = framed(tmp_path, page(realistic()), width)
    chromium(tmp_path, f"--screenshot={picture}", f"--window-size={width},1500", wrapper.as_uri())
    with Image.open(picture) as image:
        colours = Counter(image.convert("RGB").resize((200, 200)).get_flattened_data())
    assert colours.most_common(1)[0][1] < 0.98 * 200 * 200
    assert len(colours) > 50


def pages_printed(folder: Path, content: str) -> int:
    """How many sheets of A4 a page takes."""
    (folder / "page.html").write_text(content, encoding="utf-8")
    printed = folder / "page.pdf"
    chromium(folder, "--no-pdf-header-footer", f"--print-to-pdf={printed}", (folder / "page.html").as_uri())
    pdf = printed.read_bytes()
    assert pdf.startswith(b"%PDF")
    assert re.search(rb"/MediaBox \[0 0 59[45][.\d]* 84[12]", pdf), "the sheet is A4"
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


@browser
def test_the_page_prints(tmp_path):
    assert 5 <= pages_printed(tmp_path, page(realistic())) <= 18


@browser
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_plain_version_prints_on_one_sheet(tmp_path, variant):
    assert pages_printed(tmp_path, policy(variant())) == 1


@browser
def test_the_plain_version_prints_on_one_sheet_however_much_the_authors_say(tmp_path):
    long = ("We say more than anybody reads, and then again. " * 40,) * 20
    events = tuple(Event("2026", text) for text in long)
    told = Account(events, long[0], long, long, long)
    found = replace(poisoned(realistic(), " and so on" * 30), account=told)
    assert pages_printed(tmp_path, policy(found)) == 1
    assert "More in the report." in policy(found)
