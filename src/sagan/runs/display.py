"""Progress in the terminal: a bar, or plain lines where there is none."""

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from sagan.training.hooks import Hook, Line, Record

# Where output is no terminal, something is said after so long a silence.
SILENCE_S = 10.0


class Display(Hook):
    """Shows how far a run is, its latest line of the log, and how long it will take.

    Args:
        console: Where to.
        total: Steps of the whole run.
        clock: Gives seconds.
    """

    def __init__(self, console: Console, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.total, self.clock = console, total, clock
        self.bar = Progress(
            TextColumn("step {task.completed:,.0f} of {task.total:,.0f}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self.task = self.bar.add_task("training", total=total)
        self.text = Text("")
        self.live = Live(console=console, refresh_per_second=4, get_renderable=lambda: Group(self.bar, self.text))

    def on_start(self, record: Record) -> None:
        """Show progress, and count the time left anew after a rollback."""
        self.first, self.started = record.step, self.clock()
        self.said = self.started
        self.bar.reset(self.task, completed=record.step)
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.live.start()

    def on_step(self, record: Record) -> None:
        """Move the bar; without one, say how far the run is where nothing was said for long."""
        self.bar.update(self.task, completed=record.step)
        if not self.live.is_started and self.clock() - self.said >= SILENCE_S:
            self._say(record.step)

    def on_line(self, record: Record, line: Line) -> None:
        """Show the numbers of a line."""
        if "images_per_s" not in line:
            return
        self.text = Text(in_words(line))
        if not self.live.is_started:
            self._say(int(str(line["step"])), f" | {self.text.plain}")

    def on_end(self, record: Record) -> None:
        """Leave the terminal as it was."""
        self.live.stop()

    def _say(self, step: int, more: str = "") -> None:
        self.said = self.clock()
        rate = (self.said - self.started) / max(1, step - self.first)
        left = duration(rate * (self.total - step))
        self.console.print(f"step {step:,}/{self.total:,} | {left} left{more}", highlight=False)


def in_words(line: Line) -> str:
    """Write the numbers of a line for people."""
    gammas = [
        f"{k.removeprefix('gamma/').replace('/', ' feat')} {v:+.3f}" for k, v in line.items() if k.startswith("gamma/")
    ]
    parts = [
        f"{line['images_per_s']:.0f} images/s",
        f"loss D {line['loss_d']:.3f} G {line['loss_g']:+.3f}",
        f"logits real {line['real_logits']:+.2f} fake {line['fake_logits']:+.2f}",
    ]
    if "heldout_logits" in line:
        # Both of the network as it is now; "real" above is an average over the updates since the last line.
        parts[-1] += f", now: trained {line['trained_logits']:+.2f} held-out {line['heldout_logits']:+.2f}"
    if gammas:
        parts.append("gamma " + ", ".join(gammas))
    return " | ".join(parts)


def duration(seconds: float) -> str:
    """Write a time for people."""
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"
