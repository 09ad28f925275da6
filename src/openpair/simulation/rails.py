"""Rails for simulated traffic: which lane a vehicle drives on, and how that lane runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.road_map import Lane, RoadMap
from openpair.geometry.poses import wrap_angle

HEADING_DISTANCE_M = 0.5
"""The heading of a lane at a station is the direction to the point this much farther on."""


class RailPath:
    """The centreline of a lane as traffic drives it, pose by station.

    The original leaves out a line's last vertex, and vertices that coincide with the next one.

    Args:
        baseline: (M, 3) x [m], y [m], heading [rad], global frame, M >= 2.
    """

    def __init__(self, baseline: NDArray[np.float64]) -> None:
        step = np.diff(baseline[:, :2], axis=0)
        stations = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])
        kept = np.append(~np.isclose(np.diff(stations), 0.0), False)
        if kept.sum() < 2:  # a single straight piece: there the original gives up the whole scene
            kept[[0, -1]] = True
        self.stations = stations[kept]
        self.xy = baseline[kept, :2]
        self._heading = np.unwrap(baseline[kept, 2])

    @property
    def start(self) -> float:
        return float(self.stations[0])

    @property
    def end(self) -> float:
        return float(self.stations[-1])

    def clamp(self, station: float) -> float:
        """A station [m], brought onto the path."""
        return max(self.start, min(station, self.end))

    def pose(self, station: float) -> NDArray[np.float64]:
        """(3,) x [m], y [m], heading [rad] at a station on the path."""
        last = int(np.clip(np.searchsorted(self.stations, station), 1, len(self.stations) - 1))
        before, after = self.stations[last - 1], self.stations[last]
        share = (station - before) / (after - before)
        x, y = self.xy[last - 1] + share * (self.xy[last] - self.xy[last - 1])
        heading = self._heading[last - 1] + share * (self._heading[last] - self._heading[last - 1])
        return np.array([x, y, wrap_angle(heading)])

    def line_from(self, station: float) -> shapely.LineString:
        """What lies ahead of a station; its last piece where nothing does."""
        ahead = np.searchsorted(self.stations, station, side="right")
        if ahead == len(self.stations):
            return shapely.LineString(self.xy[-2:])
        return shapely.LineString(np.concatenate([self.pose(station)[None, :2], self.xy[ahead:]]))

    def line_between(self, first: float, last: float) -> shapely.LineString:
        """The part between two stations; the last or first piece where both lie at an end."""
        front = np.searchsorted(self.stations, first, side="right")
        tail = np.searchsorted(self.stations, last, side="left")
        if front == len(self.stations):
            return shapely.LineString(self.xy[-2:])
        if tail == 0:
            return shapely.LineString(self.xy[:2])
        ends = self.pose(first)[None, :2], self.pose(last)[None, :2]
        return shapely.LineString(np.concatenate([ends[0], self.xy[front:tail], ends[1]]))


class RailMap:
    """Lanes, lane connectors and intersections of a town, searchable by point."""

    def __init__(self, road_map: RoadMap) -> None:
        self.road_map = road_map
        self.lanes = [lane for lane in road_map.lanes.values() if not lane.is_connector]
        self.connectors = [lane for lane in road_map.lanes.values() if lane.is_connector]
        self._paths: dict[str, RailPath] = {}
        self._lines: dict[str, shapely.LineString] = {}

    @cached_property
    def _lane_tree(self) -> shapely.STRtree:
        return shapely.STRtree([lane.polygon for lane in self.lanes])

    @cached_property
    def _connector_tree(self) -> shapely.STRtree:
        return shapely.STRtree([lane.polygon for lane in self.connectors])

    @cached_property
    def _intersection_tree(self) -> shapely.STRtree:
        return shapely.STRtree(list(self.road_map.intersections.values()))

    def on_road(self, center: NDArray[np.float64]) -> bool:
        """True where a point (2,) lies in a lane or an intersection."""
        point = shapely.Point(center)
        return bool(len(self._lane_tree.query(point, "within")) or len(self._intersection_tree.query(point, "within")))

    def lane_of(self, pose: NDArray[np.float64]) -> Lane | None:
        """The lane, or inside an intersection the connector, whose direction is nearest to a vehicle's pose (3,).

        Headings are compared as plain numbers, as the original does, so that -pi and pi are far apart.
        """
        point = shapely.Point(pose[:2])
        candidates: Sequence[Lane]
        if len(found := self._lane_tree.query(point, "within")):
            candidates = [self.lanes[i] for i in sorted(found.tolist())]
        elif len(self._intersection_tree.query(point, "within")):
            candidates = [self.connectors[i] for i in sorted(self._connector_tree.query(point, "within").tolist())]
        else:
            return None
        if not candidates:
            return None
        turns = [abs(self.nearest_pose(lane, pose[:2])[2] - pose[2]) for lane in candidates]
        return candidates[int(np.argmin(turns))]

    def station(self, lane: Lane, xy: NDArray[np.float64]) -> float:
        """Station [m] of the point of a lane's centreline that is nearest to (2,)."""
        return float(shapely.line_locate_point(self._line(lane), shapely.Point(xy)))

    def nearest_pose(self, lane: Lane, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3,) the nearest point of a lane's centreline with the direction of the line there."""
        line, station = self._line(lane), self.station(lane, xy)
        here = shapely.get_coordinates(shapely.line_interpolate_point(line, station))[0]
        there = shapely.get_coordinates(shapely.line_interpolate_point(line, station + HEADING_DISTANCE_M))[0]
        if (here == there).all():
            before = shapely.get_coordinates(shapely.line_interpolate_point(line, station - HEADING_DISTANCE_M))[0]
            direction = here - before
        else:
            direction = there - here
        return np.array([here[0], here[1], np.arctan2(direction[1], direction[0])])

    def path(self, lane: Lane) -> RailPath:
        """The lane as traffic drives it."""
        if lane.id not in self._paths:
            self._paths[lane.id] = RailPath(lane.baseline)
        return self._paths[lane.id]

    def _line(self, lane: Lane) -> shapely.LineString:
        if lane.id not in self._lines:
            self._lines[lane.id] = shapely.LineString(lane.baseline[:, :2])
        return self._lines[lane.id]
