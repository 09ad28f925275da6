"""One progress view for everything that takes long: bars with rate and time left, or plain lines in a log file."""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

SHOWN_FIGURES = 3
LINE_WIDTH = 80
SECONDS_BETWEEN_LINES = 20.0


class _Rate(ProgressColumn):
    """Items per second since the start of a task."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:5.1f}/s" if speed else "     –/s", style="dim")


class ProgressView:
    """Context manager: any number of named tasks, each with done / total, rate, time left and a few figures.

    On a terminal the bars redraw themselves; elsewhere (a file, CI) each task prints a line every 20 s and at its end,
    and all of them together at most one a second besides these ends. Lines fit 80 columns. All on stderr: results can
    be piped.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, object] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._printed: dict[str, float] = {}
        self._finished: set[str] = set()
        self._last_line = -math.inf

    def __enter__(self) -> ProgressView:
        if self.console.is_terminal:
            self._bars = Progress(
                TextColumn("[bold]{task.description}", justify="left"),
                BarColumn(bar_width=16),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}", style="cyan"),
                console=self.console,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars, where everything else of this view goes."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def update(self, name: str, done: int, total: int, figures: dict[str, float] | None = None) -> None:
        """Tell that ``done`` of ``total`` items of a task are done, with figures to show beside it."""
        shown = "  ".join(f"{k} {v:.3g}" for k, v in list((figures or {}).items())[:SHOWN_FIGURES])
        now = time.monotonic()
        self._started.setdefault(name, (now, done))
        if self._bars:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=total, completed=done, figures="")
            self._bars.update(self._tasks[name], completed=done, total=total, figures=shown)  # type: ignore[arg-type]
            return
        finished = done >= total and name not in self._finished
        due = now - self._printed.get(name, -math.inf) >= SECONDS_BETWEEN_LINES
        if finished or (due and now - self._last_line >= 1.0):
            if done >= total:
                self._finished.add(name)
            self._printed[name] = self._last_line = now
            self.console.print(_line(name, done, total, self._started[name], now, shown), highlight=False)


def _line(name: str, done: int, total: int, start: tuple[float, int], now: float, figures: str) -> str:
    """A line of the log: name, share, rate, time left, figures."""
    seconds, items = now - start[0], done - start[1]
    rate = items / seconds if seconds > 0 and items else 0.0
    left = f"{(total - done) / rate:.0f} s left" if rate and done < total else ("done" if done >= total else "")
    return f"{name:<24} {done}/{total}  {rate:.1f}/s  {left}  {figures}".rstrip()[:LINE_WIDTH]
