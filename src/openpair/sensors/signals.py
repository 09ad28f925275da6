"""Traffic-light heads: over each stop line and again over the far side of the junction, facing the lane they speak to.

The near head is large while a car approaches; once it waits at the line that one is above its view, and the far one
speaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.road_map import Lane, RoadMap
from openpair.geometry.poses import wrap_angle
from openpair.sensors.kernels import shapes
from openpair.sensors.primitives import Primitives, empty, joined, solids

HEAD_BOTTOM_M: Final = 3.6
HEAD_HEIGHT_M: Final = 1.9
HEAD_WIDTH_M: Final = 0.8
"""Larger than life: a lamp must survive small images."""
NEAR_M: Final = 1.5
"""The near head hangs this far behind the stop line."""
TURN_RAD: Final = np.deg2rad(30.0)
TURN_OFFSET_M: Final = 1.0
"""Heads of one lane hang side by side: left turns on the left, right turns on the right."""
DEFAULT_DEPTH_M: Final = 18.0
MIN_DEPTH_M: Final = 12.0
MAX_DEPTH_M: Final = 26.0

OFF: Final = 0.0
RED: Final = 1.0
GREEN: Final = 2.0


@dataclass(frozen=True)
class SignalSite:
    """Where the two heads of one lane connector hang.

    Attributes:
        near, far: (x, y) [m], town frame.
        heading: direction [rad] that both face.
    """

    near: tuple[float, float]
    far: tuple[float, float]
    heading: float


class Signals:
    """Heads of all lane connectors that carry a light."""

    def __init__(self, road_map: RoadMap, origin: NDArray[np.float64]) -> None:
        self._map = road_map
        self._origin = origin
        self._junctions = shapely.STRtree(list(road_map.intersections.values()))
        self._sites: dict[str, SignalSite] = {}
        self._always = {lane.id for lane in road_map.lanes.values() if lane.is_connector and lane.stop_line_ids}

    def primitives(
        self, lights: tuple[tuple[str, bool], ...], center: NDArray[np.float64], radius: float
    ) -> Primitives:
        """(P,) heads within ``radius`` [m] of ``center`` (2,), town frame.

        Args:
            lights: (lane connector id, is red) as seen in the frame. Connectors with a stop line but no entry are dark;
                entries for connectors that the map does not hold are passed over.
        """
        states = dict.fromkeys(self._always, OFF)
        states |= {str(token): RED if red else GREEN for token, red in lights if str(token) in self._map.lanes}
        rows = []
        for token in sorted(states):
            site = self._site(token)
            for x, y in (site.near, site.far):
                if (x - center[0]) ** 2 + (y - center[1]) ** 2 < radius**2:
                    rows.append((x, y, site.heading, states[token]))
        if not rows:
            return empty()
        x, y, heading, state = np.array(rows).T
        heads = solids(
            x, y, HEAD_BOTTOM_M, heading, 0.35, HEAD_WIDTH_M, HEAD_HEIGHT_M,
            color=(0.09, 0.09, 0.08), material=shapes.SIGNAL_HEAD, state=state,
        )  # fmt: skip
        rods = solids(x, y, HEAD_BOTTOM_M + HEAD_HEIGHT_M, heading, 0.06, 0.06, 0.5, color=(0.2, 0.2, 0.2))
        wires = solids(x, y, HEAD_BOTTOM_M + HEAD_HEIGHT_M + 0.5, heading, 0.07, 11.0, 0.07, color=(0.15, 0.15, 0.15))
        return joined([heads, rods, wires])

    def _site(self, token: str) -> SignalSite:
        if token not in self._sites:
            self._sites[token] = self._place(self._map.lanes[token])
        return self._sites[token]

    def _place(self, connector: Lane) -> SignalSite:
        x, y, heading = connector.baseline[0]
        ahead = np.array([np.cos(heading), np.sin(heading)])
        start = np.array([x, y])
        depth = self._junction_depth(start, ahead)
        turn = float(wrap_angle(connector.baseline[-1, 2] - heading))
        side = TURN_OFFSET_M * float(np.sign(turn)) if abs(turn) > TURN_RAD else 0.0
        first = start + side * np.array([-ahead[1], ahead[0]]) - self._origin
        near, far = first + NEAR_M * ahead, first + depth * ahead
        return SignalSite((float(near[0]), float(near[1])), (float(far[0]), float(far[1])), float(heading + np.pi))

    def _junction_depth(self, start: NDArray[np.float64], ahead: NDArray[np.float64]) -> float:
        """Way [m] straight ahead from the stop line to the far side of the junction."""
        line = shapely.LineString([start, start + MAX_DEPTH_M * ahead])
        inside = start + 2.0 * ahead
        hits = np.sort(self._junctions.query(shapely.Point(inside), predicate="intersects"))
        if not len(hits):
            return DEFAULT_DEPTH_M
        part = shapely.intersection(line, self._junctions.geometries[hits[0]])
        ends = (shapely.get_coordinates(part)[:, :2] - start) @ ahead
        return float(np.clip(ends.max(initial=DEFAULT_DEPTH_M) + 1.0, MIN_DEPTH_M, MAX_DEPTH_M))
