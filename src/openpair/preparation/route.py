"""Route correction: the given route, made to start at the ego, without gaps and without loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.columns import MapLayer
from openpair.errors import OpenPairError
from openpair.geometry.poses import wrap_angle
from openpair.preparation.map_index import MapIndex

NEAR_BLOCK_M = 1.0
MAX_HEADING_ERROR_RAD = np.pi / 4
MAX_DISPLACEMENT_M = 3.0
BACKWARD_BLOCKS = 15
FORWARD_BLOCKS = 30
REJOIN_BLOCKS = 3
"""The forward search from an off-route start may rejoin any of the first blocks of the route."""


@dataclass(frozen=True)
class StartBlock:
    """Where the ego is.

    Attributes:
        block_id: the block the ego drives in.
        candidates: the list it was chosen from, ids, first occurrences only.
    """

    block_id: str
    candidates: tuple[str, ...]


def correct_route(
    index: MapIndex, rear_axle: NDArray[np.float64], given_ids: Sequence[str], *, where: object = None
) -> tuple[str, ...]:
    """Roadblock ids, roadblocks and connectors alternating, from the ego's block on.

    An off-route start is joined to the route by search backward, then forward; gaps are filled by search; the route
    ends before the first connector that overlaps an earlier one (a loop); repeated ids are dropped.

    Args:
        rear_axle: (3,) x [m], y [m], heading [rad], global frame.
        given_ids: route of the log's current frame.
        where: scene named in errors.

    Raises:
        OpenPairError: the route is empty or names a block the map does not have.
    """
    route = list(dict.fromkeys(given_ids))
    if not route:
        raise OpenPairError("the route is empty", where=where, fix="Use scenes with a route only (has_route)")
    for block_id in route:
        if block_id not in index.road_map.roadblocks:
            raise OpenPairError(
                f"the route names roadblock {block_id}, which map {index.road_map.name} does not have",
                where=where,
                fix="Check that log and map belong together",
            )
    start = find_start_block(index, rear_axle, route)
    if start.block_id not in route:
        route = _join_route(index, start, route)
    return tuple(dict.fromkeys(_cut_loops(index, _fill_gaps(index, route))))


def find_start_block(index: MapIndex, rear_axle: NDArray[np.float64], route: Sequence[str]) -> StartBlock:
    """The block the ego drives in, on the route if any fits."""
    near = _near_blocks(index, rear_axle[:2])
    on_route: list[tuple[float, str]] = []
    off_route: list[tuple[float, str]] = []
    nearest: list[tuple[float, str]] = []
    for block_id in near:
        least = np.inf
        for lane_id in index.block(block_id).lane_ids:
            baseline = index.lane(lane_id).baseline
            distance = np.sqrt(((baseline[:, :2] - rear_axle[:2]) ** 2).sum(axis=-1))
            vertex = int(np.argmin(distance))
            displacement = float(distance[vertex])
            heading_error = abs(float(wrap_angle(baseline[vertex, 2] - rear_axle[2])))
            least = min(least, displacement)
            if heading_error < MAX_HEADING_ERROR_RAD and displacement < MAX_DISPLACEMENT_M:
                (on_route if block_id in route else off_route).append((displacement, block_id))
        nearest.append((least, block_id))
    candidates = on_route or off_route or nearest
    chosen = min(candidates, key=lambda candidate: candidate[0])[1]
    return StartBlock(chosen, tuple(dict.fromkeys(block_id for _, block_id in candidates)))


def _near_blocks(index: MapIndex, point: NDArray[np.float64]) -> list[str]:
    """Blocks, then connectors, in the square of +-1 m; only if there are none, the nearest of each kind."""
    x, y = float(point[0]), float(point[1])
    square = shapely.box(x - NEAR_BLOCK_M, y - NEAR_BLOCK_M, x + NEAR_BLOCK_M, y + NEAR_BLOCK_M)
    kinds = (
        (index.trees[MapLayer.ROADBLOCK], index.blocks),
        (index.trees[MapLayer.ROADBLOCK_CONNECTOR], index.connector_blocks),
    )
    near = [
        blocks[number].id for tree, blocks in kinds for number in np.sort(tree.query(square, predicate="intersects"))
    ]
    if near:
        return near
    center = shapely.Point(x, y)
    return [
        blocks[int(np.argmin(shapely.distance(center, tree.geometries)))].id for tree, blocks in kinds if len(blocks)
    ]


def _join_route(index: MapIndex, start: StartBlock, route: list[str]) -> list[str]:
    """Connect an off-route start to the route, if the map allows it."""
    backward = index.block_path(route[0], start.candidates, False, BACKWARD_BLOCKS)
    if backward is not None:
        return [*reversed(backward[1:]), *route]
    forward = index.block_path(start.block_id, tuple(route[:REJOIN_BLOCKS]), True, FORWARD_BLOCKS)
    if forward is not None:
        return [*forward, *route[route.index(forward[-1]) + 1 :]]
    return route


def _fill_gaps(index: MapIndex, route: list[str]) -> list[str]:
    filled = route[:1]
    for block_id, following in itertools.pairwise(route):
        if block_id not in index.block(following).incoming:
            path = index.block_path(block_id, (following,), True, FORWARD_BLOCKS)
            if path is not None and len(path) >= 3:
                filled.extend(path[1:-1])
        filled.append(following)
    return filled


def _cut_loops(index: MapIndex, route: list[str]) -> list[str]:
    """The route up to the first connector that overlaps an earlier connector of the route."""
    passed: list[str] = []
    for position, block_id in enumerate(route):
        if not index.block(block_id).is_connector:
            continue
        if any(index.connectors_overlap(block_id, earlier) for earlier in passed):
            return route[:position]
        passed.append(block_id)
    return route
