"""Where a vehicle of the traffic drives: its lane and those that follow, as one rail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.road_map import Lane, RoadMap
from openpair.geometry.poses import wrap_angle
from openpair.simulation.rails import RailPath


@dataclass(frozen=True)
class RailRoute:
    """Lanes one after another.

    Attributes:
        lanes: the lanes.
        path: their centrelines as one.
        starts: (k,) station of the start of each lane [m].
    """

    lanes: tuple[Lane, ...]
    path: RailPath
    starts: NDArray[np.float64]

    def lane_at(self, station: float) -> Lane:
        """The lane at a station."""
        return self.lanes[max(int(np.searchsorted(self.starts, station, side="right")) - 1, 0)]

    def red_stop_ahead(self, station: float, red: frozenset[str]) -> tuple[str, float] | None:
        """The next connector beyond a station that shows red, and the station where it starts."""
        for lane, start in zip(self.lanes, self.starts.tolist(), strict=True):
            if start >= station and lane.id in red:
                return lane.id, start
        return None


def rail_route(road_map: RoadMap, first: Lane, recorded: NDArray[np.float64], length_m: float) -> RailRoute:
    """The route of a vehicle.

    Where lanes branch, it takes the one that most of its recorded positions lie in; where none does, the one that turns
    least, the first in the map's order among equals.

    Args:
        road_map: the town.
        first: the lane that it is in.
        recorded: (n, 2) its recorded positions from now on, global frame.
        length_m: how long the route has to be; shorter where the map ends.
    """
    lanes, total = [first], _length(first)
    points = shapely.points(recorded)
    while total < length_m:
        following = [road_map.lanes[i] for i in lanes[-1].outgoing if i in road_map.lanes]
        if not following:
            break
        lanes.append(_next(lanes[-1], following, points))
        total += _length(lanes[-1])
    lengths = [_length(lane) for lane in lanes]
    baseline = np.concatenate([lane.baseline for lane in lanes])
    return RailRoute(tuple(lanes), RailPath(baseline), np.concatenate([[0.0], np.cumsum(lengths)[:-1]]))


def _next(lane: Lane, following: Sequence[Lane], recorded: NDArray[np.object_]) -> Lane:
    if len(following) == 1:
        return following[0]
    visits = [int(shapely.intersects(one.polygon, recorded).sum()) for one in following]
    if max(visits) > 0:
        return following[int(np.argmax(visits))]
    turns = [abs(float(wrap_angle(one.baseline[-1, 2] - lane.baseline[-1, 2]))) for one in following]
    return following[int(np.argmin(turns))]


def _length(lane: Lane) -> float:
    return float(np.hypot(*np.diff(lane.baseline[:, :2], axis=0).T).sum())
