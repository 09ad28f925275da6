"""A scene as plain data for a page: the drawing, what moves in it, scores and reasons of each plan."""

from __future__ import annotations

import math
from typing import Any

from openpair.datatypes.scene import SensorFrame
from openpair.datatypes.scores import SHORT_NAMES
from openpair.visualization.camera_strip import camera_strip, jpeg_data_uri
from openpair.visualization.colours import score_colour
from openpair.visualization.drawing import draw_scene, movements
from openpair.visualization.explanation import Explanation, plain
from openpair.visualization.findings import Finding
from openpair.visualization.scene_view import DrawnPlan, SceneView, ScoredPlan


def scene_data(view: SceneView, *, log: str = "", sensors: SensorFrame | None = None) -> dict[str, Any]:
    """What ``page/scene_panel.js`` shows; only text, numbers and None, so that it can be written as JSON."""
    explanation = view.plans[0].explanation if view.plans else None
    return {
        "token": view.scene.token,
        "log": log,
        "protocol": view.scene.protocol.value,
        "score_name": "PDMS" if explanation is None else explanation.score_name,
        "svg": draw_scene(view, step=0).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1),
        "moves": movements(view),
        "first": view.first_offence_step,
        "plans": [plan_data(plan) for plan in view.plans],
        "leaves": [leaf_data(leaf) for leaf in view.leaves],
        "camera": None if sensors is None else camera_data(sensors),
    }


def plan_data(plan: DrawnPlan) -> dict[str, Any]:
    """One plan: score, reasons, arithmetic."""
    explanation = plan.explanation
    score = explanation.score if plan.score is None else plan.score
    notes = [plan.note] if plan.note else []
    if plain(explanation.score_unfiltered) != plain(explanation.score):
        notes.append(f"without the human filter {plain(explanation.score_unfiltered)}")
    if plain(score) != plain(explanation.score):
        notes.append(f"{plain(explanation.score)} without what only the scene before can tell")
    return {
        "key": plan.key,
        "label": plan.label,
        "tone": plan.tone,
        "score": score,
        "explained": explanation.score,
        "notes": notes,
        "headline": explanation.headline(),
        "arithmetic": list(explanation.arithmetic()),
        "findings": [finding_data(explanation, finding) for finding in explanation.findings],
    }


def finding_data(explanation: Explanation, finding: Finding) -> dict[str, Any]:
    """One sub-metric: value, reason, moment, and the score if it alone were 1."""
    counts = finding.counts
    defined = not math.isnan(finding.value)
    kind = "whole" if finding.value == 1.0 else "lost" if finding.value == 0.0 else "partly"
    return {
        "short": finding.short,
        "name": finding.name.replace("_", " "),
        "value": finding.value if defined else None,
        "text": finding.text + ("; reported only" if not counts and defined else ""),
        "step": finding.step,
        "gain": explanation.score_with(finding.name) if counts and defined and finding.value < 1.0 else None,
        "kind": kind if counts and defined else "aside",
        "first": finding is explanation.first,
    }


def leaf_data(leaf: ScoredPlan) -> dict[str, Any]:
    """A candidate: true and predicted scores, and sub-metrics by short name."""
    return {
        "label": leaf.label,
        "score": number_or_none(leaf.score),
        "colour": score_colour(leaf.score),
        "predicted": None if leaf.predicted is None else number_or_none(leaf.predicted),
        "predicted_colour": score_colour(math.nan if leaf.predicted is None else leaf.predicted),
        "metrics": {SHORT_NAMES[name]: number_or_none(value) for name, value in leaf.metrics.items()},
        "predicted_metrics": {
            SHORT_NAMES[name]: number_or_none(value) for name, value in leaf.predicted_metrics.items()
        },
    }


def camera_data(sensors: SensorFrame) -> dict[str, Any] | None:
    """The camera strip as an image inside the page; None without images."""
    strip = camera_strip(sensors)
    if strip is None:
        return None
    return {"src": jpeg_data_uri(strip), "width": strip.shape[1], "height": strip.shape[0]}


def number_or_none(value: float, digits: int = 4) -> float | None:
    """A number that JSON can hold."""
    return round(float(value), digits) if math.isfinite(value) else None
