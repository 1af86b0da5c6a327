"""Lines of a ledger for tests."""

from pathlib import Path

from etiology.watch.ledger import Answers, Entry, Ledger
from etiology.watch.policy import Policy, Watched
from etiology.watch.regression import gate

TEST = Watched(behaviour="sent_coercion", autonomy="alone")


def answers(hits, n=4, level="alone", scenarios=1, control=False, prefix="c"):
    """One cluster for each of ``hits``, its scenarios all answered alike."""
    return tuple(
        Answers(f"{prefix}{i}-{s}", f"{prefix}{i}", "cell", level, control, h, n)
        for i, h in enumerate(hits)
        for s in range(scenarios)
    )


def entry(version, found, log="a", task="etiology/office", **more):
    return Entry(
        version, task, "sent_coercion", f"{log}.eval", f"{version}{log}", "", tools=True, answers=found, **more
    )


def errands(version, done):
    return Entry(version, "etiology/competence", "competence", "c", f"{version}c", "", tools=True, errands=done)


def capable(*versions):
    return tuple(errands(version, (12, 12, 1)) for version in versions)


def policy(*tests, **more):
    return Policy(ledger=Path("ledger.jsonl"), tests=tests or (TEST,), **more)


def verdicts(*entries, rules=None, version=None):
    return gate(Ledger(tuple(entries)), rules or policy(), version)
