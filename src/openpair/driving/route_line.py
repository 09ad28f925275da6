"""The way that the human drove, as the route that a drive is measured by: stations, progress, deviation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VERTEX_GAP_M = 1e-3
BACKWARD_M, FORWARD_M = 10.0, 30.0
"""How far from the last station the next one is looked for: a route may cross itself."""


class RouteLine:
    """Line of the recorded rear axle, from the start of the drive to the end of the log.

    Args:
        positions: (N, 2) x [m], y [m] at 0.1 s, global frame.

    Attributes:
        length: [m].
        time_station: (N,) station [m] of each of the positions.
    """

    def __init__(self, positions: NDArray[np.float64]) -> None:
        moves = np.hypot(*np.diff(positions, axis=0).T)
        self.time_station: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(moves)])
        distinct = np.concatenate([[True], moves > VERTEX_GAP_M])
        self._points = positions[distinct]
        self._stations = self.time_station[distinct]
        self.length = float(self.time_station[-1])

    def follow(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Stations and distances of a drive.

        Args:
            positions: (n, 2) x [m], y [m] of consecutive positions; the first is near the start.

        Returns:
            (n,) station [m] of the nearest point near the station before; (n,) distance [m] from the line, past its
            end from its straight continuation.
        """
        station, stations, distances = 0.0, np.zeros(len(positions)), np.zeros(len(positions))
        for i, position in enumerate(positions):
            station, distances[i] = self.locate(position, station)
            stations[i] = station
        return stations, distances

    def locate(self, position: NDArray[np.float64], station: float) -> tuple[float, float]:
        """Station and distance [m] of the point of the line that is nearest to (2,), looked for near ``station``."""
        if len(self._points) < 2:
            return 0.0, float(np.hypot(*(position - self._points[0])))
        first = max(int(np.searchsorted(self._stations, station - BACKWARD_M)) - 1, 0)
        last = min(int(np.searchsorted(self._stations, station + FORWARD_M)) + 1, len(self._points))
        first = min(first, last - 2)
        a, b = self._points[first : last - 1], self._points[first + 1 : last]
        along = b - a
        share = np.clip(((position - a) * along).sum(axis=1) / (along**2).sum(axis=1), 0.0, 1.0)
        distance = np.hypot(*(position - a - share[:, None] * along).T)
        nearest = int(np.argmin(distance))
        ends = self._stations[first + nearest], self._stations[first + nearest + 1]
        found = float(ends[0] + share[nearest] * (ends[1] - ends[0]))
        if first + nearest == len(self._points) - 2 and share[nearest] == 1.0:
            direction = along[-1] / np.hypot(*along[-1])
            offset = position - self._points[-1]
            return found, float(abs(direction[0] * offset[1] - direction[1] * offset[0]))
        return found, float(distance[nearest])

    def step_at(self, station: float) -> int:
        """The last 0.1 s step at which the human was no farther than a station."""
        return int(np.searchsorted(self.time_station, station + VERTEX_GAP_M, side="right")) - 1
