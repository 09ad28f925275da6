"""What runs there are below a folder, how far each branch is, and its best figures. Reads their files alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openpair.errors import OpenPairError
from openpair.training.curve_file import CURVE_FILE, read_curve

SETTINGS_FILE = "experiment.json"

SETTINGS_OF = {"il": "imitation", "rl": "reinforcement", "reward": "reward_model"}
"""Where the experiment keeps the settings of a branch that is called otherwise."""

BEST = {
    "il": ("val_distance_m", min),
    "rl": ("val_best_of_tree", max),
    "reward": ("val_chosen_score", max),
    "correction": ("val_leaf_score", max),
}
"""Figure of each branch that says how good it is, and which value is best; of others the score."""

QUIET_S = 900.0
"""A branch that has written nothing for so long has stopped."""


@dataclass(frozen=True)
class BranchState:
    """A branch of a run.

    Attributes:
        run: run folder.
        preset: name of the experiment.
        branch: name of the branch.
        step: of the last point of its curve.
        steps: that it takes.
        state: "done", "running" (it wrote not long ago) or "stopped".
        figure: name of the figure that says how good it is.
        best: its best value, None where it was never validated.
        latest: its last value.
    """

    run: Path
    preset: str
    branch: str
    step: int
    steps: int
    state: str
    figure: str
    best: float | None
    latest: float | None


def list_runs(folder: Path, *, now_s: float | None = None) -> list[BranchState]:
    """Every branch of every run below a folder, by path.

    Args:
        folder: of one run or of many.
        now_s: the time that "running" refers to, as time.time() gives it.

    Raises OpenPairError where there is no such folder, no run below it, or settings that are damaged.
    """
    if not folder.is_dir():
        raise OpenPairError("there is no such folder", where=folder, fix="Give the folder of a run, or of several")
    found = [
        state
        for settings in sorted(folder.rglob(SETTINGS_FILE))
        for state in _branches(settings, time.time() if now_s is None else now_s)
    ]
    if not found:
        raise OpenPairError("no run was started below this folder", where=folder, fix="Give the --out of a training")
    return found


def _branches(settings: Path, now_s: float) -> Iterator[BranchState]:
    try:
        experiment = json.loads(settings.read_text())
        preset = str(experiment["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OpenPairError(
            "the settings of this run cannot be read", where=settings, fix="Delete the run, or leave it out"
        ) from error
    for curve in sorted(settings.parent.glob(f"*/{CURVE_FILE}")):
        yield _state(settings.parent, preset, curve, _steps(experiment, curve.parent.name), now_s)


def _steps(experiment: Mapping[str, Any], branch: str) -> int:
    settings = experiment.get(SETTINGS_OF.get(branch, branch), {})
    return int(settings.get("steps", 0)) * (2 if settings.get("imitation_phase") else 1)


def _state(run: Path, preset: str, curve: Path, steps: int, now_s: float) -> BranchState:
    branch, points = curve.parent.name, read_curve(curve.parent)
    step = int(points[-1]["step"]) if points else 0
    figure, choose = BEST.get(branch, ("val_score", max))
    values = [float(point[figure]) for point in points if figure in point]
    quiet = now_s - curve.stat().st_mtime > QUIET_S
    state = "done" if steps and step >= steps else "stopped" if quiet else "running"
    best, latest = (choose(values), values[-1]) if values else (None, None)
    return BranchState(run, preset, branch, step, steps, state, figure, best, latest)
