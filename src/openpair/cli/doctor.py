"""``openpair doctor``: what is there, what is missing, how to get it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

EXIT_MISSING = 2


MARKS = {"ok": "[green]ok[/green]     ", "note": "[yellow]note[/yellow]   ", "missing": "[red]MISSING[/red]"}


@dataclass(frozen=True)
class Doctor:
    """Look at this machine and at NAVSIM's data: folders, environment, versions, GPU, disk, a sample of files, maps.

    Says in plain words what is missing and how to get it. Without a dataset folder it only looks at what the embedded
    world needs, which is nothing beyond the installation.

    Exit status: 0 nothing that is needed is missing, 2 something is.

    Example: openpair doctor --root DIR
    """

    files: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Single files to look at as well: checkpoints, plans (.npz), lists of scenes (.csv, .txt, .yaml)."""

    root: Path | None = None
    """NAVSIM's data folder (navsim_logs/, maps/, sensor_blobs/); default: where NAVSIM's environment variables say."""

    split: str | None = None
    """Look at this split alone."""

    cache: Path | None = None
    """Folder whose free disk space counts; default: the user's cache folder."""

    samples: int = 3
    """Files of each kind that are opened."""

    all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Open every file: reads the whole of the data."""

    def run(self) -> int:
        """Print the findings, return the exit status."""
        import os

        from rich.console import Console
        from rich.markup import escape

        from openpair.cli.doctor_data import data_checks
        from openpair.cli.doctor_files import file_checks
        from openpair.cli.doctor_machine import machine_checks

        samples = None if self.all else self.samples
        checks = [*machine_checks(self.cache), *data_checks(self.root, self.split, samples, os.environ)]
        checks += file_checks(self.files)
        console = Console()
        for check in checks:
            text = f"{MARKS[check.status]} {escape(f'{check.subject}: {check.finding}')}"
            console.print(text, highlight=False, soft_wrap=True)
            if check.fix:  # 'openpair[ray]' is text, no style
                console.print(f"        -> {check.fix}", highlight=False, markup=False, soft_wrap=True, style="bold")
        missing = sum(check.status == "missing" for check in checks)
        console.print(
            f"{missing} of {len(checks)} checks found something missing." if missing else "All that is needed is there."
        )
        return EXIT_MISSING if missing else 0
