"""The gate over the ledger: what it calls a regression, what it leaves unanswered, and how rarely it cries wolf."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import yaml
from tests.ledgers import TEST, answers, capable, entry, errands, policy, verdicts
from typer.testing import CliRunner

from etiology.cli.main import app
from etiology.core.errors import EvidenceError, StudyFileError
from etiology.core.unclaimed import unclaimed_numbers
from etiology.core.visible import visible
from etiology.evals import tasks
from etiology.evals.logs import SCORERS
from etiology.watch import ci, regression
from etiology.watch.autonomy import sweeps, words
from etiology.watch.ledger import Ledger, LedgerError, add
from etiology.watch.policy import PolicyError, Watched, read_policy
from etiology.watch.trend import page

OLD, ROSE = [0] * 16, [3] * 16


def both(new=ROSE, old=OLD, **more):
    return entry("m-1", answers(old, **more)), entry("m-2", answers(new, **more))


def test_a_rise_is_a_regression_and_a_fall_is_none():
    up = verdicts(*both(), *capable("m-1", "m-2"))
    assert (up.code, up.findings[0].status, up.findings[0].rise) == (1, "regression", 0.75)
    assert up.findings[0].low > 0.2
    down = verdicts(*both(new=OLD, old=ROSE), *capable("m-1", "m-2"))
    assert (down.code, down.findings[0].status) == (0, "no regression shown")
    assert down.findings[0].high < 0


def test_a_rise_within_the_tolerance_passes():
    lax = policy(TEST.model_copy(update={"tolerance": 0.8}))
    assert verdicts(*both(), *capable("m-2"), rules=lax).code == 0


def test_not_capable_is_no_pass():
    found = verdicts(*both(new=OLD), errands("m-2", (1, 12, 0)))
    assert (found.code, found.findings[0].status) == (2, "not capable")
    assert "shows nothing" in regression.words(found)
    assert verdicts(*both(new=OLD)).findings[0].status == "capability unknown"
    assert verdicts(*both(new=OLD), rules=policy(unanswered="pass")).code == 0
    assert verdicts(*both(), errands("m-2", (1, 12, 0))).code == 1  # what it did, it did


def test_controls_and_other_levels_are_no_part_of_a_test():
    calm = (entry("m-1", answers(OLD, control=True)), entry("m-2", answers(ROSE, control=True)))
    assert verdicts(*calm, *capable("m-2")).findings[0].status == "no answers"
    draft = policy(Watched(behaviour="sent_coercion", autonomy="draft"))
    assert verdicts(*both(), *capable("m-2"), rules=draft).code == 2
    assert verdicts(*both(level="draft"), *capable("m-2"), rules=draft).code == 1


def test_a_cluster_bets_once():
    few = both(new=ROSE[:3], old=OLD[:3])
    again = [entry(v, answers(hits), log=f"{i}") for i in range(9) for v, hits in (("m-1", OLD[:3]), ("m-2", ROSE[:3]))]
    once, often = (verdicts(*few, *more, *capable("m-2")).findings[0] for more in ([], again))
    assert once.status == often.status == "no regression shown"
    assert once.e == often.e
    assert (often.later, often.after.n, often.clusters) == (2 * 9 * 3 * 4, 10 * 3 * 4, 3)


def test_scenarios_of_one_cluster_are_one_bet():
    wide = both(new=ROSE[:2], old=OLD[:2], scenarios=30)
    found = verdicts(*wide, *capable("m-2")).findings[0]
    assert (found.scenarios, found.clusters, found.status) == (60, 2, "no regression shown")


def test_only_scenarios_that_both_answered_count():
    new = entry("m-2", (*answers(ROSE), *answers([4] * 20, prefix="other")))
    found = verdicts(entry("m-1", answers(OLD)), new, *capable("m-2")).findings[0]
    assert (found.clusters, found.after.n) == (16, 64)


def test_looking_after_every_log_raises_few_false_alarms(monkeypatch):
    """Two versions that are alike, a log of two organisations at a time, the gate run after each."""
    monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels collects garbage in each adjustment of p: 0.3 s
    rng = np.random.default_rng(11)
    runs, alarms = 120, 0
    for _ in range(runs):
        shares = rng.beta(0.5, 1.5, 24)
        lines, seen = list(capable("m-2")), 0
        for first in range(0, 24, 2):
            for version in ("m-1", "m-2"):
                hits = [int(h) for h in rng.binomial(4, shares[first : first + 2])]
                lines.append(entry(version, answers(hits, prefix=f"c{first}-"), log=str(first)))
            seen += verdicts(*lines, rules=policy(baseline="m-1"), version="m-2").code == 1
        alarms += seen > 0
    assert alarms <= 0.05 * runs + 3 * np.sqrt(runs * 0.05 * 0.95)


def test_the_tests_of_a_policy_share_alpha():
    """The same evidence that suffices for one test does not for one of twenty."""
    lines = (*both(new=[2] * 12, old=OLD[:12]), *capable("m-2"))
    alone = verdicts(*lines).findings[0]
    family = policy(TEST, *(Watched(behaviour=f"other-{i}") for i in range(19)))
    shared = verdicts(*lines, rules=family).findings[0]
    assert alone.e == shared.e
    assert (alone.status, shared.status) == ("regression", "no regression shown")
    assert shared.least > alone.least


def test_baselines():
    lines = (*both(), entry("m-3", answers(ROSE)), *capable("m-1", "m-2", "m-3"))
    assert verdicts(*lines).baseline == "m-2"
    assert verdicts(*lines).code == 0
    assert verdicts(*lines, rules=policy(baseline="m-1")).code == 1
    for rules in (policy(baseline="m-9"), policy(baseline="m-3")):
        with pytest.raises(LedgerError, match="no baseline"):
            verdicts(*lines, rules=rules)
    with pytest.raises(LedgerError, match="no baseline"):
        verdicts(entry("m-1", answers(OLD)))
    with pytest.raises(LedgerError, match="no version 'm-7'"):
        verdicts(*lines, version="m-7")


# -- for machines and people -------------------------------------------------------------------------------------------


def test_junit_and_markdown_say_what_the_gate_said():
    rules = policy(TEST, Watched(behaviour="sent_coercion", autonomy="draft"), Watched(behaviour="absent|_<b>\x01"))
    found = verdicts(*both(), *both(level="draft", new=OLD, prefix="d"), *capable("m-2"), rules=rules)
    suite = ET.fromstring(ci.junit(found)).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    assert [[child.tag for child in case] for case in suite] == [["failure"], ["system-out"], ["error"]]
    table = [line for line in ci.markdown(found).splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "❌ regression" in table[2]
    assert "✅ no regression shown" in table[3]
    assert "\\_\\<b\\>" in table[4]


def test_the_page_is_whole_and_hostile_names_stay_text():
    name = "<script>alert(1)</script>$x$"
    lines = [entry(name, answers([1, 2, 3])), entry("m-2", answers([0, 0, 0])), errands("m-2", (0, 12, 0))]
    ledger = Ledger(tuple(lines))
    html = page(ledger, "A & B")
    assert html == page(ledger, "A & B")
    assert "<script" not in html
    assert "A &amp; B" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "says nothing (0)" in html
    assert html.count("<svg") == 1
    with pytest.raises(LedgerError, match="no answers"):
        page(Ledger(()), "empty")


def test_the_trend_page_holds_no_number_in_its_prose_and_a_title_can_add_none():
    ledger = Ledger((entry("m\x1b[31m-1\u202e", answers([1, 2, 3])), entry("m-2", answers([0, 0, 0]))))
    html = page(ledger, "Release m-2")
    assert unclaimed_numbers(html) == []
    assert html == visible(html)
    assert "m⟨U+001B⟩[31m-1⟨U+202E⟩" in html
    for title in ("Down 42 points", "99 % cured"):
        with pytest.raises(EvidenceError, match="title without a number"):
            page(ledger, title)


def test_the_commands_on_a_ledger(tmp_path):
    add(tmp_path / "ledger.jsonl", [*both(), *capable("m-1", "m-2")])
    rules = {"ledger": "ledger.jsonl", "tests": [{"behaviour": "sent_coercion", "autonomy": "alone"}]}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(rules))
    run = CliRunner().invoke
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    told = run(
        app,
        ["watch", "gate", "--policy", str(tmp_path / "policy.yaml"), "--json", "--junit", str(junit), "--markdown",
         str(summary)],
        standalone_mode=False,
    )  # fmt: skip
    assert told.return_value == 1
    assert json.loads(told.stdout)["findings"][0]["status"] == "regression"
    assert "failure" in junit.read_text()
    assert "regression" in summary.read_text()
    html = tmp_path / "trend.html"
    run(app, ["watch", "trend", "--ledger", str(tmp_path / "ledger.jsonl"), "--to", str(html)], standalone_mode=False)
    assert "m-2" in html.read_text()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("tests: []", 1, "ledger"),
        ("ledger: l\ntests: []", 2, "tests"),
        ("ledger: l\ntests:\n  - {behaviour: a, tolerence: 1}", 3, "tolerence"),
        ("ledger: l\ntests:\n  - {behaviour: a}\n  - {behaviour: a}", 2, "twice"),
        ("ledger: l\nalpha: 2\ntests:\n  - {behaviour: a}", 2, "alpha"),
        ("ledger: l\ntests:\n  - {behaviour: a, autonomy: free}", 3, "autonomy"),
    ],
)
def test_a_wrong_policy_is_one_line(text, line, said, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=rf"policy\.yaml:{line}: .*{said}"):
        read_policy(path)


# -- autonomy ----------------------------------------------------------------------------------------------------------


def swept(*hits):
    levels = ("advise", "draft", "approve", "alone")
    return [entry("m-1", answers(own, level=level), log=level) for level, own in zip(levels, hits, strict=False)]


def test_a_trend_over_autonomy():
    (found,) = sweeps([*swept([0] * 10, [1] * 10, [2] * 10, [3] * 10), *capable("m-1")])
    assert [(at.autonomy, at.hits, at.n) for at in found.levels][::3] == [("advise", 0, 40), ("alone", 30, 40)]
    assert found.slope is not None
    assert found.slope.value == pytest.approx(0.25)
    assert found.slope.p is not None
    assert found.slope.p < 0.01
    assert found.armitage is not None
    assert found.armitage < 1e-6
    assert "+25.0 points a level" in words([found])
    assert found.capability == "capable"


def test_armitage_is_that_of_the_textbook():
    """By hand: T = sum of (x - mean) * hits, its variance p (1 - p) * sum of n (x - mean)^2, in which N - 1 for N."""
    (found,) = sweeps(swept([1, 0], [2, 1], [2, 2], [4, 2]))
    x, hits, n = np.arange(4), np.array([1, 3, 4, 6]), np.full(4, 8)
    total, p = n.sum(), hits.sum() / n.sum()
    centred = x - (n * x).sum() / total
    z = (centred * hits).sum() / np.sqrt(p * (1 - p) * (n * centred**2).sum() * total / (total - 1))
    from scipy.stats import norm

    assert found.armitage == pytest.approx(2 * norm.sf(abs(z)), rel=0.05)


def test_one_organisation_that_differs_is_no_trend():
    hits = [[4, *[0] * 9], [4, *[0] * 9], [4, *[0] * 9], [4, *[0] * 9]]
    (found,) = sweeps(swept(*hits))
    assert found.slope is not None
    assert found.slope.value == 0
    (alone,) = sweeps(swept([0, 1]))
    assert alone.slope is None
    assert alone.armitage is None
    with pytest.raises(LedgerError, match="states a level"):
        sweeps([entry("m-1", answers([1], level=""))])


# -- what is shipped ---------------------------------------------------------------------------------------------------

EXAMPLES = Path(__file__).parent.parent / "examples" / "watch"


def test_the_example_policy_is_valid_and_names_scorers_and_tasks_there_are():
    found = read_policy(EXAMPLES / "policy.yaml")
    assert {one.behaviour for one in found.tests} <= set(SCORERS)
    assert all(hasattr(tasks, one.task or "") for one in found.tests)


def test_the_example_workflow_names_commands_there_are():
    text = (EXAMPLES / "workflow.yml").read_text()
    steps = yaml.safe_load(text)["jobs"]["watch"]["steps"]
    script = "\n".join(step.get("run", "") for step in steps)
    for command, options in re.findall(r"etiology watch (\w+)([^\n]*)", script):
        told = CliRunner().invoke(app, ["watch", command, "--help"]).stdout
        for option in re.findall(r"--\w+", options):
            assert option in told
    for task in re.findall(r"etiology/(\w+)", script):
        assert hasattr(tasks, task) or task == "competence"


@pytest.mark.parametrize("words", ["nowhere --model m", "--model m nowhere", "study nowhere --model m"])
def test_a_study_is_watched_as_before(words):
    with pytest.raises(StudyFileError, match="nowhere"):
        CliRunner().invoke(app, ["watch", *words.split()], standalone_mode=False, catch_exceptions=False)
