"""Curves over seeds and the figures drawn from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from openpair.evaluation.statistics import Estimate
from openpair.reproduction.curves import ablation_panels, drift_panels, learning_panels, over_seeds, read_curves
from openpair.reproduction.figures import Bar, curves_figure, intervals_figure
from openpair.visualization.report_data import CurvePanel, Series


def test_a_curve_is_the_mean_of_the_seeds_that_logged_it() -> None:
    """Seed 1 was stopped after step 10; at step 20 seed 0 stands alone."""
    seeds = [[{"step": 10, "a": 1.0}, {"step": 20, "a": 4.0}], [{"step": 10, "a": 3.0}, {"step": 20, "b": 9.0}]]
    series = over_seeds(seeds, "a", "A")
    assert (list(series.x), list(series.y)) == ([10, 20], [2.0, 4.0])
    assert (series.low, series.high) == ([1.0, 4.0], [3.0, 4.0])
    assert over_seeds(seeds[:1], "a", "A").low is None


def test_branches_are_known_by_what_they_log(tmp_path: Path) -> None:
    logged = {
        "il": {"val_distance_m": 2.0},
        "diffusiondrive/il": {"val_distance_m": 3.0},
        "iterative": {"val_distance_m": 2.0, "val_drift_m": 0.5, "val_score": 0.6},
        "rl": {"val_best_of_tree": 0.9, "val_leaf_score": 0.7, "val_root_score": 0.8},
    }
    for branch, figures in logged.items():
        folder = tmp_path / "seed-0" / branch
        folder.mkdir(parents=True)
        (folder / "curve.jsonl").write_text(json.dumps({"step": 1, **figures}) + "\n")
    curves = read_curves(tmp_path, [0])
    imitation, tree = learning_panels(curves)
    assert {series.label for series in imitation.series} == {"TransFuser", "DiffusionDrive"}
    assert [list(series.y) for series in tree.series] == [[0.9], [0.7], [0.8]]
    drift = {panel.title: panel.series for panel in drift_panels(curves)}
    assert [series.label for series in drift["Drift: distance to the imitation policy's plan"]] == [
        "IL ⇄ RL, iterative"
    ]
    assert drift_panels({}) == []


def test_every_ablation_is_drawn_beside_the_main_tree() -> None:
    point = {"step": 1, "val_best_of_tree": 0.9, "val_leaf_score": 0.7}
    curves = {f"ablations/number_{i}/rl": [[point]] for i in range(7)} | {"rl": [[point]]}
    panels = ablation_panels(curves)
    labels = [[series.label for series in panel.series] for panel in panels]
    assert all(own[0] == "main table" and len(own) <= 6 for own in labels)
    assert {label for own in labels for label in own[1:]} == {f"number {i}" for i in range(7)}
    assert ablation_panels({"rl": [[point]]}) == []


def numbers_of(drawing: str, tag: str, attribute: str) -> list[float]:
    return [float(value) for value in re.findall(rf'<{tag}[^>]* {attribute}="([\d.]+)"', drawing)]


def test_means_stand_where_their_axis_says() -> None:
    """Three means a step apart, on an axis from 70 to 90: equal distances, and the labels above one another."""
    bars = [Bar("a", Estimate(70.0, 70.0, 80.0, 5, 5)), Bar("b", Estimate(80.0, 75.0, 85.0, 5, 5))]
    bars.append(Bar("c & d", Estimate(90.0, float("nan"), float("nan"), 5, 1)))
    drawing = intervals_figure([("PDMS", bars)])
    first, second, third = numbers_of(drawing, "circle", "cx")
    assert second - first == pytest.approx(third - second, abs=0.02)
    low, high = map(float, re.search(r'class="span c5" d="M([\d.]+) [\d.]+H([\d.]+)"', drawing).groups())  # type: ignore[union-attr]
    assert low == pytest.approx(first, abs=0.02) and high == pytest.approx(second, abs=0.02)
    assert drawing.count('class="span') == 2
    text = {element.text for element in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")}
    assert {"a", "b", "c & d", "PDMS", "70", "90"} <= text


def test_panels_stand_side_by_side_and_each_has_its_legend() -> None:
    panels = [CurvePanel(f"Panel {i}", "step", "m", (Series(f"line {i}", [1, 2], [0.0, 1.0]),)) for i in range(4)]
    drawing = curves_figure(panels, columns=3)
    charts = [e for e in ElementTree.fromstring(drawing).iter() if "chart" in (e.get("class") or "")]
    places = [(float(chart.get("x", "")), float(chart.get("y", ""))) for chart in charts]
    assert places[0][1] == places[1][1] == places[2][1] < places[3][1]
    assert places[0][0] < places[1][0] < places[2][0] and places[3][0] == places[0][0]
    assert all(f"Panel {i} [m]" in drawing and f"line {i}" in drawing for i in range(4))
    assert "data-chart" not in drawing


def test_the_corrector_has_a_panel_of_its_own() -> None:
    def logged(root: float) -> list[list[dict[str, float]]]:
        return [[{"step": 10, "val_best_of_tree": 0.9, "val_leaf_score": 0.8, "val_root_score": root}]]

    curves = {"correction": logged(0.7), "rl": logged(0.5)}
    panels = {panel.title: panel.series for panel in learning_panels(curves)}
    assert [series.y for series in panels["The tree"]] == [[0.9], [0.8], [0.5]]
    assert [series.y for series in panels["The corrector"]] == [[0.8], [0.7]]
    ablations = ablation_panels({**curves, "ablations/other/rl": logged(0.4)})
    assert [series.label for series in ablations[0].series] == ["main table", "other"]
