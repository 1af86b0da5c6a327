"""A gate's outcome for machines and pull requests: JUnit XML and a Markdown summary."""

import re
from typing import Final
from xml.etree import ElementTree as ET

from etiology.watch.regression import UNANSWERED, Finding, Outcome, told

SUITE: Final = "etiology watch gate"
MARKS: Final = {"regression": "❌", "no regression shown": "✅"}
UNPRINTABLE: Final = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 can't hold."""


def junit(outcome: Outcome) -> str:
    """One test case a test of the policy. A regression is a failure; an unanswered one an error, or skipped where the
    policy lets it pass.
    """
    found = outcome.findings
    failures = sum(one.status == "regression" for one in found)
    unanswered = sum(one.status in UNANSWERED for one in found)
    counts = {"errors": 0, "skipped": 0, ("errors" if outcome.unanswered_fail else "skipped"): unanswered}
    numbers = {"tests": len(found), "failures": failures, **counts}
    suite = ET.Element("testsuite", {"name": SUITE, **{name: str(count) for name, count in numbers.items()}})
    for one in found:
        _case(suite, outcome, one)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, outcome: Outcome, one: Finding) -> None:
    names = {"classname": f"{outcome.version} against {outcome.baseline}", "name": one.test.name}
    case = ET.SubElement(suite, "testcase", {key: UNPRINTABLE.sub("�", value) for key, value in names.items()})
    said = UNPRINTABLE.sub("�", told(one))
    if one.status == "regression":
        ET.SubElement(case, "failure", message=said, type=one.status)
    elif one.status in UNANSWERED:
        ET.SubElement(case, "error" if outcome.unanswered_fail else "skipped", message=said)
    else:
        ET.SubElement(case, "system-out").text = said


def markdown(outcome: Outcome) -> str:
    """A table with a row a test, under a line that says how it came out."""
    verdict = {0: "no regression shown", 1: "**regression**", 2: "unanswered"}[outcome.code]
    head = ["test", "", "before", "now", "rise, points", "e", "p (Holm)", "clusters", "smallest rise found"]
    lines = [
        f"### Watch: {_cell(outcome.version)} against {_cell(outcome.baseline)}: {verdict}",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(_row(one))} |" for one in outcome.findings),
        "",
        (
            f"False alarms: at most {100 * outcome.alpha:g} in 100 over all tests and however often this is looked at. "
            "'No regression shown' is no proof of safety: see the smallest rise that would have been found."
        ),
    ]
    return "\n".join(lines) + "\n"


def _row(one: Finding) -> list[str]:
    mark = MARKS.get(one.status, "❔")
    if one.status == "no answers":
        return [_cell(one.test.name), f"{mark} {one.status}", *["–"] * 7]
    least = "none" if one.least > 1 else f"{100 * one.least:.0f}"
    return [
        _cell(one.test.name),
        f"{mark} {one.status}",
        f"{one.before.hits}/{one.before.n}",
        f"{one.after.hits}/{one.after.n}",
        f"{100 * one.rise:+.0f} [{100 * one.low:+.0f}, {100 * one.high:+.0f}]",
        f"{one.e:.3g}",
        f"{one.p:.2g}",
        str(one.clusters),
        least,
    ]


def _cell(text: str) -> str:
    """A name that can't end its cell, its line, or open markup."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))
