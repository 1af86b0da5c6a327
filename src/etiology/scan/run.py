"""The shards of a plan over processes here, over the tasks of a cluster, or by another's executor.

`Task` follows the protocol of datatrove's pipeline blocks, run(data, rank, world_size): its executors (local, Slurm,
Ray) take it as a pipeline of one. They only start it. What is done is told by the manifests, never by an executor's own
marks: those have called a run completed that lacked shards, when it was gone on with fewer tasks.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from etiology.core.errors import ScanError
from etiology.scan.inputs import Shard
from etiology.scan.plan import Manifest, Plan, digest, done, load

Work = Callable[[int, Shard], Manifest]
"""Does one shard and writes its manifest: `step.Scan` or `apply.Apply`."""

SLURM: Final = """#!/bin/bash
#SBATCH --job-name=etiology-scan
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --requeue
# Each task does its own shards; one that was stopped goes on where its manifests end.
export OMP_NUM_THREADS=1
exec {python} -m etiology.scan.run {folder} "$SLURM_ARRAY_TASK_ID"
"""


@dataclass(frozen=True)
class Task:
    """One task of a plan, as a block of a pipeline: calling it does its shards that are not done."""

    folder: str

    def __call__(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:  # noqa: ARG002
        """Do task ``rank`` of ``world_size``, which must be the plan's."""
        plan = load(Path(self.folder))
        if world_size != plan.tasks:
            raise ScanError(f"{self.folder}: its plan has {plan.tasks} tasks, not {world_size}; give the same number")
        for _ in shards_of(Path(self.folder), plan, rank):
            pass
        return iter(())

    run = __call__


def work_of(folder: Path, plan: Plan) -> Work:
    """What does one shard of a plan: a scan's or an apply's."""
    import pyarrow as pa

    # Arrow's own keeps what it was once given: 25 MB a worker.
    pa.set_memory_pool(pa.system_memory_pool())
    if "policy" in plan.settings:
        from etiology.scan.apply import Apply

        return Apply(folder, plan)
    from etiology.scan.step import Scan

    return Scan(folder, plan)


def shards_of(folder: Path, plan: Plan, task: int) -> Iterator[Manifest]:
    """Do a task's shards that are not done, one by one."""
    work, name = None, digest(plan)
    for number, shard in plan.of(task):
        if done(folder, number, name) is None:
            work = work or work_of(folder, plan)
            yield work(number, shard)


def run(folder: Path, workers: int, show: Callable[[int, int], None] = lambda _done, _all: None) -> None:
    """Do all that is not done, here. Workers take shards as they come: which one does which changes nothing."""
    plan = load(folder)
    name = digest(plan)
    open_ = [(i, s) for i, s in enumerate(plan.shards) if done(folder, i, name) is None]
    total = len(plan.shards)
    show(total - len(open_), total)
    if workers == 1 or len(open_) <= 1:
        for n, (number, shard) in enumerate(open_, start=1):
            _one(number, shard, str(folder), name)
            show(total - len(open_) + n, total)
        return
    context = multiprocessing.get_context("spawn")
    count = min(workers, len(open_))
    with ProcessPoolExecutor(count, context, initializer=_begin, initargs=(os.getpid(),)) as pool:
        futures = [pool.submit(_one, number, shard, str(folder), name) for number, shard in open_]
        try:
            for n, future in enumerate(as_completed(futures), start=1):
                future.result()
                show(total - len(open_) + n, total)
        except BrokenProcessPool as problem:
            raise ScanError(
                f"{folder}: a worker was killed (out of memory?); run the same command to go on: finished shards are "
                "kept"
            ) from problem


def _begin(parent: int) -> None:
    """In each worker: leave Ctrl-C to the parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@lru_cache(maxsize=1)
def _kept_work(folder: str, plan: str) -> Work:  # noqa: ARG001 - the plan's digest is what the work was made for
    """The work of a folder, with all it loaded: once a process."""
    return work_of(Path(folder), load(Path(folder)))


def _one(number: int, shard: Shard, folder: str, plan: str) -> str:
    return _kept_work(folder, plan)(number, shard).failed


def slurm_script(folder: Path, plan: Plan) -> str:
    """A job array: one task each, this Python, one core."""
    return SLURM.format(last=plan.tasks - 1, python=sys.executable, folder=str(folder.absolute()))


def main() -> None:
    """``python -m etiology.scan.run DIR TASK``: what a cluster's job calls."""
    folder, task = Path(sys.argv[1]), int(sys.argv[2])
    plan = load(folder)
    for _ in shards_of(folder, plan, task):
        pass
    mine = [done(folder, number, digest(plan)) for number, _ in plan.of(task)]
    sys.exit(0 if all(m is not None and not m.bad for m in mine) else 1)


if __name__ == "__main__":
    main()
