"""An explained plan from above: what the scorer knows of the scene, the drive, and the places where points were lost.

Everything is drawn from the scoring scene, so golden cases, prepared scenes and datasets look the same. Agents and ego
stand where they are at the first offence; the page around the drawing can move them through time.
"""

from __future__ import annotations

from html import escape
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiLineString, Point, Polygon

from openpair.datatypes import vehicle
from openpair.datatypes.columns import AgentCategory, BoxIndex, MapLayer, StateIndex
from openpair.scoring.build import DRIVABLE, LANES
from openpair.simulation.reference import NUM_STEPS, STEP_S
from openpair.visualization.bev import AGENT_CLASS, BEV_STYLE, GroundFrame, View, plan_points, scale_bar, view_for
from openpair.visualization.explanation import Explanation
from openpair.visualization.findings import (
    Finding,
    ego_outline,
    polygon_list,
    seconds,
    track_box,
    track_outline,
    union_of,
)
from openpair.visualization.svg import element, line_path, number, smooth_path

Moving = list[list[float] | None]
"""x, y [m, drawing], turn [deg] at each step of 0.1 s; None where an agent is absent."""


def draw_explanation(explanation: Explanation, *, step: int | None = None) -> str:
    """``<svg>`` of an explained plan.

    Args:
        explanation: from :func:`openpair.visualization.explanation.explain`.
        step: moment to show [0.1 s]; None = the first offence, or now where there is none.

    Elements with ``data-who`` ("ego" or the number of a track) move with :func:`movements`.
    """
    first = explanation.first
    shown = step if step is not None else (0 if first is None or first.step is None else first.step)
    view = _view(explanation)
    frame = GroundFrame(explanation.scene.ego_state[:3], view)
    parts = [
        *_ground(explanation, frame),
        *_red_lights(explanation, frame, shown),
        *_drives(explanation, frame),
        *_agents(explanation, shown, frame),
        _ego(explanation, shown, frame),
        *_offences(explanation, frame),
        scale_bar(view),
    ]
    title = element("title", escape(f"{explanation.scene.token}, {explanation.label}, from above, forward is up"))
    return element("svg", [title, *parts], class_="bev", viewBox=view.view_box, role="img")


def explanation_svg(explanation: Explanation) -> str:
    """The drawing as a file of its own."""
    drawing = draw_explanation(explanation).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="900" ', 1)
    head, rest = drawing.split(">", 1)
    return f"{head}><style>{BEV_STYLE}{explanation_style()}</style>{rest}"


def explanation_style() -> str:
    """Colours of what an explained plan adds to the view from above."""
    return (resources.files("openpair.visualization") / "templates" / "explanation_bev.css").read_text("utf-8")


def movements(explanation: Explanation) -> dict[str, Moving]:
    """Where ego and agents are at each of the 41 steps, in the drawing."""
    frame = GroundFrame(explanation.scene.ego_state[:3], _view(explanation))
    moving: dict[str, Moving] = {
        "ego": [_placed(frame, *_ego_center(explanation.states, step)) for step in range(NUM_STEPS)]
    }
    for track in _tracks_nearby(explanation, frame):
        boxes = [track_box(explanation.scene, track, step) for step in range(NUM_STEPS)]
        moving[str(track)] = [None if box is None else _placed(frame, *box[: BoxIndex.LENGTH]) for box in boxes]
    return moving


def _view(explanation: Explanation) -> View:
    """Shows the plan, the drive and everything that is marked."""
    reach = [explanation.plan]
    pose = explanation.scene.ego_state[:3]
    forward = np.array([np.cos(pose[2]), np.sin(pose[2])])
    for points in (explanation.states[:, :2], explanation.reference_states[:, :2]):
        reach.append(((points - pose[:2]) @ forward)[:, None])
    return view_for(reach)


def _ground(explanation: Explanation, frame: GroundFrame) -> list[str]:
    """Drivable ground, lanes, the route's lanes, intersections, the centreline."""
    areas = explanation.scene.drivable_map
    near = [
        (polygon if polygon.is_valid else polygon.buffer(0), MapLayer(int(layer)), bool(on_route))
        for polygon, layer, on_route in zip(polygon_list(areas.polygons), areas.layer, areas.on_route, strict=True)
        if polygon.intersects(frame.neighbourhood)
    ]
    drivable = union_of([polygon for polygon, layer, _ in near if layer in DRIVABLE])
    route = union_of([polygon for polygon, _, on_route in near if on_route])
    crossings = union_of([polygon for polygon, layer, _ in near if layer is MapLayer.INTERSECTION])
    lanes = "".join(frame.path(polygon.boundary) for polygon, layer, _ in near if layer in LANES)
    center = LineString(explanation.scene.centerline[:, :2])
    return [
        element("path", class_="road", d=frame.path(drivable)),
        element("path", class_="crossing", d=frame.path(crossings)),
        element("path", class_="route", d=frame.path(route)),
        element("path", class_="lanes", d=lanes),
        element("path", class_="centerline", d=frame.path(center)),
    ]


def _red_lights(explanation: Explanation, frame: GroundFrame, step: int) -> list[str]:
    lights = explanation.scene.red_lights
    if lights is None:
        return []
    surfaces = polygon_list(lights.polygons)
    red = [surfaces[i] for i in np.flatnonzero(lights.active[step])]
    return [element("path", class_="red-area", d="".join(frame.path(surface) for surface in red))]


def _drives(explanation: Explanation, frame: GroundFrame) -> list[str]:
    """The plan as given, what the vehicle does with it, and PDM-Closed's drive."""
    reference = LineString(_centers(explanation.reference_states))
    drive = LineString(_centers(explanation.states))
    dots = frame.points(_centers(explanation.states)[10::10])
    return [
        element("path", class_="plan reference", d=frame.path(reference) if reference.length else ""),
        element("path", class_="plan given", d=smooth_path(*plan_points(explanation.plan))),
        element("path", class_="plan drive", d=frame.path(drive) if drive.length else ""),
        element("path", class_="dots", d="".join(f"M{number(x)} {number(y)}h0" for x, y in dots)),
    ]


def _centers(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """(41, 2) rear axles: the plan's own points."""
    return states[:, [StateIndex.X, StateIndex.Y]]


def _tracks_nearby(explanation: Explanation, frame: GroundFrame) -> list[int]:
    """Agents that are on the drawing at some step."""
    scene = explanation.scene
    rows = slice(0, int(scene.tracks.frame_offset[min(NUM_STEPS, len(scene.tracks.frame_offset) - 1)]))
    points = frame.points(scene.tracks.box[rows, :2])
    left, top, right, bottom = frame.window.bounds
    margin = 6.0
    inside = (
        (points[:, 0] > left - margin)
        & (points[:, 0] < right + margin)
        & (points[:, 1] > top - margin)
        & (points[:, 1] < bottom + margin)
    )
    return np.unique(scene.tracks.track[rows][inside]).tolist()


def _agents(explanation: Explanation, step: int, frame: GroundFrame) -> list[str]:
    """Boxes at the shown moment, drawn around (0, 0) and placed, so that a page can move them."""
    scene = explanation.scene
    concerned = {finding.track for finding in explanation.findings if finding.track is not None}
    parts = []
    for track in _tracks_nearby(explanation, frame):
        row = int(np.argmax(scene.tracks.track == track))
        length, width = scene.tracks.box[row, BoxIndex.LENGTH : BoxIndex.HEIGHT]
        nose = max(length / 2 - 0.25 * width, 0.25 * length)
        outline = np.array(
            [
                [0, -length / 2],
                [width / 2, -nose],
                [width / 2, length / 2],
                [-width / 2, length / 2],
                [-width / 2, -nose],
            ]
        )
        name = AGENT_CLASS.get(AgentCategory(int(scene.tracks.category[track])), "static")
        box = track_box(scene, track, step)
        placed = None if box is None else _placed(frame, *box[: BoxIndex.LENGTH])
        parts.append(
            element(
                "path",
                class_=f"agent {name}{' concerned' if track in concerned else ''}",
                data_who=str(track),
                transform=transform(placed or [0.0, 0.0, 0.0]),
                visibility=None if placed else "hidden",
                d=line_path(outline, closed=True),
            )
        )
    return parts


def _ego(explanation: Explanation, step: int, frame: GroundFrame) -> str:
    """Where the ego is now as an outline, and its box at the shown moment."""
    half_length, half_width = vehicle.LENGTH_M / 2, vehicle.WIDTH_M / 2
    body = line_path(
        np.array(
            [
                [half_width, -half_length],
                [half_width, half_length],
                [-half_width, half_length],
                [-half_width, -half_length],
            ]
        ),
        closed=True,
    )
    nose = f"M-.75 {number(-half_length + 1.5)}h1.5"
    now = element("path", class_="ego-now", d=frame.path(Polygon(ego_outline(explanation.states, 0))))
    moving = element(
        "g",
        [element("path", class_="ego", d=body), element("path", class_="ego-nose", d=nose)],
        data_who="ego",
        transform=transform(_placed(frame, *_ego_center(explanation.states, step))),
    )
    return now + moving


def _offences(explanation: Explanation, frame: GroundFrame) -> list[str]:
    """Marks of what happened somewhere, the first offence strongest and on top."""
    shown = [f for f in explanation.findings if f.step is not None and f.own < 1.0 and _has_place(explanation, f)]
    shown.sort(key=lambda finding: finding is explanation.first)
    marks = [
        element("g", _marks(explanation, finding, frame), class_=_offence_class(explanation, finding))
        for finding in shown
    ]
    return [*marks, *_labels(explanation, shown, frame)]


def _has_place(explanation: Explanation, finding: Finding) -> bool:
    """Discomfort is nowhere in particular: it is drawn only where nothing else happened."""
    return finding.short not in ("C", "HC") or finding is explanation.first


def _offence_class(explanation: Explanation, finding: Finding) -> str:
    first = " first" if finding is explanation.first else ""
    return f"offence {finding.short.lower()}{first}"


def _marks(explanation: Explanation, finding: Finding, frame: GroundFrame) -> list[str]:
    step = finding.step or 0
    states, scene = explanation.states, explanation.scene
    parts = []
    if finding.span is not None:
        stretch = _centers(states)[finding.span[0] : finding.span[1] + 1]
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
        labels.append(element("g", label, class_=_offence_class(explanation, finding)))
    return labels


def _ego_center(states: NDArray[np.float64], step: int) -> tuple[float, float, float]:
    x, y, heading = states[step, :3]
    return (
        x + vehicle.REAR_AXLE_TO_CENTER_M * np.cos(heading),
        y + vehicle.REAR_AXLE_TO_CENTER_M * np.sin(heading),
        heading,
    )


def _placed(frame: GroundFrame, x: float, y: float, heading: float) -> list[float]:
    """x, y and clockwise turn [deg] of a box in the drawing."""
    point = frame.points(np.array([[x, y]]))[0]
    turn = -np.degrees(np.arctan2(np.sin(heading - frame.heading), np.cos(heading - frame.heading)))
    return [round(float(point[0]), 2), round(float(point[1]), 2), round(float(turn), 1)]


def transform(placed: list[float]) -> str:
    """SVG transform of a placed box."""
    x, y, turn = placed
    return f"translate({number(x)} {number(y)}) rotate({number(turn)})"
