"""A path to drive along: poses by station, stations by position."""

from __future__ import annotations

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
    """

    def __init__(self, states: NDArray[np.float64]) -> None:
        self.states = states
        step = np.diff(states[:, :2], axis=0)
        self.stations = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])
        self.line = LineString(states[:, :2])
        self._smooth = np.column_stack([states[:, :2], np.unwrap(states[:, 2])])

    @property
    def length(self) -> float:
        return float(self.stations[-1])

    def poses_at(self, stations: NDArray[np.float64]) -> NDArray[np.float64]:
        """(...,) stations [m] -> (..., 3) poses; a doubled vertex belongs to the segment that ends there."""
        wanted = np.clip(stations, FIRST_STATION_M, self.length)
        end = np.clip(np.searchsorted(self.stations, wanted, side="left"), 1, len(self.stations) - 1)
        begin = end - 1
        span = self.stations[end] - self.stations[begin]
        weight = (wanted - self.stations[begin]) / np.where(span > 0, span, 1.0)
        pose = self._smooth[begin] + (self._smooth[end] - self._smooth[begin]) * weight[..., None]
        pose[..., 2] = np.arctan2(np.sin(pose[..., 2]), np.cos(pose[..., 2]))
        return pose

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
