"""Progress of an evaluation: scenes done, failures, rate, time left."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as ProgressTask
from rich.text import Text

from openpair.evaluation.records import ScoreRow


class _RateColumn(TextColumn):
    """Scenes per second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: ProgressTask) -> Text:
        return Text(f"{task.speed:.1f} scenes/s" if task.speed else "- scenes/s", style="progress.data.speed")


class EvaluationProgress:
    """A progress bar on stderr (nothing where ``show`` is False), and the count of failed scenes."""

    def __init__(self, total: int, *, done: int, show: bool) -> None:
        self._progress = Progress(
            TextColumn("[bold]evaluate[/bold]"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failures]}"),
            console=Console(file=sys.stderr),
            disable=not show,
        )
        self._failed_tokens: set[str] = set()
        self._task: TaskID = self._progress.add_task("evaluate", total=total, completed=done, failures="")

    def __enter__(self) -> EvaluationProgress:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def note(self, row: ScoreRow) -> None:
        """Count a row of an earlier run."""
        if row.failed:
            self._failed_tokens.add(row.token)

    def advance(self, scenes: int, rows: Iterable[ScoreRow]) -> None:
        """A chunk of scenes is done."""
        for row in rows:
            self.note(row)
        failures = f"[red]{len(self._failed_tokens)} failed[/red]" if self._failed_tokens else ""
        self._progress.update(self._task, advance=scenes, failures=failures)
