"""Lane markings, worked out from lane polygons: maps name no line types in every source, but their geometry tells.

Between lanes of one direction a dashed white line, towards oncoming lanes a solid yellow one, on the outside a solid
white one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.road_map import Lane, RoadMap

WHITE: Final = (226, 226, 222)
YELLOW: Final = (224, 178, 58)

SAMPLE_SPACING_M: Final = 2.0
TANGENT_M: Final = 0.5
"""The direction of a lane is taken between two points this far before and behind."""
PROBE_M: Final = 0.6
"""How far beyond a lane's border a neighbour is looked for."""
INSET_M: Final = 0.12
"""Solid lines run this far inside the lane."""
DASH_M: Final = 3.0
GAP_M: Final = 5.0

_NONE, _SAME, _ONCOMING = 0, 1, 2


@dataclass(frozen=True)
class Marking:
    """One painted line: (n, 2) points [m], town frame, and its RGB colour (0..255)."""

    points: NDArray[np.float64]
    color: tuple[int, int, int]


class LaneMarkings:
    """Markings of a map's lanes, worked out lane by lane when asked for."""

    def __init__(self, road_map: RoadMap, origin: NDArray[np.float64]) -> None:
        self._origin = origin
        self._lanes = [lane for lane in road_map.lanes.values() if not lane.is_connector]
        self._tree = shapely.STRtree([lane.polygon for lane in self._lanes])
        self._known: dict[int, tuple[Marking, ...]] = {}

    def within(self, bounds: tuple[float, float, float, float]) -> list[Marking]:
        """Markings of all lanes whose bounding box meets ``bounds`` (min x, min y, max x, max y), town frame."""
        if not self._lanes:
            return []
        area = shapely.box(*(np.asarray(bounds) + np.tile(self._origin, 2)))
        return [line for i in np.sort(self._tree.query(area)) for line in self._markings(int(i))]

    def _markings(self, index: int) -> tuple[Marking, ...]:
        if index not in self._known:
            self._known[index] = tuple(self._draw(index))
        return self._known[index]

    def _draw(self, index: int) -> list[Marking]:
        lane = self._lanes[index]
        borders = lane_borders(lane)
        if borders is None:
            return []
        _centre, left, right, normal = borders
        out: list[Marking] = []
        for border, side, sign in ((left, "left", 1.0), (right, "right", -1.0)):
            neighbour = self._neighbours(index, border + sign * PROBE_M * normal, normal)
            inner = border - sign * INSET_M * normal
            for start, stop, kind in _runs(neighbour):
                # the line runs on to the first sample of the next run, so that no gap opens between two kinds
                part = slice(start, min(stop + 1, len(border)))
                if kind == _SAME:
                    if side == "left":  # the lane on the left would draw the same line again
                        out += [Marking(dash - self._origin, WHITE) for dash in dashes(border[part])]
                elif part.stop - part.start > 1:
                    out.append(Marking(inner[part] - self._origin, YELLOW if kind == _ONCOMING else WHITE))
        return out

    def _neighbours(self, index: int, probes: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.int64]:
        """(n,) what lies at each probe: nothing, a lane of the same direction or an oncoming one."""
        out = np.full(len(probes), _NONE)
        point, other = self._tree.query(shapely.points(probes), predicate="intersects")
        for p, o in zip(point.tolist(), other.tolist(), strict=True):
            if o == index:
                continue
            line = self._lanes[o].baseline
            nearest = line[np.argmin(np.hypot(line[:, 0] - probes[p, 0], line[:, 1] - probes[p, 1])), 2]
            along = np.cos(nearest) * normal[p, 1] - np.sin(nearest) * normal[p, 0]  # the lane runs along (ny, -nx)
            out[p] = max(out[p], _SAME) if along > 0 else _ONCOMING
        return out


def lane_borders(lane: Lane) -> tuple[NDArray[np.float64], ...] | None:
    """Left and right border of a lane, found by cutting its polygon across the baseline.

    Returns:
        centre, left, right, normal (pointing left), each (n, 2), global frame; None for a degenerate lane.
    """
    line = lane.baseline[:, :2]
    steps = np.hypot(*np.diff(line, axis=0).T)
    keep = np.concatenate([[True], steps > 1e-6])
    line = line[keep]
    if len(line) < 2:
        return None
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    n = max(int(np.ceil(arc[-1] / SAMPLE_SPACING_M)) + 1, 3)
    inset = min(0.02 * arc[-1], 0.05)  # the ends of the baseline may lie on the polygon's edge
    at = np.linspace(inset, arc[-1] - inset, n)

    def point(along: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(along, arc, line[:, 0]), np.interp(along, arc, line[:, 1])], axis=1)

    centre = point(at)
    ahead = point(np.minimum(at + TANGENT_M, arc[-1])) - point(np.maximum(at - TANGENT_M, 0.0))
    ahead /= np.maximum(np.hypot(*ahead.T), 1e-9)[:, None]
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)

    ring = shapely.get_coordinates(lane.polygon.exterior)[:, :2]
    a, b = ring[:-1], ring[1:]
    # distance of each edge's ends along the direction of travel, seen from each sample: a change of sign crosses it
    u = (a[None] - centre[:, None]) @ ahead[:, :, None]
    v = (b[None] - centre[:, None]) @ ahead[:, :, None]
    u, v = u[..., 0], v[..., 0]
    crosses = (u > 0) != (v > 0)
    share = np.where(crosses, u / np.where(crosses, u - v, 1.0), 0.0)
    hit = a[None] + share[..., None] * (b - a)[None]
    offset = np.einsum("skd,sd->sk", hit - centre[:, None], normal)
    to_left = np.where(crosses & (offset > 0), offset, np.inf).min(axis=1)
    to_right = np.where(crosses & (offset < 0), offset, -np.inf).max(axis=1)
    good = np.isfinite(to_left) & np.isfinite(to_right)
    if good.sum() < 2:
        return None
    centre, normal, to_left, to_right = centre[good], normal[good], to_left[good], to_right[good]
    return centre, centre + to_left[:, None] * normal, centre + to_right[:, None] * normal, normal


def _runs(values: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(start, stop, value) of each run of equal values."""
    cuts = np.flatnonzero(np.diff(values)) + 1
    starts = np.concatenate([[0], cuts])
    stops = np.concatenate([cuts, [len(values)]])
    return [(int(a), int(b), int(values[a])) for a, b in zip(starts, stops, strict=True)]


def dashes(line: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Cuts a line (n, 2) into dashes of DASH_M with GAP_M between them."""
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    out = []
    for start in np.arange(0.5 * GAP_M, arc[-1] - 0.5, DASH_M + GAP_M):
        stop = min(start + DASH_M, arc[-1])
        at = np.concatenate([[start], arc[(arc > start) & (arc < stop)], [stop]])
        out.append(np.stack([np.interp(at, arc, line[:, 0]), np.interp(at, arc, line[:, 1])], axis=1))
    return out
