"""Requests that arrive within a moment of one another are answered together, by one thread at a time.

The thread starts with a request and ends when none is left, so an idle batch holds nothing alive. While it works, what
arrives waits and makes the next batch.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel

GATHER = 0.01
"""Seconds without a new request after which the batch starts: samples that go on at once arrive within that."""
PATIENCE = 0.1
"""Seconds after which it starts in any case."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Run = Callable[[Sequence[Request], Callable[[int], bool]], Sequence[Answer | Exception]]
"""Answers to requests, in order; an exception stands for a request that failed alone. Asked with a place, the second
argument says whether that request is no longer wanted."""


class Batch(Generic[Request, Answer]):
    """Gathers requests for ``run``. As soon as ``size`` of them wait, the batch starts."""

    def __init__(self, run: Run[Request, Answer], size: int) -> None:
        self._run = run
        self._size = size
        self._lock = threading.Lock()
        self._waiting: list[tuple[Request, Future[Answer]]] = []
        self._busy = False

    async def answer(self, request: Request) -> Answer:
        """The answer to one request, whatever the event loop."""
        done = anyio.Event()
        loop: Any = anyio.lowlevel.current_token().native_token
        post = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon  # trio's

        def tell(_: Future[Answer]) -> None:
            with suppress(RuntimeError):  # the loop is over, and with it whoever waited
                post(done.set)

        future = self.submit(request)
        future.add_done_callback(tell)
        try:
            await done.wait()
        except BaseException:
            future.cancel()
            raise
        return future.result()

    def submit(self, request: Request) -> Future[Answer]:
        """The answer to come. Cancel it to give the request up, even while it is worked on."""
        future: Future[Answer] = Future()
        with self._lock:
            self._waiting.append((request, future))
            start, self._busy = not self._busy, True
        if start:
            threading.Thread(target=self._work, name="etiology-batch", daemon=True).start()
        return future

    def _work(self) -> None:
        """Answer until nothing waits."""
        while batch := self._gather():
            requests, futures = [r for r, _ in batch], [f for _, f in batch]
            try:
                answers = self._run(requests, lambda place, futures=futures: futures[place].cancelled())  # type: ignore[misc]
            except Exception as problem:  # noqa: BLE001 - it is the requests' and is raised where they wait
                answers = [problem] * len(batch)
            for future, answer in zip(futures, answers, strict=True):
                _settle(future, answer)

    def _gather(self) -> list[tuple[Request, Future[Answer]]]:
        """All that wait, once no more arrive; the thread is over when that is nothing."""
        begun, seen = time.monotonic(), -1
        while seen < len(self._waiting) < self._size and time.monotonic() - begun < PATIENCE:
            seen = len(self._waiting)
            time.sleep(GATHER)
        with self._lock:
            batch = [(request, future) for request, future in self._waiting if not future.cancelled()]
            self._waiting = []
            self._busy = bool(batch)
        return batch


def _settle(future: Future[Answer], answer: Answer | Exception) -> None:
    """Give the answer to whoever waits, if somebody still does."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
