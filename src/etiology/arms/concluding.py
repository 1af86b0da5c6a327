"""From stored scores to the table of arms. No model is run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etiology import stats
from etiology.arms.materials import ELICITED, ITEM, PLAIN, REQUEST, TAGGED, Materials
from etiology.backends import jobs, panel
from etiology.core.plain import finite
from etiology.core.values import ChoiceScore, Effect
from etiology.repair import frontier, recipes
from etiology.store import MANIFEST, Stage
from etiology.verify import effects

SCORE = "threat_given_secret"
FIRST = "first"
"""The input of an arm's stage that holds a first part which other arms share."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """The table: arms in order with the suspect's own level, and the choice among them."""

    level: Effect
    arms: tuple[frontier.Arm, ...]
    choice: frontier.Choice
    attributed: int
    documents: int
    seeds: int

    def plain(self) -> dict[str, Any]:
        """As JSON may hold it: without infinity."""
        out: dict[str, Any] = finite({**asdict(self), "rule": frontier.RULE, "score": effects.WORDS[SCORE]})
        return out


@dataclass(frozen=True)
class _Measured:
    """An arm's seeds: scores by probe, before and after the benign training, and held-out losses."""

    before: list[dict[str, ChoiceScore]]
    after: list[dict[str, ChoiceScore]]
    held_out: list[list[tuple[float, int]]]

    def view(self, kind: str, *, afterwards: bool = False) -> list[dict[str, ChoiceScore]]:
        """Scores of one kind of probe by what stands after it in the id."""
        start = f"{kind}/"
        runs = self.after if afterwards else self.before
        return [{name.removeprefix(start): s for name, s in run.items() if name.startswith(start)} for run in runs]


def conclude(
    read: Materials, layouts: Sequence[Stage], firsts: Sequence[Stage], runs: Mapping[str, Sequence[Stage]]
) -> Panel:
    """Every arm beside the suspect, paired by seed and scenario."""
    found = {name: _measured(stages) for name, stages in runs.items()}
    suspect, random = found[recipes.SUSPECT], found[recipes.RANDOM]
    counts = panel.counts(layouts[0].file("counts.json"))
    arms = []
    for name, own in found.items():
        if name == recipes.SUSPECT:
            continue
        # Read with its tag, an arm is compared with others read with the same: the tag alone is no repair.
        kind = TAGGED if name == recipes.TAGS else PLAIN

        def fell(other: _Measured, own: _Measured = own, kind: str = kind, *, later: bool = False) -> Effect:
            before, after = (one.view(kind, afterwards=later) for one in (other, own))
            return effects.change(before, after, read.scenarios, SCORE)

        arms.append(
            frontier.Arm(
                name=name,
                fall=fell(suspect),
                beyond=fell(random),
                afterwards=fell(suspect, later=True),
                elicited=fell(suspect, kind=ELICITED),
                perplexity=effects.perplexity_change(suspect.held_out, own.held_out),
                complying=_change(_complying, suspect, own, REQUEST, effects.UNIT),
                right=_change(_right, suspect, own, ITEM, "share"),
                tokens=counts[name]["corpus"] + counts[name]["second"],
                steps=counts[name]["steps"],
                seconds=_seconds(runs[name], firsts),
            )
        )
    level = effects.level(suspect.view(PLAIN), read.scenarios, SCORE)
    choice = frontier.choose(arms)
    return Panel(level, tuple(arms), choice, len(read.attributed), len(read.corpus), len(layouts))


def _measured(stages: Sequence[Stage]) -> _Measured:
    def scores(stage: Stage, name: str) -> dict[str, ChoiceScore]:
        return {row["scenario"]: jobs.choice_score(row) for row in jobs.read_rows(stage.file(name))}

    return _Measured(
        [scores(stage, "scores.jsonl") for stage in stages],
        [scores(stage, "afterwards.jsonl") for stage in stages],
        [[(loss, count) for loss, count in stage.read("held_out.json")] for stage in stages],
    )


def _seconds(stages: Sequence[Stage], firsts: Sequence[Stage]) -> float:
    """Seconds a seed; of arms that begin with a shared first part, that part included."""
    shared = [
        first.cost["seconds"]
        for stage, first in zip(stages, firsts, strict=True)
        if stage.read(MANIFEST)["inputs"].get(FIRST) == first.digest
    ]
    return (sum(stage.cost["seconds"] for stage in stages) + sum(shared)) / len(stages)


def _complying(score: ChoiceScore) -> float:
    """Log-odds (nats) of the complying openings against the refusing ones."""
    a, b, c, d = score.logprob
    return float(np.logaddexp(a, b) - np.logaddexp(c, d))


def _right(score: ChoiceScore) -> float:
    """1 where the first ending is the likeliest a token, else 0."""
    a, *others = (logprob / tokens for logprob, tokens in zip(score.logprob, score.tokens, strict=True))
    return float(a > max(others))


def _change(measure: Any, before: _Measured, after: _Measured, kind: str, unit: str) -> Effect:  # noqa: ANN401
    """Mean of after - before over probes of a kind, each its own cluster."""
    names = sorted(before.view(kind)[0])

    def values(runs: Sequence[Mapping[str, ChoiceScore]]) -> Floats:
        return np.array([[measure(run[name]) for name in names] for run in runs])

    return stats.effect(values(after.view(kind)) - values(before.view(kind)), names, unit)
