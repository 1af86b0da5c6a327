"""Processes that make stages side by side. They stay alive between stages, so that a model is loaded once in each.

Two processes of one thread are meant to beat one of two (docs/log.md, Speed). A worker that is killed, a
Ctrl-C and the death of the parent all end every worker and leave nothing half-written at a final name.
"""

import ctypes
import gc
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from etiology.core.errors import StoreError
from etiology.store import Slot, Stage, Store


@dataclass(frozen=True)
class Job:
    """A stage to make in a worker: ``make(folder, tick, **arguments)``, all of it picklable."""

    name: str
    make: Callable[..., None]
    arguments: Mapping[str, Any]
    settings: Mapping[str, Any]
    inputs: Mapping[str, Stage]


def environment(workers: int) -> dict[str, str]:
    """Threads are shared out among the workers; idle OpenMP threads must sleep, not spin, beside one another."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "OMP_NUM_THREADS": str(max(1, cores // workers)),
        "OMP_WAIT_POLICY": "PASSIVE",
        # glibc returns each large tensor to the system and faults it in again, which showed as time in the kernel
        "MALLOC_MMAP_THRESHOLD_": "4294967296",
        "MALLOC_TRIM_THRESHOLD_": "4294967296",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TQDM_DISABLE": "1",  # bars of libraries: a stage tells its own share
    }


def _begin(parent: int) -> None:
    """In each worker: leave Ctrl-C to the parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _make(make: Callable[..., None], folder: Path, arguments: Mapping[str, Any]) -> dict[str, float]:
    """In a worker: make the stage and say what it cost."""
    start = time.monotonic()
    make(folder, lambda share: _progress(folder).write_text(f"{share:.4f}"), **arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _let_go()
    return {"seconds": round(time.monotonic() - start, 2), "peak_mb": round(peak, 1)}


def _let_go() -> None:
    """Give the system back what a stage no longer needs; with the thresholds above glibc would keep all of it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _progress(folder: Path) -> Path:
    return folder.with_name(folder.name + ".progress")


class Workers:
    """A pool for one run of a study. Use as a context."""

    def __init__(self, store: Store, count: int, show: Callable[[str, float], None]) -> None:
        self.store, self.count, self.show = store, count, show
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        children = multiprocessing.active_children()
        self._pool.shutdown(wait=kind is None, cancel_futures=True)
        if kind is not None:
            for child in children:
                child.terminate()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            os.environ.update(environment(self.count))
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.count, context, initializer=_begin, initargs=(os.getpid(),))
        return self._pool

    def make(self, jobs: Sequence[Job]) -> dict[str, Stage]:
        """Every job's stage, by name: found, or made side by side. The first error ends the rest and is raised."""
        done: dict[str, Stage] = {}
        running: dict[Future[dict[str, float]], Slot] = {}
        for job in jobs:
            found = self.store.find(job.name, job.settings, job.inputs)
            if isinstance(found, Stage):
                done[job.name] = found
                self.show(job.name, 1)
            else:
                folder = self.store.begin(found)
                running[self._started().submit(_make, job.make, folder, job.arguments)] = found
                self.show(job.name, 0)
        while running:
            ended, _ = wait(running, timeout=0.5, return_when="FIRST_COMPLETED")
            for future in ended:
                slot = running.pop(future)
                done[slot.name] = self.store.commit(slot, _result(future, slot))
                _progress(slot.staging).unlink(missing_ok=True)
                self.show(slot.name, 1)
            for slot in running.values():
                self.show(slot.name, _share(slot.staging))
        return done


def _result(future: "Future[dict[str, float]]", slot: Slot) -> dict[str, float]:
    try:
        return future.result()
    except BrokenProcessPool as problem:
        raise StoreError(
            f"{slot.name}: a worker process was killed (out of memory?); lower 'workers' in study.yaml and run again: "
            "finished stages are kept"
        ) from problem


def _share(folder: Path) -> float:
    try:
        return float(_progress(folder).read_text())
    except (OSError, ValueError):
        return 0.0
