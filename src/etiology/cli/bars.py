"""Progress on standard error: a bar with the time left for each stage that is being made."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from etiology.cli import say
from etiology.core.visible import on_one_line


class Bars:
    """Told the share done of each stage by name. Use as a context."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:24}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._quiet = not console.is_terminal
        self._done: set[str] = set()

    def __enter__(self) -> Self:
        if not self._quiet:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._quiet:
            self._progress.stop()

    def show(self, stage: str, share: float) -> None:
        """Stage ``stage`` is done to ``share`` (0 to 1). Without a terminal, one line for each stage that ends."""
        if self._quiet:
            if share >= 1 and stage not in self._done:
                self._done.add(stage)
                say.done(stage)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(on_one_line(stage), total=1.0, start=False)
        task = self._tasks[stage]
        if share > 0 and not self._progress.tasks[task].started:
            self._progress.start_task(task)
        self._progress.update(task, completed=share)
