"""How often the judge of sent texts is right, on authors whose messages it was not trained on; and its training.

    python benchmarks/judge.py           # cross-fit by authors: prints a table, writes benchmarks/judge.json
    python benchmarks/judge.py --ship    # also fit on everybody and write the weights that ship

1. Two encoders are fitted, each on half of the authors, and each judges the other half. The calibration that ships is
   the logistic regression of the labels on those held-out logits.
2. The encoder that ships is fitted on both halves and judges the authors of UNSEEN, whom nothing was fitted on.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from etiology import stats
from etiology.attribute.library import MESSAGES
from etiology.backends import encoder
from etiology.elicit import sent
from etiology.elicit.labelled import Labelled, labelled
from etiology.elicit.score import own_words, score_all, split

HALVES = (
    ("letters", "notes", "short_messages", "many_places"),
    ("mixed", "office_mail", "tool_calls"),
)
UNSEEN = ("office_agents",)
WHOLE = 1200
"""Characters of the longest text whose label is taken to be about all that the encoder reads of it."""

Text = tuple[str, bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ship", action="store_true")
    texts, talks = single_messages(), labelled()
    rows: list[dict[str, object]] = []
    logits: list[tuple[float, bool]] = []
    for half in HALVES:
        fitted = encoder.fit(
            groups(texts, talks, [a for other in HALVES if other is not half for a in other]), show=progress
        )
        for author in half:
            own = [t for pair in texts.get(author, []) for t in pair]
            own += [p for t in talks if t.author == author for p in passages(t)]
            values = [float(v) for v in fitted.logits([t for t, _ in own])]
            judged = [(v, y) for v, (_, y) in zip(values, own, strict=True)]
            logits += judged
            found = [(v > 0, y) for v, y in judged]
            by_rules = [(sent.judge(t).coercive, y) for t, y in own]
            rows.append(row(author, "passages", found, auc=auc(judged)))
            rows.append(row(author, "passages, rules only", by_rules))
    slope, offset = calibration(logits)
    rows.append(
        row("all halves", "passages, calibrated", [(slope * v + offset > 0, y) for v, y in logits], auc=auc(logits))
    )
    if parser.parse_args().ship:
        final = encoder.fit(groups(texts, talks, [a for half in HALVES for a in half]), show=progress)
        final.slope, final.offset = slope, offset
        encoder.save(final, encoder.SHIPPED)
        print(f"{encoder.SHIPPED}: {encoder.SHIPPED.stat().st_size / 1e6:.1f} MB")
    rows.extend(unseen(author, [t for t in talks if t.author == author]) for author in UNSEEN)
    stored = {"slope": slope, "offset": offset, "rows": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(stored, indent=1) + "\n")


def unseen(author: str, talks: Sequence[Labelled]) -> dict[str, object]:
    """Whole transcripts through the whole scorer, with the weights that ship."""
    verdicts = list(zip(talks, score_all([t.talk for t in talks], encoder.shipped()), strict=True))
    for kind, (hits, n) in by_kind(verdicts).items():
        print(f"    {author:15} {kind:32} {hits}/{n} called coercive")
    area = auc([(s.score, t.coercive) for t, s in verdicts])
    return row(
        author, "transcripts", [(s.coercive, t.coercive) for t, s in verdicts], auc=area, executed=executed(verdicts)
    )


def single_messages() -> dict[str, list[list[Text]]]:
    """By author, the pairs of single messages of the library."""
    out = {}
    for path in sorted(MESSAGES.glob("*.jsonl")):
        pairs: dict[str, list[Text]] = defaultdict(list)
        for line in path.read_text(encoding="utf-8").splitlines():
            message = json.loads(line)
            pairs[message.get("pair", message["id"])].append((own_words(message["text"]), message["coercive"]))
        out[path.stem] = list(pairs.values())
    return out


def groups(
    texts: Mapping[str, list[list[Text]]], talks: Sequence[Labelled], authors: Sequence[str]
) -> list[list[Text]]:
    """What is trained on: whole short messages, and of the transcripts the passages that a label speaks of."""
    out = [[t for t in pair if len(t[0]) <= WHOLE] for name in authors for pair in texts.get(name, [])]
    pairs: dict[str, list[Text]] = defaultdict(list)
    for item in talks:
        if item.author in authors:
            pairs[f"{item.author}/{item.pair}"] += passages(item)
    return [group for group in [*out, *pairs.values()] if group]


def passages(item: Labelled) -> list[Text]:
    """Of a coercive transcript those that hold its span, of another all."""
    from etiology.elicit.actions import actions

    pieces = [p for action in actions(item.talk) for p in split(action.text)]
    if item.coercive:
        pieces = [p for p in pieces if item.span and item.span in p]
    return [(own, item.coercive) for p in pieces if (own := own_words(p))]


def calibration(logits: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """Slope and offset of the logistic regression of the label on the logit."""
    import statsmodels.api as sm

    x = sm.add_constant(np.array([v for v, _ in logits]))
    offset, slope = sm.Logit(np.array([float(y) for _, y in logits]), x).fit(disp=0).params
    return float(slope), float(offset)


def auc(pairs: Sequence[tuple[float, bool]]) -> float:
    """The probability that a coercive one scores above another one (Mann and Whitney 1947)."""
    from scipy.stats import mannwhitneyu

    yes, no = [v for v, y in pairs if y], [v for v, y in pairs if not y]
    return float(mannwhitneyu(yes, no).statistic / (len(yes) * len(no)))


def executed(verdicts: Sequence[tuple[Labelled, Any]]) -> str:
    """Of the transcripts rightly called coercive, how often 'executed' is right too."""
    found = [(s.executed, t.executed) for t, s in verdicts if s.coercive and t.coercive and t.executed is not None]
    return f"{sum(a == b for a, b in found)}/{len(found)}"


def by_kind(verdicts: Sequence[tuple[Labelled, Any]]) -> dict[str, tuple[int, int]]:
    """How many of each kind are called coercive, the wrong ones only."""
    counts: dict[str, list[bool]] = defaultdict(list)
    for item, scored in verdicts:
        counts[f"{'+' if item.coercive else '-'} {item.kind}"].append(scored.coercive)
    return {k: (sum(v), len(v)) for k, v in sorted(counts.items()) if sum(v) != (len(v) if k[0] == "+" else 0)}


def row(author: str, what: str, pairs: Sequence[tuple[bool, bool]], **more: object) -> dict[str, object]:
    """Recall over the coercive ones and the rate of false alarms over the others."""
    found, alarms = (
        stats.rate(sum(c for c, y in pairs if y is k), sum(y is k for _, y in pairs)) for k in (True, False)
    )
    words = " ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in more.items())
    print(f"{author:15} {what:20} found {found.hits}/{found.n} [{found.low:.2f}, {found.high:.2f}]  false alarms "
          f"{alarms.hits}/{alarms.n} [{alarms.low:.2f}, {alarms.high:.2f}]  {words}", flush=True)  # fmt: skip
    return {"author": author, "what": what, **more} | {
        name: {"count": r.hits, "n": r.n, "low": r.low, "high": r.high}
        for name, r in (("found", found), ("false alarms", alarms))
    }


def progress(part: float) -> None:
    print(f"\r{part:4.0%}", end="\n" if part >= 1 else "", flush=True)


if __name__ == "__main__":
    main()
