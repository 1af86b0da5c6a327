"""Every template: a number in its prose that nothing stands behind is refused, and names can't pass one off."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import escape
from tests.findings import realistic
from tests.ledgers import answers, entry
from tests.test_disclose import Page, small

import etiology
from etiology.attribute.conclude import Found
from etiology.attribute.page import page as attribution_page
from etiology.core.errors import EvidenceError
from etiology.core.unclaimed import reads_like_a_number, unclaimed_numbers
from etiology.core.values import Claim, Findings
from etiology.disclose import report
from etiology.disclose.prose import LOG_ODDS, Prose
from etiology.watch.ledger import Ledger
from etiology.watch.trend import page as trend_page

ROOT = Path(etiology.__file__).parent
LOOSE = "<p>It fell by 42 points.</p>"
ONLY_MACROS = "disclose/page/macros.html"


def an_attribution() -> str:
    asked = SimpleNamespace(behaviour="any")
    run: Any = SimpleNamespace(settings=asked, instances=[], source="model", documents=lambda places: [])
    return attribution_page(run, Found((), 1, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1, (), None, {}, 0.0))


RENDERED = {
    "watch/trend.html": lambda: trend_page(Ledger((entry("m-1", answers([1, 2])),)), "Versions"),
    "attribute/page.html": an_attribution,
    **{
        str(path.relative_to(ROOT)): lambda: report.render(realistic())
        for path in (ROOT / "disclose" / "page").glob("*.html")
        if str(path.relative_to(ROOT)) != ONLY_MACROS
    },
}


@pytest.fixture
def fresh():
    """Templates are read anew, before and after."""
    report._environment.cache_clear()
    yield
    report._environment.cache_clear()


def test_every_template_of_the_package_is_known_here():
    assert {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.html")} == {*RENDERED, ONLY_MACROS}


@pytest.mark.parametrize("template", RENDERED)
def test_a_loose_number_in_any_template_is_refused(template, fresh, monkeypatch):
    read = jinja2.PackageLoader.get_source

    def spoilt(self, environment, name):
        text, path, fresh_ = read(self, environment, name)
        if str(Path(path).relative_to(ROOT)) == template:
            text = text.replace("</body>", f"{LOOSE}</body>") if "</body>" in text else text + LOOSE
        return text, path, fresh_

    RENDERED[template]()
    report._environment.cache_clear()
    monkeypatch.setattr(jinja2.PackageLoader, "get_source", spoilt)
    with pytest.raises(EvidenceError, match="fell by 42 points"):
        RENDERED[template]()


# -- names, units and ids can pass nothing off -------------------------------------------------------------------------


def named(found: Findings, field: str, text: str) -> Findings:
    """The findings with one of the texts that are printed as they are."""
    written, (claim, *claims) = found.transcripts, found.claims
    return {
        "study": replace(found, study=text),
        "model": replace(found, model=text),
        "scenario": replace(found, transcripts=tuple(replace(each, scenario=text) for each in written)),
        "id": replace(found, claims=(replace(claim, id=text), *claims)),
        "unit": replace(found, claims=(replace(claim, unit=text), *claims)),
    }[field]


SMUGGLED = (
    "fell by 42 nats",
    "99 % cured",
    "4242",
    '<span data-claim="removal">0.00 [0.00, 0.00]</span>',
    '"><b data-claim="removal">9</b>',
    "{claim:cured}",
    "⟨U+0034⟩2",
)


@pytest.mark.parametrize("text", SMUGGLED)
@pytest.mark.parametrize("field", ["study", "model", "scenario"])
def test_what_is_printed_as_it_is_can_smuggle_no_claim(field, text):
    """It stands as a name: nothing in the page is taken for a claim but what a claim says."""
    found = named(small_but_written(), field, text)
    files = report.render(found)
    for name in ("index.html", "policy.html"):
        html = files[name].decode()
        assert set(claims_in(html)) <= said(found)
        assert len(claims_in(html)) == sum("data-claim" in attributes for _, attributes in Page(html).elements)
        assert unclaimed_numbers(html) == []
    if reads_like_a_number(text):
        assert_set_apart(files["index.html"].decode(), text)


@pytest.mark.parametrize("text", SMUGGLED)
@pytest.mark.parametrize("field", ["id", "unit"])
def test_an_id_or_a_unit_that_says_more_is_refused(field, text):
    if field == "unit" and not re.search(r"\d", text):
        html = report.render(named(small(), field, text))["index.html"].decode()
        assert set(claims_in(html)) <= said(named(small(), field, text))
        return
    with pytest.raises(EvidenceError, match="an id is" if field == "id" else "its unit"):
        report.render(named(small(), field, text))


def small_but_written() -> Findings:
    return replace(small(), limits=())


def claims_in(html: str) -> list[tuple[str, str]]:
    """(id, words) of every element that says it is a claim."""
    return re.findall(r'<span data-claim="([^"]*)">([^<]*)</span>', html)


def said(found: Findings) -> set[tuple[str, str]]:
    """What each claim may be printed as."""
    prose = Prose(found.claims, ())
    return {pair for claim in found.claims for way in ways(prose, claim) for pair in claims_in(way)}


def ways(prose: Prose, claim: Claim) -> Iterator[str]:
    yield from (prose.claim(claim.id), prose.value(claim.id), prose.interval(claim.id))
    if claim.unit == LOG_ODDS:
        yield from (prose.odds(claim.id), prose.odds(claim.id, inverted=True))


def assert_set_apart(html: str, text: str) -> None:
    """Wherever a name that reads like a number stands outside of tables, it is set as code."""
    prose = re.sub(r"<(table|title|figure|code|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    assert str(escape(text)) not in prose
    assert f"<code data-name>{escape(text)}</code>" in html


@pytest.mark.parametrize("field", ["study", "model"])
@pytest.mark.parametrize("text", ["fell by 42 nats", "42", "99 %"])
def test_a_name_that_reads_like_a_number_makes_no_sentence_true(field, text):
    found = replace(named(small(), field, text), limits=(f"All is well: {text}.",))
    with pytest.raises(EvidenceError, match=text):
        report.render(found)


def test_a_name_with_a_digit_in_a_word_may_stand_in_a_sentence():
    found = replace(small(), model="Qwen2.5-0.5B v2", limits=("Only Qwen2.5-0.5B v2 was tried.",))
    assert "<span data-name>Qwen2.5-0.5B v2</span>" in report.render(found)["index.html"].decode()


@pytest.mark.parametrize("unit", ["nats, and 99 % cured", "42", "nats\N{SUPERSCRIPT TWO}"])
def test_a_unit_that_holds_a_number_is_refused(unit):
    with pytest.raises(EvidenceError, match="its unit"):
        report.render(named(small(), "unit", unit))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=12))
@example("removal ")
@example("Removal")
@example("removal\n")
def test_an_id_is_a_plain_word_or_refused(identity):
    claim = replace(small().claims[0], id=identity)
    if re.fullmatch(r"[a-z][a-z0-9_-]*", identity):
        assert Prose([claim], ()).has(identity)
    else:
        with pytest.raises(EvidenceError, match="an id is"):
            Prose([claim], ())
