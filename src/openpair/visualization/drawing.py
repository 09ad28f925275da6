"""A scene from above as a compact SVG: ground, lights, road users, plans, what the vehicle does with them, offences.

The only drawing of scenes there is: pages, reports, notebooks and pictures show it, and drives are made of its parts
(:mod:`openpair.visualization.drive_drawing`). It is drawn from the scoring scene, so golden cases, prepared scenes and
datasets look the same; a dataset's scene adds what the scorer does not use.
What moves carries ``data-who`` and moves with :func:`movements`; colours are CSS variables (``page/scene.css``).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from openpair.datatypes import vehicle
from openpair.datatypes.columns import POSE_INTERVAL_S, AgentCategory, BoxIndex, MapLayer, StateIndex
from openpair.datatypes.road_map import Lane, RoadMap
from openpair.datatypes.scene import Frame, Scene
from openpair.datatypes.scoring_scene import Tracks
from openpair.preparation.boxes import ego_center
from openpair.scoring.build import DRIVABLE, LANES
from openpair.simulation.reference import NUM_STEPS, STEP_S
from openpair.visualization.assets import light_style, read_asset
from openpair.visualization.colours import score_colour
from openpair.visualization.findings import polygon_list, track_box, union_of
from openpair.visualization.ground_frame import GroundFrame, View, plan_points, view_for
from openpair.visualization.offence_marks import offence_parts
from openpair.visualization.scene_view import DrawnPlan, SceneView, ScoredPlan
from openpair.visualization.svg import element, line_path, number, smooth_path

Moving = list[list[float] | None]
"""x, y [m, drawing], turn [deg] at each step of 0.1 s; None where an agent is absent."""

AGENT_CLASS = {
    AgentCategory.VEHICLE: "car",
    AgentCategory.PEDESTRIAN: "ped",
    AgentCategory.BICYCLE: "bike",
}
MARGIN_M = 6.0
STEPS_PER_FRAME = round(POSE_INTERVAL_S / STEP_S)


def draw_scene(view: SceneView, *, step: int | None = None) -> str:
    """``<svg>`` of a scene with its plans.

    Args:
        view: what is drawn.
        step: moment to show [0.1 s]; None = the first offence, or now where there is none.

    Elements with ``data-who`` (``ego:<key of a plan>`` or the number of a track) move with :func:`movements`; lights
    carry ``data-red``, the steps at which they are red (``0-14 20-40``); plans and their marks lie in groups with
    ``data-plan``.
    """
    shown = view.first_offence_step if step is None else step
    ground = _ground_view(view)
    frame = GroundFrame(view.scene.ego_state[:3], ground.window)
    parts = [
        element("title", escape(f"Scene {view.scene.token} from above, forward is up")),
        element("g", _ground(view, frame), class_="ground"),
        element("g", _lights(view, frame, shown), class_="lights"),
        element("g", _trails(view, frame), class_="trails"),
        element("g", _agents(view, frame, shown), class_="agents"),
        element("g", leaf_parts(view.leaves), class_="leaves"),
        _reference(view, frame),
        *(_plan(plan, frame, shown) for plan in reversed(view.plans)),
        *(element("g", offence_parts(plan, frame), class_="marks", data_plan=plan.key) for plan in view.plans),
        scale_bar(ground),
    ]
    return element("svg", parts, class_="bev", viewBox=ground.view_box, role="img")


def svg_file(drawing: str) -> str:
    """A drawing as a file of its own: with name space and colours."""
    styled = drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="900" ', 1)
    head, rest = styled.split(">", 1)
    return f"{head}><style>{light_style(read_asset('scene.css'))}</style>{rest}"


def movements(view: SceneView) -> dict[str, Moving]:
    """Where egos and road users are at each of the 41 steps, in the drawing, by ``data-who``."""
    frame = GroundFrame(view.scene.ego_state[:3], _ground_view(view).window)
    moving: dict[str, Moving] = {}
    for plan in view.plans:
        states = plan.explanation.states
        moving[f"ego:{plan.key}"] = list(frame.places(ego_center(states[:NUM_STEPS, : StateIndex.HEADING + 1])))
    tracks = view.scene.tracks
    near = _tracks_nearby(view, frame)
    rows = _rows_by_step(tracks)[near]
    places = iter(frame.places(tracks.box[rows[rows >= 0], : BoxIndex.LENGTH]))
    for track, own in zip(near, rows.tolist(), strict=True):
        moving[str(track)] = [next(places) if row >= 0 else None for row in own]
    return moving


def _rows_by_step(tracks: Tracks) -> NDArray[np.int64]:
    """(K, 41) row of each track at each step; -1 where it is absent."""
    counts = np.diff(tracks.frame_offset[: NUM_STEPS + 1])
    rows = np.arange(counts.sum())
    table = np.full((len(tracks.tokens), NUM_STEPS), -1)
    table[tracks.track[rows], np.repeat(np.arange(len(counts)), counts)] = rows
    return table


def leaf_parts(leaves: Sequence[ScoredPlan]) -> list[str]:
    """Candidates, low scores below high ones; ``data-leaf`` is their index."""
    order = sorted(range(len(leaves)), key=lambda i: np.nan_to_num(leaves[i].score, nan=-1.0))
    return [
        element(
            "path",
            class_="leaf",
            data_leaf=i,
            stroke=score_colour(leaves[i].score),
            d=smooth_path(*plan_points(leaves[i].plan)),
        )
        for i in order
    ]


def lidar_part(points: NDArray[np.floating], view: SceneView, *, at_most: int = 6000) -> str:
    """LiDAR returns (P, 3) of the ego's frame [m] as dots, thinned evenly to ``at_most``."""
    ground = _ground_view(view)
    xy = np.stack([-points[:, 1], -points[:, 0]], axis=1)
    seen = (np.abs(xy[:, 0]) < ground.aside) & (xy[:, 1] > -ground.ahead) & (xy[:, 1] < ground.behind)
    xy = xy[seen & (points[:, 2] > 0.2)]
    xy = xy[:: max(1, len(xy) // at_most)]
    return element("path", class_="lidar", d="".join(f"M{number(x, 1)} {number(y, 1)}h0" for x, y in xy))


def scale_bar(view: View) -> str:
    """Ten metres, at the lower left."""
    x, y = -view.aside + 2.0, view.behind - 2.0
    label = element("text", "10 m", class_="scale-text", x=x + 5.0, y=y - 0.9)
    return element("path", class_="scale", d=f"M{number(x)} {number(y)}h10") + label


def transform(placed: list[float]) -> str:
    """SVG transform of a placed box."""
    x, y, turn = placed
    return f"translate({number(x)} {number(y)}) rotate({number(turn)})"


def _ground_view(view: SceneView) -> View:
    """Shows the plans, the drives and everything that is marked."""
    pose = view.scene.ego_state[:3]
    forward = np.array([np.cos(pose[2]), np.sin(pose[2])])
    reach = [float(leaf.plan[:, 0].max()) for leaf in view.leaves]
    for plan in view.plans:
        reach.append(float(plan.explanation.plan[:, 0].max()))
        reach.append(float(((plan.explanation.states[:, :2] - pose[:2]) @ forward).max()))
    return view_for(reach)


def _ground(view: SceneView, frame: GroundFrame) -> list[str]:
    """The ground as the scorer knows it, with the dataset's walkways and crosswalks."""
    areas = view.scene.drivable_map
    near = [
        (polygon if polygon.is_valid else polygon.buffer(0), MapLayer(int(layer)), bool(on_route))
        for polygon, layer, on_route in zip(polygon_list(areas.polygons), areas.layer, areas.on_route, strict=True)
        if polygon.intersects(frame.neighbourhood)
    ]
    road_map = None if view.surroundings is None else view.surroundings.road_map
    return ground_parts(
        frame,
        drivable=[polygon for polygon, layer, _ in near if layer in DRIVABLE],
        crossings=[polygon for polygon, layer, _ in near if layer is MapLayer.INTERSECTION],
        route=[polygon for polygon, _, on_route in near if on_route],
        lanes=[polygon for polygon, layer, _ in near if layer in LANES],
        centerline=view.scene.centerline[:, :2],
        road_map=road_map,
    )


def ground_parts(
    frame: GroundFrame,
    *,
    drivable: list[Polygon],
    crossings: list[Polygon],
    route: list[Polygon],
    lanes: list[Polygon],
    centerline: NDArray[np.float64],
    road_map: RoadMap | None,
) -> list[str]:
    """Walkways, drivable ground, lanes, the route's lanes, intersections, crosswalks, the centreline.

    Args:
        frame: of the drawing.
        drivable, crossings, route, lanes: valid surfaces, global frame.
        centerline: (n, 2) x [m], y [m], global frame.
        road_map: has walkways and crosswalks; None draws none.
    """
    walkways = [] if road_map is None else list(road_map.walkways.values())
    zebras = [] if road_map is None else list(road_map.crosswalks.values())
    return [
        _surface("walk", walkways, frame),
        element("path", class_="road", d=frame.path(union_of(drivable))),
        element("path", class_="crossing", d=frame.path(union_of(crossings))),
        element("path", class_="route", d=frame.path(union_of(route))),
        _surface("zebra", zebras, frame),
        element("path", class_="lanes", d="".join(frame.paths([polygon.boundary for polygon in lanes]))),
        element("path", class_="centerline", d=frame.path(LineString(centerline))),
    ]


def _surface(name: str, polygons: Sequence[BaseGeometry], frame: GroundFrame) -> str:
    surfaces = np.array(polygons, dtype=object)
    near = surfaces[shapely.intersects(surfaces, frame.neighbourhood)]
    data = frame.path(shapely.union_all(shapely.buffer(near, 0.02, join_style="mitre"))) if len(near) else ""
    return element("path", class_=name, d=data) if data else ""


def _lights(view: SceneView, frame: GroundFrame, shown: int) -> list[str]:
    """Red connectors: the scorer's surfaces where it knows them, else the dataset's centrelines with a bar at their
    beginning."""
    lights = view.scene.red_lights
    if lights is not None:
        return [
            _light("red-area", data, lights.active[:, index], shown)
            for index, data in enumerate(frame.paths(polygon_list(lights.polygons)))
        ]
    if view.surroundings is None:
        return []
    return red_connectors(_red_steps(view.surroundings), view.surroundings.road_map, frame, shown)


def red_connectors(red: dict[str, NDArray[np.bool_]], road_map: RoadMap, frame: GroundFrame, shown: int) -> list[str]:
    """Connectors' centrelines, and a bar at the beginning of each.

    Args:
        red: connector -> (n,) True at the steps at which it is red; those that the map does not have are left out.
        road_map: has the connectors.
        frame: of the drawing.
        shown: step that is shown at first.
    """
    known = [(road_map.lanes[name], active) for name, active in red.items() if name in road_map.lanes]
    paths = frame.paths([LineString(lane.baseline[:, :2]) for lane, _ in known])
    bars = frame.paths([LineString(stop_bar(lane)) for lane, _ in known])
    return [
        part
        for (_, active), path, bar in zip(known, paths, bars, strict=True)
        for part in (_light("red-path", path, active, shown), _light("red-bar", bar, active, shown))
    ]


def stop_bar(lane: Lane) -> NDArray[np.float64]:
    """(2, 2) ends of the bar across the beginning of a connector, global frame."""
    start, heading = lane.baseline[0, :2], lane.baseline[0, 2]
    across = 1.5 * np.array([-np.sin(heading), np.cos(heading)])
    return np.stack([start - across, start + across])


def _red_steps(scene: Scene) -> dict[str, NDArray[np.bool_]]:
    """(41,) True where a connector is red, for those that are at some moment; lights hold between frames."""
    frames: list[Frame] = [scene.current, *scene.future]
    red: dict[str, NDArray[np.bool_]] = {}
    for step in range(NUM_STEPS):
        for connector, is_red in frames[min(step // STEPS_PER_FRAME, len(frames) - 1)].traffic_lights:
            if is_red:
                red.setdefault(connector, np.zeros(NUM_STEPS, bool))[step] = True
    return red


def _light(name: str, data: str, active: NDArray[np.bool_], shown: int) -> str:
    if not data or not active.any():
        return ""
    hidden = None if active[min(shown, len(active) - 1)] else "hidden"
    return element("path", class_=name, data_red=_spans(active), visibility=hidden, d=data)


def _spans(active: NDArray[np.bool_]) -> str:
    """``0-14 20-40``: where a row of flags is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return " ".join(f"{start}-{end - 1}" for start, end in edges.reshape(-1, 2))


def _tracks_nearby(view: SceneView, frame: GroundFrame) -> list[int]:
    """Road users that are on the drawing at some step."""
    tracks = view.scene.tracks
    rows = slice(0, int(tracks.frame_offset[min(NUM_STEPS, len(tracks.frame_offset) - 1)]))
    points = frame.points(tracks.box[rows, :2])
    left, top, right, bottom = frame.window.bounds
    inside = (
        (points[:, 0] > left - MARGIN_M)
        & (points[:, 0] < right + MARGIN_M)
        & (points[:, 1] > top - MARGIN_M)
        & (points[:, 1] < bottom + MARGIN_M)
    )
    return np.unique(tracks.track[rows][inside]).tolist()


def _trails(view: SceneView, frame: GroundFrame) -> list[str]:
    """Where road users that move by more than 1 m go over the 4 s."""
    tracks = view.scene.tracks
    rows = slice(0, int(tracks.frame_offset[min(NUM_STEPS, len(tracks.frame_offset) - 1)]))
    lines = []
    for track in _tracks_nearby(view, frame):
        path = tracks.box[rows, :2][tracks.track[rows] == track]
        if len(path) > 1 and np.ptp(path, axis=0).max() > 1.0:
            lines.append(LineString(path))
    return [element("path", class_="trail", d="".join(frame.paths(lines)))] if lines else []


def _agents(view: SceneView, frame: GroundFrame, step: int) -> list[str]:
    """Boxes at the shown moment, drawn around (0, 0) and placed, so that a page can move them."""
    tracks = view.scene.tracks
    concerned = {finding.track for plan in view.plans for finding in plan.explanation.findings}
    parts = []
    for track in _tracks_nearby(view, frame):
        row = int(np.argmax(tracks.track == track))
        box = track_box(view.scene, track, step)
        parts.append(
            agent_part(
                int(tracks.category[track]),
                tracks.box[row],
                None if box is None else frame.placed(*box[: BoxIndex.LENGTH]),
                who=str(track),
                concerned=track in concerned,
            )
        )
    return parts


def agent_part(
    category: int, box: NDArray[np.float64], placed: list[float] | None, *, who: str | None, concerned: bool
) -> str:
    """A road user, drawn around (0, 0) and placed.

    Args:
        category: AgentCategory.
        box: BoxIndex; its length and width [m] count.
        placed: x, y, turn in the drawing; None hides it.
        who: its ``data-who``; None for what never moves.
        concerned: whether an offence is about it.
    """
    length, width = box[BoxIndex.LENGTH : BoxIndex.HEIGHT]
    nose = max(length / 2 - 0.25 * width, 0.25 * length)
    right = [[0, -length / 2], [width / 2, -nose], [width / 2, length / 2]]
    outline = np.array([*right, [-width / 2, length / 2], [-width / 2, -nose]])
    name = AGENT_CLASS.get(AgentCategory(category), "static")
    return element(
        "path",
        class_=f"agent {name}{' concerned' if concerned else ''}",
        data_who=who,
        transform=None if placed is None else transform(placed),
        visibility="hidden" if placed is None else None,
        d=line_path(outline, closed=True),
    )


def _reference(view: SceneView, frame: GroundFrame) -> str:
    """What the vehicle does with PDM-Closed's plan: progress is measured by it."""
    if not view.plans:
        return ""
    line = LineString(view.plans[0].explanation.reference_states[:, :2])
    return element("path", class_="reference", d=frame.path(line)) if line.length else ""


def _plan(plan: DrawnPlan, frame: GroundFrame, step: int) -> str:
    """The plan as given (dotted), what the vehicle does with it (a line with a dot each second), and the ego."""
    states = plan.explanation.states
    motion = LineString(states[:, [StateIndex.X, StateIndex.Y]])
    dots = frame.points(states[10::10, :2])
    return element(
        "g",
        [
            element("path", class_="plan", d=smooth_path(*plan_points(plan.explanation.plan))),
            element("path", class_="motion", d=frame.path(motion) if motion.length else ""),
            element("path", class_="dots", d="".join(f"M{number(x)} {number(y)}h0" for x, y in dots)),
            ego_part(f"ego:{plan.key}", frame.placed(*ego_center(states[step, : StateIndex.HEADING + 1]))),
        ],
        class_=f"drive {tone_class(plan.tone)}",
        data_plan=plan.key,
    )


def ego_part(who: str, placed: list[float]) -> str:
    """The ego's body, drawn around (0, 0) and placed (x, y, turn)."""
    half_length, half_width = vehicle.LENGTH_M / 2, vehicle.WIDTH_M / 2
    body = np.array([[half_width, -half_length], [half_width, half_length]])
    body = np.concatenate([body, body[::-1] * [-1, 1]])
    parts = [
        element("path", class_="ego", d=line_path(body, closed=True)),
        element("path", class_="ego-nose", d=f"M-.75 {number(-half_length + 1.5)}h1.5"),
    ]
    return element("g", parts, data_who=who, transform=transform(placed))


def tone_class(tone: int | None) -> str:
    """Class of a plan's colour and dashes; None is the human's."""
    return "human" if tone is None else f"tone{tone}"
