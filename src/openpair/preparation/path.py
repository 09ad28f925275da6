"""A path to drive along: poses by station, stations by position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString

FIRST_STATION_M = 1e-5
"""Stations are clipped to [this, length]."""


class DrivingPath:
    """Polyline with headings.

    Attributes:
        states: (M, 3) x [m], y [m], heading [rad] of the vertices, global frame, as given.
        stations: (M,) [m] along the line.
        line: the same as shapely geometry.
        smooth_states: (M, 3) the states with unwrapped headings.
    """

    def __init__(self, states: NDArray[np.float64]) -> None:
        self.states = states
        step = np.diff(states[:, :2], axis=0)
        self.stations = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])
        self.line = LineString(states[:, :2])
        self.smooth_states = np.column_stack([states[:, :2], np.unwrap(states[:, 2])])

    @property
    def length(self) -> float:
        return float(self.stations[-1])

    def poses_at(self, stations: NDArray[np.float64]) -> NDArray[np.float64]:
        """(...,) stations [m] -> (..., 3) poses; a doubled vertex belongs to the segment that ends there."""
        flat = np.ravel(stations)
        poses = PathBundle([self]).poses_at(np.zeros(len(flat), np.int64), flat)
        return poses.reshape(*np.shape(stations), 3)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) points [m] -> (n,) stations [m] of the nearest points of the line."""
        return np.asarray(shapely.line_locate_point(self.line, shapely.points(points)))

    def offset(self, left_m: float) -> DrivingPath:
        """Every vertex moved to its left by ``left_m`` [m] (right if negative); headings are kept."""
        heading = self.states[:, 2] + np.pi / 2
        moved = self.states.copy()
        moved[:, 0] += left_m * np.cos(heading)
        moved[:, 1] += left_m * np.sin(heading)
        return DrivingPath(moved)


class PathBundle:
    """Several paths that are asked for poses together.

    Args:
        paths: the paths; a proposal names its own by number.
    """

    def __init__(self, paths: Sequence[DrivingPath]) -> None:
        self._stations = [path.stations for path in paths]
        self._lengths = np.array([path.length for path in paths])
        counts = [len(path.stations) for path in paths]
        self._last = np.array(counts) - 1
        self._first = np.cumsum([0, *counts[:-1]])
        self._all_stations = np.concatenate(self._stations)
        self._poses = np.concatenate([path.smooth_states for path in paths])

    def poses_at(self, path: NDArray[np.int64], stations: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) path numbers and stations [m] -> (n, 3) poses, as :meth:`DrivingPath.poses_at` gives them."""
        wanted = np.minimum(np.maximum(stations, FIRST_STATION_M), self._lengths[path])
        end = np.empty(len(path), np.int64)
        for number, own_stations in enumerate(self._stations):
            mine = path == number
            end[mine] = np.searchsorted(own_stations, wanted[mine], side="left")
        end = np.minimum(np.maximum(end, 1), self._last[path]) + self._first[path]
        begin = end - 1
        before = self._all_stations[begin]
        span = self._all_stations[end] - before
        weight = (wanted - before) / np.where(span > 0, span, 1.0)
        pose = self._poses[begin]
        pose += (self._poses[end] - pose) * weight[:, None]
        pose[:, 2] = np.arctan2(np.sin(pose[:, 2]), np.cos(pose[:, 2]))
        return pose
