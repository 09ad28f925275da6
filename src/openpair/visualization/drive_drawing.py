"""Drives of one log as an SVG that a page plays: the ground along the way, everyone who is there, the egos.

Made of the parts of :mod:`openpair.visualization.drawing`, with its classes and colours; the animation of a drive
(:mod:`openpair.visualization.drive_video`) shows the same piece of ground around the ego.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString

from openpair.datatypes.columns import BoxIndex, MapLayer, StateIndex
from openpair.driving.recording import START_STEP, Recording
from openpair.driving.traffic import Traffic
from openpair.preparation.boxes import ego_center
from openpair.preparation.map_index import map_index
from openpair.scoring.build import DRIVABLE, LANES
from openpair.visualization.drawing import agent_part, ego_part, ground_parts, red_connectors, tone_class, transform
from openpair.visualization.filed_drive import FiledDrive
from openpair.visualization.ground_frame import GroundFrame, View, plan_points
from openpair.visualization.svg import element, number, smooth_path

FOLLOWED = View(ahead=38.88, behind=15.12, aside=30.0)
"""What is seen around an ego that is followed, its heading up."""

SEEN_M = 75.0
"""So far from the driven ways the ground and its road users are drawn: what a turned and widened view can show."""

STRIDE = 2
"""Steps between two places of a road user: 0.2 s; between them it moves straight."""


@dataclass(frozen=True)
class ShownDrive:
    """A drive on a page.

    Attributes:
        key: names it on the page.
        drive: as filed; something was driven.
        tone: its colour; None is the human's.
    """

    key: str
    drive: FiledDrive
    tone: int | None


def draw_drives(shown: Sequence[ShownDrive]) -> dict[str, Any]:
    """The drawing of several drives of one log, and what moves in it.

    Returns:
        ``svg``: one unit is one metre; its group ``world`` is turned and moved by the page, so that the ego it follows
        stays at (0, 0) heading up. ``view``: View around it [m]. ``last``: last step. ``drives``: key -> ``cast``
        (index), ``ego`` (x, y, turn at each step), ``plans`` (step, path, place). ``casts``: road users, ``parts`` and
        ``moves`` (track -> first index, places every 0.2 s); drives in replayed traffic share one.
    """
    recording = shown[0].drive.recording
    ways = [one.drive.states[:, : StateIndex.HEADING] for one in shown]
    frame = _frame(recording, ways)
    casts: list[dict[str, Any]] = []
    cast_of: list[int] = []
    for one in shown:
        replayed = not one.drive.traffic.answers_ego
        if not replayed or not casts or casts[0]["answers"]:
            last = recording.last_step if replayed else START_STEP + len(one.drive.states) - 1
            casts.append({"answers": not replayed, **_cast(one.drive.traffic, frame, last, _concerned(shown))})
        cast_of.append(next(i for i, c in enumerate(casts) if not c["answers"]) if replayed else len(casts) - 1)
    log = escape(recording.log_name)
    world = [
        element("g", _ground(recording, frame), class_="ground"),
        element("g", _lights(recording, frame), class_="lights"),
        element("g", [_way(one, frame) for one in shown], class_="ways"),
        element("g", class_="agents"),
        *(_ego(one, frame) for one in reversed(shown)),
    ]
    parts = [element("title", f"Drives of log {log} from above"), element("g", world, class_="world")]
    svg = element("svg", parts, xmlns="http://www.w3.org/2000/svg", class_="bev", viewBox=FOLLOWED.view_box, role="img")
    return {
        "svg": svg,
        "view": [FOLLOWED.aside, FOLLOWED.ahead, FOLLOWED.behind],
        "last": max(len(one.drive.states) for one in shown) - 1,
        "stride": STRIDE,
        "casts": [{"parts": cast["parts"], "moves": cast["moves"]} for cast in casts],
        "drives": {
            one.key: {
                "cast": cast,
                "ego": frame.places(ego_center(one.drive.states[:, : StateIndex.HEADING + 1])),
                "speed": np.round(one.drive.states[:, StateIndex.VELOCITY_X], 2).tolist(),
                "plans": [_plan(plan, one.drive.states, frame) for plan in one.drive.data["plans"]],
            }
            for one, cast in zip(shown, cast_of, strict=True)
        },
    }


def _frame(recording: Recording, ways: Sequence[NDArray[np.float64]]) -> GroundFrame:
    """The start's frame; its window is the neighbourhood of all ways."""
    start = recording.human_poses[START_STEP]
    local = GroundFrame(start, FOLLOWED.window)
    lines = [LineString(local.points(way if len(way) > 1 else np.repeat(way, 2, axis=0))) for way in ways]
    near = [line.simplify(1.0).buffer(SEEN_M, quad_segs=4) for line in lines]
    return GroundFrame(start, shapely.union_all(near).convex_hull)


def _ground(recording: Recording, frame: GroundFrame) -> list[str]:
    index = map_index(recording.road_map)
    on_route = {block for one in recording.frames for block in one.route_roadblock_ids}
    around = index.element_surfaces
    near = np.flatnonzero(shapely.intersects(around, frame.neighbourhood))
    layers = [MapLayer(int(index.shapes.layer[i])) for i in near]

    def of(*wanted: MapLayer) -> list[shapely.Polygon]:
        return [around[i] for i, layer in zip(near, layers, strict=True) if layer in wanted]

    lanes = recording.road_map.lanes
    route = [
        around[i]
        for i, layer in zip(near, layers, strict=True)
        if layer in LANES and lanes[index.shapes.tokens[i]].roadblock_id in on_route
    ]
    return ground_parts(
        frame,
        drivable=of(*DRIVABLE),
        crossings=of(MapLayer.INTERSECTION),
        route=route,
        lanes=of(*LANES),
        centerline=recording.human_poses[START_STEP:, : StateIndex.HEADING],
        road_map=recording.road_map,
    )


def _lights(recording: Recording, frame: GroundFrame) -> list[str]:
    """Connectors with the steps of the drive at which they are red."""
    count = recording.last_step - START_STEP + 1
    red: dict[str, NDArray[np.bool_]] = {}
    for step in range(count):
        for connector in recording.red_connectors(START_STEP + step):
            red.setdefault(connector, np.zeros(count, bool))[step] = True
    return red_connectors(red, recording.road_map, frame, 0)


def _cast(traffic: Traffic, frame: GroundFrame, last_step: int, concerned: set[str]) -> dict[str, Any]:
    """Road users within the window: their bodies, and the places of those that move."""
    places: dict[str, dict[int, NDArray[np.float64]]] = {}
    looks: dict[str, tuple[int, NDArray[np.float64]]] = {}
    for index, step in enumerate(range(START_STEP, last_step + 1, STRIDE)):
        agents = traffic.agents(step)
        inside = shapely.contains_xy(frame.window, frame.points(agents.box[:, :2]))
        for row in np.flatnonzero(inside):
            token = agents.track_tokens[row]
            places.setdefault(token, {})[index] = agents.box[row, : BoxIndex.LENGTH]
            looks.setdefault(token, (int(agents.category[row]), agents.box[row]))
    steps = len(range(START_STEP, last_step + 1, STRIDE))
    parts, moves = [], {}
    for number_, (token, known) in enumerate(places.items()):
        category, box = looks[token]
        poses = np.stack(list(known.values()))
        stands = len(known) == steps and np.ptp(poses, axis=0).max() < 1e-3
        first, last = min(known), max(known)
        placed_at = dict(zip(known, frame.places(poses), strict=True))
        if not stands:
            moves[str(number_)] = [first, [placed_at.get(i) for i in range(first, last + 1)]]
        placed = placed_at[first] if stands or first == 0 else None
        who = None if stands else str(number_)
        parts.append(agent_part(category, box, placed, who=who, concerned=token in concerned))
    return {"parts": "".join(parts), "moves": moves}


def _concerned(shown: Sequence[ShownDrive]) -> set[str]:
    """Tracks that an event is about."""
    return {event["about"].partition(" ")[0] for one in shown for event in one.drive.data["events"]} - {""}


def _way(one: ShownDrive, frame: GroundFrame) -> str:
    """Where the vehicle went, with a mark where something happened."""
    states = one.drive.states
    way = LineString(states[:, :2]) if len(states) > 1 else LineString()
    marks = [
        element("path", class_="corner", data_step=event["step"], d=f"M{number(x)} {number(y)}h0")
        for event in one.drive.data["events"]
        for x, y in frame.points(ego_center(states[event["step"]][None, :3])[:, :2])
    ]
    parts = [element("path", class_="motion", d=frame.path(way) if way.length else ""), *marks]
    return element("g", parts, class_=f"drive {tone_class(one.tone)}", data_plan=one.key)


def _ego(one: ShownDrive, frame: GroundFrame) -> str:
    center = ego_center(one.drive.states[0, : StateIndex.HEADING + 1])
    parts = [element("path", class_="plan", d="M0 0"), ego_part(f"ego:{one.key}", frame.placed(*center))]
    return element("g", parts, class_=f"drive {tone_class(one.tone)}", data_plan=one.key)


def _plan(plan: dict[str, Any], states: NDArray[np.float64], frame: GroundFrame) -> dict[str, Any]:
    """A plan's path in the ego's frame of its moment, and that frame's place in the drawing."""
    pose = states[plan["step"], : StateIndex.HEADING + 1]
    path = smooth_path(*plan_points(np.array(plan["poses"], np.float64)))
    return {"step": plan["step"], "d": path, "at": transform(frame.placed(*pose)), "score": plan["score"]}
