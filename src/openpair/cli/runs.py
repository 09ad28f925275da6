"""``openpair runs``: the training runs below a folder, how far they are and how good."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from openpair.configs.run_list import BranchState


@dataclass(frozen=True)
class Runs:
    """List the training runs below a folder: state of each branch, and its best figure on the validation scenes.

    A branch that is not done is "running" where it wrote within the last quarter of an hour, else "stopped".

    Example: openpair runs runs
    """

    folder: Annotated[Path, tyro.conf.Positional] = Path("runs")
    """A run folder, or one with several below it."""

    def run(self) -> int:
        """Print the table."""
        from rich.console import Console
        from rich.table import Table

        from openpair.configs.run_list import list_runs

        table = Table("run", "preset", "branch", "step", "state", "figure", "best", "latest", box=None)
        for branch in list_runs(self.folder):
            table.add_row(*row(branch))
        console = Console()
        console.print(table, width=None if console.is_terminal else 160)
        return 0


def row(branch: BranchState) -> tuple[str, ...]:
    """A line of the table."""
    best, latest = ("" if value is None else f"{value:.4f}" for value in (branch.best, branch.latest))
    steps = f"{branch.step}/{branch.steps}"
    return str(branch.run), branch.preset, branch.branch, steps, branch.state, branch.figure, best, latest
