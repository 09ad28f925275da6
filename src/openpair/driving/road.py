"""Where a driven ego is on the map: lanes, roadway, intersections, the direction of its lane, the speed limit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import MapLayer
from openpair.geometry.poses import wrap_angle
from openpair.preparation.boxes import ego_center, ego_corners
from openpair.preparation.map_index import LANES, MapIndex

ROADWAY = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA)
"""Layers a car may stand on, as in the scorer's drivable area compliance."""

FRONT_M = vehicle.REAR_AXLE_TO_FRONT_M


@dataclass(frozen=True)
class RoadPlaces:
    """Where the ego is at n steps.

    Attributes:
        multiple_lanes: (n,) its corners lie in several lanes, and no lane holds all of them.
        non_drivable: (n,) a corner lies off the roadway.
        off_road_m: (n,) distance [m] of the farthest corner from the roadway, 0 on it.
        in_intersection: (n,) the rear axle lies in an intersection.
        lane: (n,) id of the lane (or connector) under the centre whose direction fits best; None beside all lanes.
        direction: (n,) direction [rad] of that lane there; NaN without a lane.
        front_lanes: (n,) ids of all lanes and connectors under the middle of the front bumper.
    """

    multiple_lanes: NDArray[np.bool_]
    non_drivable: NDArray[np.bool_]
    off_road_m: NDArray[np.float64]
    in_intersection: NDArray[np.bool_]
    lane: list[str | None]
    direction: NDArray[np.float64]
    front_lanes: list[frozenset[str]]


class Road:
    """A town, searchable by point."""

    def __init__(self, index: MapIndex) -> None:
        self._index = index
        layer = index.shapes.layer
        self._lane_tokens = [index.shapes.tokens[e] for e in np.flatnonzero(np.isin(layer, LANES))]
        self._lane_tree = shapely.STRtree(index.element_surfaces[np.isin(layer, LANES)])
        self._roadway_tree = shapely.STRtree(index.element_surfaces[np.isin(layer, ROADWAY)])
        self._intersection_tree = shapely.STRtree(index.element_surfaces[layer == MapLayer.INTERSECTION])

    def places(self, poses: NDArray[np.float64]) -> RoadPlaces:
        """Where rear-axle poses (n, 3) are, global frame."""
        corners = ego_corners(poses)
        off_road = self._off_road(corners.reshape(-1, 2)).reshape(-1, 4)
        center = ego_center(poses)
        heading = np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=1)
        lanes_of_center = self._lanes_at(center[:, :2])
        best = [self._best_lane(lanes, pose) for lanes, pose in zip(lanes_of_center, center, strict=True)]
        rear_axles = shapely.points(poses[:, :2])
        crossing = np.zeros(len(poses), bool)
        crossing[self._intersection_tree.query(rear_axles, predicate="within")[0]] = True
        return RoadPlaces(
            multiple_lanes=self._multiple_lanes(corners),
            non_drivable=np.asarray((off_road > 0).any(axis=1)),
            off_road_m=off_road.max(axis=1),
            in_intersection=crossing,
            lane=[lane for lane, _ in best],
            direction=np.array([direction for _, direction in best]),
            front_lanes=[frozenset(lanes) for lanes in self._lanes_at(poses[:, :2] + FRONT_M * heading)],
        )

    def lane_under(self, pose: NDArray[np.float64]) -> str | None:
        """Id of the lane or connector under a pose (3,) whose direction fits best."""
        return self._best_lane(self._lanes_at(pose[None, :2])[0], pose)[0]

    def speed_limit_mps(self, lane_id: str) -> float:
        """Limit of a lane; of a connector the highest of the lanes that it connects, as in nuPlan [m/s]."""
        lane = self._index.lane(lane_id)
        if not lane.is_connector:
            return self._index.speed_limit_mps(lane_id)
        known = self._index.road_map.lanes
        around = [i for i in (*lane.incoming, *lane.outgoing) if i in known]
        return max((self._index.speed_limit_mps(i) for i in around), default=self._index.speed_limit_mps(lane_id))

    def _off_road(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) distance of points (n, 2) from the roadway [m]; 0 strictly inside it, else at least a trace."""
        shapes = shapely.points(points)
        distance = np.zeros(len(points))
        outside = np.ones(len(points), bool)
        outside[self._roadway_tree.query(shapes, predicate="within")[0]] = False
        for row in np.flatnonzero(outside):
            nearest = self._roadway_tree.geometries[self._roadway_tree.nearest(shapes[row])]
            distance[row] = max(float(shapely.distance(nearest, shapes[row])), np.finfo(float).tiny)
        return distance

    def _multiple_lanes(self, corners: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) from corners (n, 4, 2)."""
        point, lane = self._lane_tree.query(shapely.points(corners.reshape(-1, 2)), predicate="within")
        step, count = np.unique(np.stack([point // 4, lane]), axis=1, return_counts=True)
        lanes_touched = np.bincount(step[0], minlength=len(corners))
        held_whole = np.zeros(len(corners), bool)
        held_whole[step[0][count == 4]] = True
        return (lanes_touched > 1) & ~held_whole

    def _lanes_at(self, points: NDArray[np.float64]) -> list[list[str]]:
        found: list[list[str]] = [[] for _ in points]
        for point, lane in zip(*self._lane_tree.query(shapely.points(points), predicate="within"), strict=True):
            found[point].append(self._lane_tokens[lane])
        return [sorted(lanes) for lanes in found]

    def _best_lane(self, lanes: list[str], pose: NDArray[np.float64]) -> tuple[str | None, float]:
        """The lane whose direction at a pose (3,) fits best, and that direction."""
        best: tuple[float, str | None, float] = (np.inf, None, np.nan)
        for lane_id in lanes:
            baseline = self._index.lane(lane_id).baseline
            direction = float(baseline[np.argmin(((baseline[:, :2] - pose[:2]) ** 2).sum(axis=1)), 2])
            turn = abs(float(wrap_angle(direction - pose[2])))
            if turn < best[0]:
                best = turn, lane_id, direction
        return best[1], best[2]


@lru_cache(maxsize=16)
def road_of(index: MapIndex) -> Road:
    """The road of a town, built at the first call."""
    return Road(index)
