"""Beginning a scan or an apply, and choosing who runs it."""

import sys
from pathlib import Path

from etiology.core.errors import ScanError
from etiology.scan import calibrate, plan, policy, step
from etiology.scan import run as running
from etiology.scan.apply import copy_side_files, plan_of
from etiology.scan.cascade import Cascade, Settings
from etiology.scan.inputs import open_corpus
from etiology.scan.matching import compiled

EXECUTORS = ("local", "slurm", "datatrove", "ray")


def begin(corpus: str, out: Path, settings: Settings, tasks: int) -> plan.Plan:
    """Freeze the plan of a scan and compile its patterns. Errors: ScanError, all before any shard is read."""
    where = corpus if "://" in corpus else str(Path(corpus).absolute())
    _, shards = open_corpus(where)
    made = plan.Plan(where, tuple(shards), tasks, settings.plain())
    frozen = plan.frozen(made, out)
    ready = [out / name for name in step.PATTERNS]
    if not all(path.exists() for path in ready):
        databases = compiled(Cascade(settings).families)
        for path, data in zip(ready, (databases.anchors, databases.wholes), strict=True):
            with plan.written(path) as making:
                making.write_bytes(data)
    return frozen


def begin_apply(scanned: Path, policy_path: Path, to: Path) -> plan.Plan:
    """Freeze the plan of an apply. Errors: ScanError where the scan is not done or the policy is wrong."""
    if any(m is None for m in plan.manifests(scanned)):
        raise ScanError(f"{scanned}: not all of it is scanned; run etiology scan again, then apply")
    ready = policy.read(policy_path, calibrate.threshold(scanned))
    made = plan.frozen(plan_of(scanned, ready, policy_path), to)
    copy_side_files(made.open(), to, plan.digest(made))
    return made


def slurm(folder: Path) -> str:
    """The job script of a folder's plan."""
    return running.slurm_script(folder, plan.load(folder))


def run(folder: Path, executor: str, workers: int) -> None:
    """Do what is not done."""
    if executor not in EXECUTORS:
        raise ScanError(f"no executor '{executor}'; give one of {', '.join(EXECUTORS)}")
    if executor == "local":
        running.run(folder, workers, _show if sys.stderr.isatty() else lambda _done, _all: None)
        return
    task = running.Task(str(folder))
    tasks = plan.load(folder).tasks
    try:
        if executor == "ray":
            from datatrove.executor.ray import RayPipelineExecutor

            RayPipelineExecutor(
                [task], tasks=tasks, workers=workers, logging_dir=str(folder / "logs"), skip_completed=False
            ).run()
        else:
            from datatrove.executor.local import LocalPipelineExecutor

            LocalPipelineExecutor(
                [task], tasks=tasks, workers=workers, logging_dir=str(folder / "logs"), skip_completed=False
            ).run()
    except ImportError as problem:
        raise ScanError(
            f"executor '{executor}' needs datatrove (and Ray for ray); run: pip install 'etiology[cluster]'"
        ) from problem


def _show(done: int, total: int) -> None:
    print(f"\r{done} of {total} shards", end="\n" if done == total else "", file=sys.stderr, flush=True)  # noqa: T201
