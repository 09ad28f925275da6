"""Learning curves of all seeds: what each branch logged, as panels of a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES, metric_names
from openpair.reproduction.agents import BASE, BASE_LABELS, LABELS
from openpair.reproduction.scoring import seed_folder
from openpair.training.curve_file import read_curve
from openpair.visualization.report_data import CurvePanel, Series

Curves = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""Branch (its folder below that of the seed) -> logged points of each seed that trained it."""

DRIFT, DISTANCE, TREE = "val_drift_m", "val_distance_m", "val_best_of_tree"
MAX_SERIES = 6


def read_curves(run: Path, seeds: Sequence[int]) -> dict[str, list[list[dict[str, Any]]]]:
    """All curves of a run."""
    curves: dict[str, list[list[dict[str, Any]]]] = {}
    for seed in seeds:
        folder = seed_folder(run, seed)
        for path in sorted(folder.rglob("curve.jsonl")):
            points = read_curve(path.parent)
            if points:
                curves.setdefault(path.parent.relative_to(folder).as_posix(), []).append(points)
    return dict(sorted(curves.items()))


def over_seeds(
    seeds: Sequence[Sequence[Mapping[str, Any]]], figure: str, label: str, *, dashed: bool = False
) -> Series:
    """A figure over steps: mean of the seeds that logged it, with a band from the least to the greatest."""
    values: dict[int, list[float]] = {}
    for points in seeds:
        for point in points:
            if figure in point:
                values.setdefault(int(point["step"]), []).append(float(point[figure]))
    steps = sorted(values)
    means = [float(np.mean(values[step])) for step in steps]
    if len(seeds) < 2:
        return Series(label, steps, means, dashed=dashed)
    low, high = ([float(bound(values[step])) for step in steps] for bound in (min, max))
    return Series(label, steps, means, low, high, dashed)


def learning_panels(curves: Curves) -> list[CurvePanel]:
    """What the imitation policies, the tree, the reward model and the corrector learned, on the validation towns."""
    imitation = [
        over_seeds(curves[branch], DISTANCE, BASE_LABELS.get(branch.partition("/")[0], BASE_LABELS[BASE]))
        for branch in _with(curves, DISTANCE)
        if branch not in _with(curves, DRIFT)
    ]
    panels = [CurvePanel("Imitation: distance to the human's plan", "step", "m", tuple(imitation[:MAX_SERIES]))]
    for title, branch, figures in (
        (
            "The tree",
            "rl",
            (
                (TREE, "best of leaves and root", False),
                ("val_leaf_score", "mean leaf", False),
                ("val_root_score", "root: a moved human plan", True),
            ),
        ),
        (
            "The reward model",
            "reward",
            (
                ("val_best_score", "best of the set", True),
                ("val_chosen_score", "its choice", False),
                ("val_root_score", "root", True),
            ),
        ),
        (
            "The corrector",
            "correction",
            (
                ("val_leaf_score", "corrected", False),
                ("val_root_score", "before: the reward model's choice", True),
            ),
        ),
    ):
        if branch in curves:
            series = tuple(over_seeds(curves[branch], name, label, dashed=dashed) for name, label, dashed in figures)
            panels.append(CurvePanel(title, "step", "PDMS", series, percent=True))
    return [panel for panel in panels if panel.series]


def drift_panels(curves: Curves) -> list[CurvePanel]:
    """How the sequential schemes change their policy: score, distance to the imitation policy, sub-metrics."""
    schemes = [branch for branch in _with(curves, DRIFT) if "/" not in branch][:MAX_SERIES]
    if not schemes:
        return []

    def panel(title: str, figure: str, unit: str, percent: bool) -> CurvePanel:
        label = _labels(schemes)
        return CurvePanel(
            title,
            "step",
            unit,
            tuple(over_seeds(curves[scheme], figure, label(scheme)) for scheme in schemes),
            percent=percent,
        )

    panels = [
        panel("Score", "val_score", "PDMS", True),
        panel("Drift: distance to the imitation policy's plan", DRIFT, "m", False),
        panel("Distance to the human's plan", DISTANCE, "m", False),
    ]
    panels += [panel(SHORT_NAMES[name], f"val_{name}", "%", True) for name in metric_names(Protocol.V1_1)]
    return [panel for panel in panels if any(len(series.x) for series in panel.series)]


def ablation_panels(curves: Curves) -> list[CurvePanel]:
    """Trees of the ablations beside that of the main table: best of the set and mean leaf, a few to a panel."""
    main = [branch for branch in _with(curves, TREE) if branch == "rl"]
    others = [branch for branch in _with(curves, TREE) if "/" in branch]
    room = MAX_SERIES - len(main)
    names = {branch: branch.split("/")[-2].replace("_", " ") for branch in others} | dict.fromkeys(main, "main table")
    return [
        CurvePanel(
            title,
            "step",
            "PDMS",
            tuple(over_seeds(curves[b], figure, names[b]) for b in (*main, *others[start : start + room])),
            percent=True,
        )
        for start in range(0, len(others), room)
        for title, figure in (("Best of leaves and root", TREE), ("Mean leaf", "val_leaf_score"))
    ]


def _with(curves: Curves, figure: str) -> list[str]:
    """Branches that log a figure."""
    return [branch for branch, seeds in curves.items() if any(figure in point for points in seeds for point in points)]


def _labels(schemes: Sequence[str]) -> Callable[[str], str]:
    return lambda scheme: LABELS.get(scheme, scheme.replace("_", " "))
