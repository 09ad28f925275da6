"""Learning curves and calibration of the training runs that belong to results."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpair.damage import reading
from openpair.evaluation.records import PARTIAL_FILE, SCORES_FILE, SUMMARY_FILE
from openpair.training.curve_file import CURVE_FILE, read_curve

CALIBRATION_FILE = "calibration.json"

Runs = Sequence[tuple[str, Path]]
"""(label, folder) of training runs; each branch lies in a folder of its own below."""


def is_run(folder: Path) -> bool:
    """Whether a folder is a training run: a folder of ``openpair train`` that has logged something."""
    return any(folder.glob(f"*/{CURVE_FILE}"))


def is_unscored(folder: Path) -> bool:
    """Whether a folder holds training runs and no scores: a run itself, or a demo or reproduction that still trains."""
    if is_run(folder):
        return True
    scored = [folder / name for name in (SUMMARY_FILE, SCORES_FILE, PARTIAL_FILE)]
    return bool(runs_of(folder)) and not any(map(Path.exists, scored)) and not any(folder.glob("seed-*/scores/*.csv"))


def runs_of(folder: Path, checkpoints: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """Training runs that belong to a folder.

    Args:
        folder: a training run itself, the demo (``run`` in it), a reproduction (every seed), or another result.
        checkpoints: ``FOLDER`` or ``FOLDER@MODE`` of the result's agents, whose runs belong to it.
    """
    if is_run(folder):
        return [(folder.resolve().name, folder)]
    seeds = sorted(path for path in folder.glob("seed-*") if is_run(path))
    if seeds:
        return [(path.name.replace("-", " "), path) for path in seeds]
    run = folder / "run"
    if is_run(run):
        return [("", run)]
    of_agents = dict.fromkeys(Path(name.partition("@")[0]) for name in checkpoints)
    return [(path.name, path) for path in of_agents if is_run(path)]


def chart_data(runs: Runs) -> dict[str, Any]:
    """``curves``: label, branch and figures (name -> [[step, value] ...]) of each branch of each run; ``calibration``:
    what is known of each reward model. Raises OpenPairError for files that are damaged."""
    curves, calibration = [], []
    for label, folder in runs:
        for path in sorted(folder.glob(f"*/{CURVE_FILE}")):
            branch = path.parent.name
            name = f"{label}, {branch}" if label else branch
            curves.append({"label": name, "branch": branch, "figures": _figures(path.parent)})
        for path in sorted(folder.glob(f"*/{CALIBRATION_FILE}")):
            calibration.append({"label": label or path.parent.name, **_read_calibration(path)})
    return {"curves": curves, "calibration": calibration}


def _figures(folder: Path) -> dict[str, list[list[float]]]:
    figures: dict[str, list[list[float]]] = {}
    for point in read_curve(folder):
        for name, value in point.items():
            if name != "step" and isinstance(value, int | float) and math.isfinite(value):
                figures.setdefault(name, []).append([point["step"], value])
    return figures


def _read_calibration(path: Path) -> dict[str, Any]:
    with reading(path, "the calibration"):
        data = json.loads(path.read_text(encoding="utf-8"))
        if not {"regret", "rank_correlation", "score", "sub_scores"} <= data.keys():
            raise ValueError("it lacks parts")
        return dict(data)
