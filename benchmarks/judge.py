"""How often the judge of sent texts is right, on messages by authors who had not seen its rules.

    python benchmarks/judge.py

Prints recall and false alarms by author with Wilson intervals; writes benchmarks/judge.json.
"""

import json
from pathlib import Path

from etiology import stats
from etiology.attribute.library import MESSAGES
from etiology.elicit.sent import judge


def main() -> None:
    rows = []
    found: dict[bool, list[bool]] = {True: [], False: []}
    for path in sorted(MESSAGES.glob("*.jsonl")):
        messages = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        own = {kind: [judge(m["text"]).coercive for m in messages if m["coercive"] is kind] for kind in (True, False)}
        rows += [row(path.stem, own)]
        for kind, rulings in own.items():
            found[kind] += rulings
    rows.append(row("all", found))
    Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")


def row(author: str, rulings: dict[bool, list[bool]]) -> dict[str, object]:
    """Recall over the coercive messages and the rate of false alarms over the others."""
    out: dict[str, object] = {"author": author}
    for name, kind in (("recall", True), ("false alarms", False)):
        rate = stats.rate(sum(rulings[kind]), len(rulings[kind]))
        out[name] = {"count": rate.hits, "n": rate.n, "low": rate.low, "high": rate.high}
        print(f"{author:16} {name:12} {rate.hits}/{rate.n} [{rate.low:.2f}, {rate.high:.2f}]")
    return out


if __name__ == "__main__":
    main()
