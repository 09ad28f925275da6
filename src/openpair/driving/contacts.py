"""Collisions and near misses of a drive, by the scorer's rules of fault (:mod:`openpair.scoring.collisions`).

The scorer looks at 4 s and at the first contact alone; here every contact of a whole drive counts, each track once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex, StateIndex
from openpair.driving.road import RoadPlaces
from openpair.geometry.boxes import box_corners
from openpair.preparation.boxes import ego_center, ego_corners
from openpair.simulation.reference import STEP_S

STOPPED_MPS = 0.05
TTC_MIN_SPEED_MPS = 5e-3
TTC_STEPS = 10
"""Looks ahead: 0, 0.1 ... 0.9 s; nuPlan asks for a time to collision of at least 0.95 s."""

COS_AHEAD, COS_BEHIND = np.cos(np.deg2rad(30.0)), np.cos(np.deg2rad(150.0))
EGO_RADIUS_M = float(np.hypot(vehicle.LENGTH_M, vehicle.WIDTH_M)) / 2


@dataclass(frozen=True)
class Contact:
    """The first touch of a track.

    Attributes:
        step: index of the ego state.
        token: the track.
        category: what it is.
        kind: "stopped_ego", "stopped_track", "rear", "front" or "lateral".
        at_fault: the ego should have prevented it.
    """

    step: int
    token: str
    category: AgentCategory
    kind: str
    at_fault: bool


def contacts(states: NDArray[np.float64], agents: Sequence[Agents], places: RoadPlaces) -> list[Contact]:
    """All contacts of a drive, in order of time.

    Args:
        states: (n, 11) ego states every 0.1 s, StateIndex, global frame.
        agents: the others at each of them. Who overlaps the ego at the first is left out.
        places: where the ego is at each of them.
    """
    found: list[Contact] = []
    touched: set[str] = set()
    bodies = shapely.polygons(ego_corners(states[:, : StateIndex.HEADING + 1]))
    for step, (state, others) in enumerate(zip(states, agents, strict=True)):
        for row in _touching(bodies[step], state, others):
            token = others.track_tokens[row]
            if token not in touched and step > 0:
                kind = _kind(state, others, row)
                aside_counts = bool(places.multiple_lanes[step] or places.non_drivable[step])
                at_fault = kind in ("stopped_track", "front") or (kind == "lateral" and aside_counts)
                found.append(Contact(step, token, AgentCategory(int(others.category[row])), kind, at_fault))
            touched.add(token)
    return found


def _touching(body: shapely.Polygon, state: NDArray[np.float64], others: Agents) -> list[int]:
    """Rows of the agents whose box shares a point with the ego's."""
    center = ego_center(state[: StateIndex.HEADING + 1])
    radius = EGO_RADIUS_M + np.hypot(others.box[:, BoxIndex.LENGTH], others.box[:, BoxIndex.WIDTH]) / 2
    near = np.flatnonzero(np.hypot(*(others.box[:, : BoxIndex.HEADING] - center[:2]).T) <= radius)
    if not len(near):
        return []
    return [int(row) for row in near[shapely.intersects(body, shapely.polygons(_corners(others.box[near])))]]


def _kind(state: NDArray[np.float64], others: Agents, row: int) -> str:
    if np.hypot(state[StateIndex.VELOCITY_X], state[StateIndex.VELOCITY_Y]) <= STOPPED_MPS:
        return "stopped_ego"
    static = AgentCategory(int(others.category[row])).is_static
    if static or np.hypot(*others.velocity[row]) <= STOPPED_MPS:
        return "stopped_track"
    if _cos_bearing(state, others.box[row : row + 1])[0] < COS_BEHIND:
        return "rear"
    corners = ego_corners(state[: StateIndex.HEADING + 1])
    front = shapely.LineString(corners[[0, 3]])
    box = shapely.Polygon(_corners(others.box[row : row + 1])[0])
    return "front" if shapely.intersects(front, box) else "lateral"


def first_near_misses(
    states: NDArray[np.float64], agents: Sequence[Agents], places: RoadPlaces, met: Sequence[Contact]
) -> list[Contact]:
    """The first infraction of the time to collision with each track, in order of time.

    Ego and others go on at their present speed and heading for up to 0.9 s. Who is touched within that time counts
    where it is ahead of the ego, or not behind it while the ego is across lanes, off the road or in an intersection.

    Args:
        met: contacts of the drive; a track that was touched is not looked at any more.
    """
    found: list[Contact] = []
    gone_at = {contact.token: contact.step for contact in met}
    counted = _overlapping_now(states[0], agents[0])
    offsets = STEP_S * np.arange(TTC_STEPS, dtype=np.float64)
    for step, (state, others) in enumerate(zip(states, agents, strict=True)):
        speed = float(np.hypot(state[StateIndex.VELOCITY_X], state[StateIndex.VELOCITY_Y]))
        if speed < TTC_MIN_SPEED_MPS or not len(others):
            continue
        center = ego_center(state[: StateIndex.HEADING + 1])
        speeds = np.hypot(*others.velocity.T)
        reach = EGO_RADIUS_M + np.hypot(others.box[:, BoxIndex.LENGTH], others.box[:, BoxIndex.WIDTH]) / 2
        reach += (speed + speeds) * offsets[-1]
        near = np.flatnonzero(np.hypot(*(others.box[:, : BoxIndex.HEADING] - center[:2]).T) <= reach)
        bearing = _cos_bearing(state, others.box[near])
        wide = bool(places.multiple_lanes[step] or places.non_drivable[step] or places.in_intersection[step])
        near = near[(bearing > COS_AHEAD) | (wide & ~(bearing < COS_BEHIND))]
        near = near[[_open(others.track_tokens[row], step, counted, gone_at) for row in near]] if len(near) else near
        if not len(near):
            continue
        for row in near[_meets(state, speed, others.box[near], others.velocity[near], offsets)]:
            token = others.track_tokens[row]
            counted.add(token)
            found.append(Contact(step, token, AgentCategory(int(others.category[row])), "time_to_collision", True))
    return found


def _open(token: str, step: int, counted: set[str], gone_at: dict[str, int]) -> bool:
    return token not in counted and step <= gone_at.get(token, step)


def _overlapping_now(state: NDArray[np.float64], others: Agents) -> set[str]:
    body = shapely.Polygon(ego_corners(state[: StateIndex.HEADING + 1]))
    return {others.track_tokens[row] for row in _touching(body, state, others)}


def _meets(
    state: NDArray[np.float64],
    speed: float,
    boxes: NDArray[np.float64],
    velocity: NDArray[np.float64],
    offsets: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(k,) whether the ego's and each box touch while both go straight on."""
    moved = np.repeat(boxes[None], len(offsets), axis=0)
    moved[:, :, : BoxIndex.HEADING] += velocity * offsets[:, None, None]
    poses = np.repeat(state[None, : StateIndex.HEADING + 1], len(offsets), axis=0)
    poses[:, 0] += offsets * speed * np.cos(state[StateIndex.HEADING])
    poses[:, 1] += offsets * speed * np.sin(state[StateIndex.HEADING])
    bodies = shapely.polygons(ego_corners(poses))
    return np.asarray(shapely.intersects(bodies[:, None], shapely.polygons(_corners(moved))).any(axis=0))


def _cos_bearing(state: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,) cosine of the angle between the ego's heading and the line from its rear axle to each box's centre."""
    offset = boxes[:, : BoxIndex.HEADING] - state[: StateIndex.HEADING]
    heading = state[StateIndex.HEADING]
    ahead = offset @ np.array([np.cos(heading), np.sin(heading)])
    return np.asarray(ahead / np.maximum(np.hypot(*offset.T), 1e-9))


def _corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 4, 2) of boxes (..., 6)."""
    x, y, heading, length, width = np.moveaxis(boxes, -1, 0)[:5]
    return box_corners(x, y, heading, length, width)
