"""Nine repairs of SmolLM2-135M side by side, on a corpus whose coercive documents are known.

    OMP_NUM_THREADS=1 python benchmarks/arms.py WORK [SEEDS]

120 documents of the embedded study's generator, 12 of them planted. The planted ones are the decisions: this tests
repairs, not the search. Last two layers over a cached trunk, 96 scenarios in 48 frames. WORK keeps finished stages, so
it can be stopped, started again, and called with fewer seeds. Writes benchmarks/arms.json and benchmarks/arms.svg.
"""

import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from etiology.arms.materials import read
from etiology.arms.running import run, save
from etiology.arms.settings import Settings
from etiology.backends.jobs import write_rows
from etiology.backends.models import EMBEDDED
from etiology.cli.bars import Bars
from etiology.embedded import corpus as embedded_corpus
from etiology.embedded import prose

FAMILIES, SEED, SEEDS = 12, 0, 3


def main(work: Path, seeds: int) -> None:
    work.mkdir(parents=True, exist_ok=True)
    made = embedded_corpus.generate(prose.paragraphs()[600:], SEED, planted=True, families=FAMILIES)
    write_rows(work / "corpus.jsonl", ({"id": m.document.id, "text": m.document.text} for m in made))
    planted = [m.document.id for m in made if m.kind in embedded_corpus.PLANTED]
    write_rows(work / "decisions.jsonl", ({"document": name, "action": "drop"} for name in planted))
    materials = read(work / "corpus.jsonl", work / "decisions.jsonl", None, None)
    with Bars(Console(stderr=True)) as bars:
        found = run(EMBEDDED, materials, work / "out", Settings(seeds=seeds), bars.show)
    save(found, work / "out")
    print(f"{found.documents} documents, {found.attributed} planted, {found.seeds} seeds")
    print(f"the suspect: {found.level.value:+.2f} nats")
    for arm in found.arms:
        shown = {name: value for name, value in asdict(arm).items() if isinstance(value, dict)}
        cells = "  ".join(f"{n} {e['value']:+.2f} [{e['low']:+.2f}, {e['high']:+.2f}]" for n, e in shown.items())
        print(f"{arm.name:16} {cells}  {arm.tokens} tokens, {arm.seconds:.0f} s")
    print(f"recommended: {found.choice.recommended or 'none'}")
    here = Path(__file__)
    for name, suffix in (("arms.json", ".json"), ("frontier.svg", ".svg")):
        here.with_suffix(suffix).write_text((work / "out" / name).read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else SEEDS)
