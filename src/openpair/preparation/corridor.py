"""Which forecast objects stand on or cross a path, step by step."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from openpair.datatypes import vehicle
from openpair.preparation.forecast import Forecast
from openpair.preparation.path import DrivingPath
from openpair.preparation.search_tree import search_order

CORRIDOR_S = 5.0
"""A corridor reaches as far as the highest target speed gets in this time."""


@dataclass(frozen=True)
class Obstacles:
    """The objects in the paths' corridors at one step; an object in two corridors is there twice.

    Attributes:
        path: (k,) int64 number of the path.
        index: (k,) int64 into the forecast's list.
        polygon: (k,) shapely surfaces at that step.
        station: (k,) [m] of their centroids on the path.
    """

    path: NDArray[np.int64]
    index: NDArray[np.int64]
    polygon: NDArray[np.object_]
    station: NDArray[np.float64]


def driving_corridor(path: DrivingPath, start_m: float, top_speed: float) -> BaseGeometry:
    """Surface swept by a vehicle of the ego's width between ``start_m`` and what ``top_speed`` [m/s] reaches in 5 s.

    Only path vertices in that interval count; with fewer than two, the exact part of the line.
    """
    start = min(max(start_m, 0.0), path.length)
    end = min(max(start_m + top_speed * CORRIDOR_S, 0.0), path.length)
    inside = path.states[(path.stations >= start) & (path.stations <= end), :2]
    line = shapely.LineString(inside) if len(inside) > 1 else substring(path.line, start, end)
    return shapely.buffer(line, vehicle.WIDTH_M / 2, quad_segs=16, cap_style="square")


class CorridorTraffic:
    """Obstacles of several paths at every even step, worked out at once.

    Args:
        forecast: what moves and stands around the ego.
        paths: the paths.
        corridors: the corridor of each.
        last_step: the last step (0.1 s) that will be asked for.
    """

    def __init__(
        self, forecast: Forecast, paths: list[DrivingPath], corridors: list[BaseGeometry], last_step: int
    ) -> None:
        self._forecast = forecast
        steps = np.arange(0, last_step + 1, 2)
        corners = (
            forecast.corners + np.stack([forecast.displacement(int(t)) for t in steps])[:, :, None]
        )  # (S, n, 4, 2)
        self._low, self._high = corners.min(axis=2), corners.max(axis=2)
        self._red_bounds = shapely.bounds(forecast.red_polygons).reshape(-1, 4)
        self._rank: dict[int, NDArray[np.int64]] = {}
        usable = ~forecast.exempt
        found = [
            self._obstacles_of(number, path, corridor, corners, usable)
            for number, (path, corridor) in enumerate(zip(paths, corridors, strict=True))
        ]
        step = np.concatenate([steps for steps, _ in found])
        order = np.argsort(step, kind="stable")
        begin = np.searchsorted(step[order], np.arange(len(corners) + 1))
        every = Obstacles(
            path=np.concatenate([obstacles.path for _, obstacles in found])[order],
            index=np.concatenate([obstacles.index for _, obstacles in found])[order],
            polygon=np.concatenate([obstacles.polygon for _, obstacles in found])[order],
            station=np.concatenate([obstacles.station for _, obstacles in found])[order],
        )
        self._obstacles = [
            Obstacles(every.path[a:b], every.index[a:b], every.polygon[a:b], every.station[a:b])
            for a, b in itertools.pairwise(begin.tolist())
        ]

    def _obstacles_of(
        self,
        number: int,
        path: DrivingPath,
        corridor: BaseGeometry,
        corners: NDArray[np.float64],
        usable: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], Obstacles]:
        """Number of the even step (k,) and the obstacles (k,) of one path at all even steps."""
        n, num_steps = self._forecast.num_objects, len(corners)
        shapely.prepare(corridor)
        min_x, min_y, max_x, max_y = shapely.bounds(corridor)
        near = (self._low <= [max_x, max_y]).all(axis=-1) & (self._high >= [min_x, min_y]).all(axis=-1) & usable[:n]
        step, item = np.nonzero(near)
        polygon = shapely.polygons(corners[step, item])
        touching = shapely.intersects(corridor, polygon)
        step, item, polygon = step[touching], item[touching], polygon[touching]
        station = path.project(shapely.get_coordinates(shapely.centroid(polygon)))

        red = np.flatnonzero(usable[n:] & shapely.intersects(corridor, self._forecast.red_polygons))
        red_polygon = self._forecast.red_polygons[red]
        red_station = path.project(shapely.get_coordinates(shapely.centroid(red_polygon)))
        index = np.concatenate([item, np.tile(n + red, num_steps)])
        return np.concatenate([step, np.repeat(np.arange(num_steps), len(red))]), Obstacles(
            path=np.full(len(index), number),
            index=index,
            polygon=np.concatenate([polygon, np.tile(red_polygon, num_steps)]),
            station=np.concatenate([station, np.tile(red_station, num_steps)]),
        )

    def at(self, step: int) -> Obstacles:
        """Obstacles of all paths at an even step."""
        return self._obstacles[step // 2]

    def first_found(self, candidates: NDArray[np.int64], step: int) -> int:
        """Which of several objects the original's search tree of that step reports first."""
        if step not in self._rank:
            boxes = np.concatenate([self._low[step // 2], self._high[step // 2]], axis=1)
            self._rank[step] = search_order(np.concatenate([boxes, self._red_bounds]))
        rank = self._rank[step]
        return int(candidates[np.argmin(rank[candidates])])
