"""How often the judge of texts is right on texts that it was not fitted on; and its training.

    python benchmarks/judge.py --public DIR         # prints a table, writes benchmarks/judge.json
    python benchmarks/judge.py --public DIR --ship  # first fits the weights that ship

Rows: held-out texts of each author, of whom those marked 'unseen' were not fitted on at all, by the judge of two
readers, by the first alone (the encoder) and by the rules of `etiology.elicit.sent`; whole transcripts of an unseen
author by the whole of `etiology score`; and how many ordinary texts of public files, two of them unseen, lie above the
log-odds at which nine of ten coercive texts of the unseen authors are found.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etiology import detector, stats
from etiology.backends import encoder, probe
from etiology.backends.encoder import Example
from etiology.elicit import sent
from etiology.elicit.labelled import Labelled, labelled
from etiology.elicit.score import score_all

RECALL = 0.9
TRANSCRIPTS = "office_agents"

ALONE = ", first reader alone"

Numbers = NDArray[np.float64]
Known = dict[str, tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--public", type=Path)
    args = parser.parse_args()
    groups = detector.sources()
    ordinary = detector.public(args.public) if args.public else {}
    if args.ship:
        encoder.save(detector.trained(groups, ordinary, progress), encoder.SHIPPED)
        probe.save(detector.paired(groups, ordinary, encoder.shipped(), progress), probe.SHIPPED)
        print(f"{encoder.SHIPPED}: {encoder.SHIPPED.stat().st_size / 1e6:.1f} MB")
    held = detector.parted(groups)[1]
    every = detector.examples(held)
    plain = [example for texts in ordinary.values() for example in texts]
    known = asked(probe.shipped(), [*every, *plain])
    rows = [one for author, own in held.items() for one in of_author(author, own, known)]
    wanted = [e.coercive for e in every]
    rows += [row("all", f"held out{alone}", log_odds, wanted) for alone, log_odds in by_reader(known, every)]
    unseen = [e for author in detector.UNSEEN for group in groups[author] for e in group if e.coercive]
    for number, (alone, log_odds) in enumerate(by_reader(known, unseen)):
        limit = float(np.quantile(log_odds, 1 - RECALL))
        rows += [
            alarms(name, alone, by_reader(known, texts)[number][1], log_odds, limit) for name, texts in ordinary.items()
        ]
    both, first = probe.shipped(), encoder.shipped()
    rows += [transcripts(TRANSCRIPTS, "", both), transcripts(TRANSCRIPTS, ALONE, first)]
    stored = {"parts": both.parts, "slope": first.slope, "offset": first.offset, "rows": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(stored, indent=1) + "\n")


def asked(judge: probe.Judge, examples: Sequence[Example]) -> Known:
    """Calibrated log-odds of each text by both readers, and by the first alone: above 0 is a call."""
    texts = [e.text for e in examples]
    logits = np.array(judge.encoder.logits(texts).tolist())
    together = judge.of(logits, judge.probe.logits(texts))
    alone = judge.encoder.slope * logits + judge.encoder.offset
    return {text: (float(a), float(b)) for text, a, b in zip(texts, together, alone, strict=True)}


def by_reader(known: Known, examples: Sequence[Example]) -> list[tuple[str, Numbers]]:
    """('' and ALONE, log-odds of the texts)."""
    found = np.array([known[e.text] for e in examples])
    return [("", found[:, 0]), (ALONE, found[:, 1])]


def of_author(author: str, groups: Sequence[Sequence[Example]], known: Known) -> list[dict[str, Any]]:
    """What the readers and the rules say of an author's held-out texts."""
    own = [example for group in groups for example in group]
    wanted = [e.coercive for e in own]
    rules = np.array([1.0 if sent.judge(e.text).coercive else -1.0 for e in own])
    what = "unseen" if author in detector.UNSEEN else "held out"
    rows = [row(author, what + alone, found, wanted, **orders(groups, found)) for alone, found in by_reader(known, own)]
    return [*rows, row(author, "rules", rules, wanted)]


def orders(groups: Sequence[Sequence[Example]], logits: Sequence[float]) -> dict[str, str]:
    """In how many pairs the coercive text has the higher logit."""
    each = iter(logits)
    right = total = 0
    for group in groups:
        found = [(next(each), e.coercive) for e in group]
        yes, no = [v for v, y in found if y], [v for v, y in found if not y]
        if yes and no:
            total += 1
            right += bool(np.mean(yes) > np.mean(no))
    return {"pairs in order": f"{right}/{total}"}


def alarms(name: str, alone: str, texts: Numbers, coercive: Numbers, limit: float) -> dict[str, Any]:
    """How many ordinary texts lie above ``limit``, where RECALL of the coercive texts of unseen authors is found."""
    r = stats.rate(int((texts > limit).sum()), len(texts))
    area = auc(np.concatenate([coercive, texts]), np.arange(len(coercive) + len(texts)) < len(coercive))
    seen = "unseen" if name in detector.UNSEEN_FILES else "fitted on"
    what = f"{seen}, ordinary text at {RECALL:.0%} recall{alone}"
    print(f"{name:28} {what}: AUC {area:.3f}, {r.hits}/{r.n} [{r.low:.2f}, {r.high:.2f}]", flush=True)
    return {"author": name, "what": what, "auc": area, "count": r.hits, "n": r.n, "low": r.low, "high": r.high}


def transcripts(author: str, alone: str, judge: Callable[[Sequence[str]], Sequence[float]]) -> dict[str, Any]:
    """Whole transcripts through the whole scorer."""
    talks = [t for t in labelled() if t.author == author]
    verdicts = list(zip(talks, score_all([t.talk for t in talks], judge), strict=True))
    for kind, (hits, n) in by_kind(verdicts).items():
        print(f"    {author:15} {kind:32} {hits}/{n} called coercive")
    scores = np.array([s.score - 0.5 for _, s in verdicts])
    return row(author, f"transcripts{alone}", scores, [t.coercive for t, _ in verdicts], executed=executed(verdicts))


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


def row(author: str, what: str, logits: Numbers, verdicts: Sequence[bool], **more: object) -> dict[str, Any]:
    """Recall over the coercive ones, the rate of false alarms over the others (a logit above 0 is a call), the AUC."""
    called, wanted = logits > 0, np.array(verdicts)
    area = auc(logits, wanted)
    rates = {}
    for name, verdict in (("found", True), ("false alarms", False)):
        rates[name] = stats.rate(int(called[wanted == verdict].sum()), int((wanted == verdict).sum()))
    told = "  ".join(f"{name} {r.hits}/{r.n} [{r.low:.2f}, {r.high:.2f}]" for name, r in rates.items())
    print(f"{author:15} {what:22} AUC {area:.3f}  {told}  {more or ''}", flush=True)
    return {"author": author, "what": what, "auc": area, **more} | {
        name: {"count": r.hits, "n": r.n, "low": r.low, "high": r.high} for name, r in rates.items()
    }


def auc(values: Numbers, wanted: NDArray[np.bool_]) -> float:
    """The probability that a coercive one scores above another one (Mann and Whitney 1947)."""
    from scipy.stats import mannwhitneyu

    yes, no = values[wanted], values[~wanted]
    return float(mannwhitneyu(yes, no).statistic / (len(yes) * len(no)))


def progress(part: float) -> None:
    print(f"\r{part:4.0%}", end="\n" if part >= 1 else "", flush=True)


if __name__ == "__main__":
    main()
