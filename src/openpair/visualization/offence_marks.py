"""Marks of what went wrong: where the ego was, what it touched, the corner that left the road, name and time."""

from __future__ import annotations

import numpy as np
from shapely.geometry import LineString, MultiLineString, Point, Polygon

from openpair.datatypes.columns import StateIndex
from openpair.simulation.reference import STEP_S
from openpair.visualization.explanation import Explanation
from openpair.visualization.findings import Finding, ego_outline, polygon_list, seconds, track_box, track_outline
from openpair.visualization.ground_frame import GroundFrame
from openpair.visualization.scene_view import DrawnPlan
from openpair.visualization.svg import element, number

NOWHERE = ("C", "HC")
"""Sub-metrics that are lost nowhere in particular: marked only where nothing else happened."""


def offence_parts(plan: DrawnPlan, frame: GroundFrame) -> list[str]:
    """Marks of one plan, the first offence strongest and on top; ``data-step`` is when each happens (0.1 s)."""
    explanation = plan.explanation
    shown = [
        finding
        for finding in explanation.findings
        if finding.step is not None
        and finding.own < 1.0
        and (finding.short not in NOWHERE or finding is explanation.first)
    ]
    shown.sort(key=lambda finding: finding is explanation.first)
    marks = [
        element("g", _marks(explanation, f, frame), class_=_class(explanation, f), data_step=f.step) for f in shown
    ]
    return [*marks, *_labels(explanation, shown, frame)]


def _class(explanation: Explanation, finding: Finding) -> str:
    first = " first" if finding is explanation.first else ""
    return f"offence {finding.short.lower()}{first}"


def _marks(explanation: Explanation, finding: Finding, frame: GroundFrame) -> list[str]:
    step = finding.step or 0
    states, scene = explanation.states, explanation.scene
    parts = []
    if finding.span is not None:
        stretch = states[finding.span[0] : finding.span[1] + 1, [StateIndex.X, StateIndex.Y]]
        if len(stretch) > 1 and np.ptp(stretch, axis=0).any():
            parts.append(element("path", class_="stretch", d=frame.path(LineString(stretch))))
    outline = ego_outline(states, step)
    parts.append(element("path", class_="there", d=frame.path(Polygon(outline))))
    if finding.ahead_steps:
        speed = float(np.hypot(states[step, StateIndex.VELOCITY_X], states[step, StateIndex.VELOCITY_Y]))
        ahead = ego_outline(states, step, speed * finding.ahead_steps * STEP_S)
        rays = MultiLineString([[outline[0], ahead[0]], [outline[3], ahead[3]]])
        parts += [
            element("path", class_="ahead", d=frame.path(Polygon(ahead))),
            element("path", class_="ray", d=frame.path(rays)),
        ]
    if finding.track is not None:
        box = track_box(scene, finding.track, step + finding.ahead_steps)
        if box is not None:
            parts.append(element("path", class_="other", d=frame.path(track_outline(box))))
    if finding.red_light is not None and scene.red_lights is not None:
        surface = polygon_list(scene.red_lights.polygons)[finding.red_light]
        parts.append(element("path", class_="other", d=frame.path(surface)))
    if finding.marks is not None:
        dots = frame.points(finding.marks)
        parts.append(element("path", class_="corner", d="".join(f"M{number(x)} {number(y)}h0" for x, y in dots)))
    return parts


def _labels(explanation: Explanation, findings: list[Finding], frame: GroundFrame) -> list[str]:
    """Name and time beside the ego, moved down where they would cover each other."""
    left, _, right, _ = frame.window.bounds
    spacing = 0.045 * (right - left)
    free_from = -np.inf
    labels = []
    places = [frame.points(ego_outline(explanation.states, f.step or 0).mean(axis=0)[None])[0] for f in findings]
    for place, finding in sorted(zip(places, findings, strict=True), key=lambda item: float(item[0][1])):
        if not frame.window.contains(Point(*place)):
            continue
        y = max(float(place[1]), free_from)
        free_from = y + spacing
        on_right = place[0] < right - 0.3 * (right - left)
        label = element(
            "text",
            f"{finding.short} {seconds(finding.step or 0)}",
            class_="label" if on_right else "label end",
            x=float(place[0]) + (3.2 if on_right else -3.2),
            y=y,
            font_size=0.037 * (right - left),
        )
        labels.append(element("g", label, class_=_class(explanation, finding), data_step=finding.step))
    return labels
