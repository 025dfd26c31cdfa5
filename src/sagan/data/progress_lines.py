"""Progress in plain lines, for standard error that goes into a file or a pipe: a bar says nothing there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

EVERY_S = 5.0
"""Seconds from one line to the next."""


class ProgressLines(Progress):
    """Is told of progress as a bar is, and says a line every few seconds: what, how much of how much, time left.

    What is done sooner says nothing; what said something says its end, too.

    Args:
        console: Where the lines go.
        in_bytes: Whether it counts bytes.
        clock: Gives the time in seconds.
    """

    def __init__(self, console: Console, *, in_bytes: bool, clock: Callable[[], float]) -> None:
        super().__init__(console=console, auto_refresh=False, get_time=clock)
        self.in_bytes = in_bytes
        self.said: dict[TaskID, tuple[float, float]] = {}
        """When each task said its last line, and how much was done then; a task that said none is not here."""

    def start(self) -> None:
        """Show nothing yet."""

    def stop(self) -> None:
        """Say the end of what said something before."""
        for task_id, (_, done) in self.said.items():
            if self._tasks[task_id].completed != done:
                self._say(task_id)
        self.said.clear()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Count further, and say a line when it is time."""
        super().advance(task_id, advance)
        self._perhaps_say(task_id)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a task as a bar does, and say a line when it is time."""
        super().update(task_id, **changes)
        self._perhaps_say(task_id)

    def _perhaps_say(self, task_id: TaskID) -> None:
        task = self._tasks[task_id]
        now = self.get_time()
        since, _ = self.said.get(task_id, (now if task.start_time is None else task.start_time, 0.0))
        if now - since >= EVERY_S:
            self.said[task_id] = now, task.completed
            self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        task = self._tasks[task_id]
        done = self._amount(task.completed)
        counted = done if task.total is None else f"{done} of {self._amount(task.total)}"
        left = task.time_remaining
        ending = "" if not left else f", {timedelta(seconds=round(left))} left"
        self.console.print(f"{task.description}: {counted}{ending}", markup=False, highlight=False, soft_wrap=True)

    def _amount(self, number: float) -> str:
        return f"{number / 1e6:,.1f} MB" if self.in_bytes else f"{number:,.0f}"
