"""Demonstrations: a 20 s drive of one simulated car, repaired where its body leaves the road.

What a real driver would not do is an artefact of the simulation: cutting a kerb, passing through another car. Kerb
cuts are moved back onto the road; drives that touch anyone are thrown away. What remains is imperfect as people are:
in speed, in late reactions, in lane keeping.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from shapely.geometry.base import BaseGeometry

from openpair.datasets.world.town_map import TownMap, block_outline, ribbon
from openpair.datatypes import vehicle as ego_size
from openpair.worldgen.episode import Track
from openpair.worldgen.motion import PATH_STEP_M, Body, DrivenPath, Motion, drag, follow

MARGIN_M = 0.3
"""Clearance of the body from the kerb that a repair restores [m]."""
MAX_SHIFT_M = 1.2
ROUNDS = 6
EGO_BODY = Body(ego_size.REAR_AXLE_TO_FRONT_M, ego_size.REAR_AXLE_TO_REAR_M, Body.of_length(ego_size.LENGTH_M).lead)


def drivable_area(town: TownMap) -> BaseGeometry:
    """Where the scorer lets an ego be: roadblocks, intersections, carparks; town frame [m]."""
    parts = [shapely.Polygon(block_outline(block)) for block in town.blocks]
    parts += [shapely.Polygon(np.array(outline) / 100) for outline in town.junctions]
    parts += [
        shapely.Polygon(ribbon(np.array(p["line"]) / 100, p["width"] / 200, p["width"] / 200)) for p in town.carparks
    ]
    return shapely.union_all(parts)


def corners(rear_pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 4, 2) corners front left, rear left, rear right, front right of the ego's body at (T, 3) rear-axle poses."""
    along = np.array([EGO_BODY.front, -EGO_BODY.rear, -EGO_BODY.rear, EGO_BODY.front])
    left = np.array([1, 1, -1, -1]) * ego_size.WIDTH_M / 2
    c, s = np.cos(rear_pose[:, 2])[:, None], np.sin(rear_pose[:, 2])[:, None]
    return np.stack([rear_pose[:, :1] + c * along - s * left, rear_pose[:, 1:2] + s * along + c * left], axis=-1)


def safe_area(road: BaseGeometry) -> BaseGeometry:
    """The part of the road that is at least MARGIN_M away from its edge."""
    inside = road.buffer(-MARGIN_M)
    shapely.prepare(inside)
    return inside


def keep_on_road(path: DrivenPath, inside: BaseGeometry) -> DrivenPath | None:
    """The path, shifted sideways where the body would leave the area ``inside``; None where that fails."""
    for _ in range(ROUNDS):
        heading = drag(path, EGO_BODY)
        rear = path.xy - EGO_BODY.lead * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        points = corners(np.column_stack([rear, heading]))
        outside = ~shapely.contains_xy(inside, points[..., 0], points[..., 1])
        outside[: round(8 / PATH_STEP_M)] = False
        if not outside.any():
            return path
        depth = np.zeros(outside.shape)
        depth[outside] = shapely.distance(shapely.points(points[outside]), inside) + 0.04
        reach = round(4 / PATH_STEP_M)
        to_right = maximum_filter1d(depth[:, :2].max(axis=1), 2 * reach + 1)
        to_left = maximum_filter1d(depth[:, 2:].max(axis=1), 2 * reach + 1)
        if max(to_left.max(), to_right.max()) > MAX_SHIFT_M:
            return None
        path = path.shifted(gaussian_filter1d(to_left - to_right, 1.6 / PATH_STEP_M, mode="nearest"))
    return None


@dataclass(frozen=True)
class Drive:
    """A repaired drive.

    Attributes:
        motion: rear-axle motion of the ego at 10 Hz over the log's window.
        start_step: step of the episode at which it starts.
    """

    track: Track
    motion: Motion
    start_step: int


def repaired_drive(track: Track, start_step: int, steps: int, inside: BaseGeometry) -> Drive | None:
    """The window [start_step, start_step + steps) of a track as a demonstration, or None where it cannot be one."""
    if track.path is None or track.arc is None:
        return None
    lead_in, lead_out = 25.0, 6.0
    first = start_step - track.first_step
    arc = track.arc[first : first + steps]
    a = max(0, int((arc[0] - lead_in) / PATH_STEP_M))
    b = min(len(track.path.xy), int((arc[-1] + lead_out) / PATH_STEP_M) + 1)
    if b - a < 40:
        return None
    piece = DrivenPath(track.path.xy[a:b], track.path.heading[a:b])
    fixed = keep_on_road(piece, inside)
    if fixed is None:
        return None
    stretch = np.interp(arc - a * PATH_STEP_M, _matched(piece, fixed), np.arange(len(fixed.xy)) * PATH_STEP_M)
    if fixed is piece:
        stretch = arc - a * PATH_STEP_M
    return Drive(track, follow(fixed, stretch, EGO_BODY), start_step)


def _matched(before: DrivenPath, after: DrivenPath) -> NDArray[np.float64]:
    """For each point of ``after``: arc length of the corresponding point of ``before`` (ends correspond)."""
    share = np.linspace(0.0, 1.0, len(after.xy))
    return share * (len(before.xy) - 1) * PATH_STEP_M


def touches(rear_pose: NDArray[np.float64], boxes: NDArray[np.float64], margin_m: float = 0.0) -> NDArray[np.bool_]:
    """Whether the ego at (T, 3) rear-axle poses meets an agent's box (T, 5) x, y, heading, length, width.

    Separating axes: two boxes are apart exactly where some edge direction of either separates them.
    """
    heading = rear_pose[:, 2]
    gap = rear_pose[:, :2] + EGO_BODY.center * np.stack([np.cos(heading), np.sin(heading)], axis=-1) - boxes[:, :2]
    mine = (ego_size.LENGTH_M / 2, ego_size.WIDTH_M / 2)
    theirs = (boxes[:, 3] / 2, boxes[:, 4] / 2)
    apart = np.zeros(len(boxes), dtype=bool)
    turn = heading - boxes[:, 2]
    c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    for angle, own, other in ((heading, mine, theirs), (boxes[:, 2], theirs, mine)):
        ahead = np.abs(gap[:, 0] * np.cos(angle) + gap[:, 1] * np.sin(angle))
        aside = np.abs(gap[:, 1] * np.cos(angle) - gap[:, 0] * np.sin(angle))
        apart |= ahead > own[0] + other[0] * c + other[1] * s + margin_m
        apart |= aside > own[1] + other[0] * s + other[1] * c + margin_m
    return ~apart
