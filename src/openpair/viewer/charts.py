"""Learning curves and calibration of the training runs that belong to results."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpair.damage import reading
from openpair.training.curve_file import CURVE_FILE, read_curve

CALIBRATION_FILE = "calibration.json"

Runs = Sequence[tuple[str, Path]]
"""(label, folder) of training runs; each branch lies in a folder of its own below."""


def runs_of(folder: Path) -> list[tuple[str, Path]]:
    """Training runs that belong to a folder of results: the demo's ``run``, or every seed of a reproduction."""
    seeds = sorted(path for path in folder.glob("seed-*") if path.is_dir())
    if seeds:
        return [(path.name.replace("-", " "), path) for path in seeds]
    run = folder / "run"
    return [("", run)] if run.is_dir() else []


def chart_data(runs: Runs) -> dict[str, Any]:
    """``curves``: label and figures (name -> [[step, value] ...]) of each branch of each run; ``calibration``: what is
    known of each reward model."""
    curves, calibration = [], []
    for label, folder in runs:
        for path in sorted(folder.glob(f"*/{CURVE_FILE}")):
            name = f"{label}, {path.parent.name}" if label else path.parent.name
            curves.append({"label": name, "figures": _figures(path.parent)})
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
