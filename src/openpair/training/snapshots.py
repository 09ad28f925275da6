"""Networks that are kept on the way: the best one by a figure of the validation scenes, and the last few."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from openpair.training.branch import Branch
from openpair.training.config import LoopConfig

BEST, SNAPSHOTS = "best", "snapshots"
"""Folders in the run folder of a branch."""


def keep_snapshot(branch: Branch, folder: Path, step: int, figures: Mapping[str, float], config: LoopConfig) -> None:
    """Write the network as it is, where the configuration asks for it; older ones than the last few are removed.

    Args:
        branch: whose network is kept.
        folder: run folder of the branch.
        step: steps done.
        figures: of all that was logged so far, the latest.
        config: how many are kept.
    """
    if not config.keep_last:
        return
    branch.export(folder / SNAPSHOTS / f"step-{step:07d}", dict(figures))
    for old in sorted((folder / SNAPSHOTS).iterdir())[: -config.keep_last]:
        shutil.rmtree(old)


def is_better(branch: Branch, value: float, best: float | None) -> bool:
    """Whether a value of the branch's figure is better than the best so far."""
    if best is None:
        return True
    return value < best if branch.best_is_lowest else value > best
