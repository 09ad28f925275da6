"""Which lane the ego starts in and which lanes lead along the route."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.geometry.poses import wrap_angle
from openpair.preparation.boxes import ego_center, ego_corners
from openpair.preparation.map_index import LANES, MapIndex
from openpair.preparation.search_tree import search_order

TARGET_BLOCKS = 30
"""The centreline aims at the last block of this many, counted from the starting lane's block."""


def find_starting_lane(
    index: MapIndex, elements: NDArray[np.int64], rear_axle: NDArray[np.float64], route_lane_ids: Sequence[str]
) -> str:
    """Id of the on-route lane or connector the ego starts in.

    Among those that hold the rear axle, the one with the least heading error; failing that the first in route order
    that holds the ego centre, or else the nearest to the ego box.

    Args:
        elements: numbers of the elements of the scene's drivable map.
        rear_axle: (3,) x [m], y [m], heading [rad], global frame.
        route_lane_ids: lanes of the corrected route, block by block.
    """
    holding = _holding_lanes(index, elements, rear_axle, set(route_lane_ids))
    if holding:
        errors = [_heading_error(index.lane(lane_id).baseline, rear_axle) for lane_id in holding]
        return holding[int(np.argmin(errors))]

    polygons = index.lane_polygons(route_lane_ids)
    holds_center = shapely.contains_xy(polygons, *ego_center(rear_axle)[:2])
    if holds_center.any():
        return route_lane_ids[int(np.argmax(holds_center))]
    footprint = shapely.polygons(ego_corners(rear_axle))
    return route_lane_ids[int(np.argmin(shapely.distance(polygons, footprint)))]


def _holding_lanes(
    index: MapIndex, elements: NDArray[np.int64], rear_axle: NDArray[np.float64], route_lanes: set[str]
) -> list[str]:
    """On-route lanes of the drivable map that touch the rear axle, in the order of the original's search tree."""
    surfaces = index.element_surfaces[elements]
    touching = np.flatnonzero(shapely.intersects_xy(surfaces, rear_axle[0], rear_axle[1]))
    on_route = [i for i in touching if _is_lane(index, elements[i]) and index.shapes.tokens[elements[i]] in route_lanes]
    if len(on_route) > 1:
        rank = search_order(shapely.bounds(surfaces))
        on_route.sort(key=lambda i: rank[i])
    return [index.shapes.tokens[elements[i]] for i in on_route]


def _is_lane(index: MapIndex, element: int) -> bool:
    return index.shapes.layer[element] in LANES


def _heading_error(baseline: NDArray[np.float64], pose: NDArray[np.float64]) -> float:
    """Absolute heading difference to the vertex that is nearest in (x, y, raw heading)."""
    nearest = int(np.argmin(((baseline - pose) ** 2).sum(axis=-1)))
    return abs(float(wrap_angle(baseline[nearest, 2] - pose[2])))


def find_lane_path(
    index: MapIndex, start_lane_id: str, route: Sequence[str], route_lane_ids: Sequence[str]
) -> list[str]:
    """Lanes from the starting lane along the route, by Dijkstra's search over on-route lanes.

    Cost is the baseline length; equal costs leave the queue in the order they entered it. Where the target block
    cannot be reached: the deepest expanded lane, at equal depth the nearest, then the first expanded.

    Args:
        start_lane_id: lane the ego is in.
        route: corrected route, block ids.
        route_lane_ids: its lanes.
    """
    position = route.index(index.lane(start_lane_id).roadblock_id)
    target = route[position : position + TARGET_BLOCKS][-1]
    allowed = set(route_lane_ids)
    parent: dict[str, str | None] = {start_lane_id: None}
    frontier: dict[str, tuple[float, int]] = {start_lane_id: (1.0, 1)}  # insertion order = queue order
    expanded: dict[str, tuple[float, int]] = {}
    while frontier:
        lane_id = min(frontier, key=lambda i: frontier[i][0])
        cost, depth = frontier.pop(lane_id)
        lane = index.lane(lane_id)
        if lane.roadblock_id == target:
            return _trace(parent, lane_id)
        expanded[lane_id] = (cost, depth)
        for following in lane.outgoing:
            if following not in allowed or following in expanded:
                continue
            reached = cost + index.lane_lines[following].length
            if following not in frontier or reached < frontier[following][0]:
                frontier[following] = (reached, depth + 1)  # keeps its place in the queue
                parent[following] = lane_id
    return _trace(parent, min(expanded, key=lambda i: (-expanded[i][1], expanded[i][0])))


def _trace(parent: dict[str, str | None], lane_id: str) -> list[str]:
    path = [lane_id]
    while (previous := parent[path[-1]]) is not None:
        path.append(previous)
    return path[::-1]
