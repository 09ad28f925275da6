"""Lane segments of an Argoverse 2 map: surfaces, centre lines, and which of them form a roadblock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from openpair.errors import OpenPairError
from openpair.geometry.poses import wrap_angle

SAME_DIRECTION_RAD: Final = np.pi / 4
"""Neighbours whose headings differ by more are oncoming lanes, not part of the same roadblock."""

_LEFT_OUT: Final = ("BIKE",)
_MIN_BOUNDARY_SAMPLES: Final = 10
_SPACING_M: Final = 1.0


@dataclass(frozen=True)
class LaneSegment:
    """A lane segment that cars may use.

    Attributes:
        id: Argoverse id.
        is_connector: lies in an intersection.
        polygon: left boundary and reversed right boundary.
        baseline: (M, 3) centre line x [m], y [m], heading [rad] (from the vertex before to the vertex after), spaced by
            at most 1 m.
        mid_heading: heading halfway along [rad].
        successors: ids of lanes that follow, file order; lanes outside the map left out.
        neighbors: ids of the lanes to the left and right, None where there is none.
    """

    id: str
    is_connector: bool
    polygon: Polygon
    baseline: NDArray[np.float64]
    mid_heading: float
    successors: tuple[str, ...]
    neighbors: tuple[str | None, str | None]


def lane_segments(vector_map: dict[str, dict[str, Any]], where: object) -> dict[str, LaneSegment]:
    """Lane segments by id, file order; bicycle lanes are left out. Raises OpenPairError for damaged entries."""
    entries = vector_map["lane_segments"]
    used = {key: entry for key, entry in entries.items() if entry.get("lane_type") not in _LEFT_OUT}
    segments = {}
    for key, entry in used.items():
        try:
            left, right = (points_of(entry[f"{side}_lane_boundary"]) for side in ("left", "right"))
            coarse, fine = _center_lines(left, right)
            half = len(coarse) // 2
            dx, dy = coarse[half] - coarse[half - 1]
            neighbors = tuple(
                None if entry[f"{side}_neighbor_id"] is None else str(entry[f"{side}_neighbor_id"])
                for side in ("left", "right")
            )
            segments[key] = LaneSegment(
                id=key,
                is_connector=bool(entry["is_intersection"]),
                polygon=valid_polygon(np.vstack([left, right[::-1]])),
                baseline=_with_central_headings(fine),
                mid_heading=float(np.arctan2(dy, dx)),
                successors=tuple(str(lane) for lane in entry["successors"] if str(lane) in used),
                neighbors=(neighbors[0], neighbors[1]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise OpenPairError(f"lane segment {key} of the map is damaged ({error!r})", where=where) from None
    if not segments:
        raise OpenPairError("the map has no lane for cars", where=where)
    return segments


def groups_of_neighbors(segments: dict[str, LaneSegment], *, connectors: bool) -> list[list[str]]:
    """Lanes (or connectors) tied by neighbour ids and direction; groups by their first lane, lanes in file order."""
    members = [key for key, segment in segments.items() if segment.is_connector == connectors]
    groups = DisjointSets(members)
    for key in members:
        for other in segments[key].neighbors:
            if other in groups.parent and same_direction(segments[key], segments[other]):
                groups.join(key, other)
    return groups.as_lists()


class DisjointSets:
    """Union-find over names; a set is represented by its earliest member."""

    def __init__(self, members: list[str]) -> None:
        self.parent = {key: key for key in members}
        self._rank = {key: i for i, key in enumerate(members)}

    def find(self, key: str) -> str:
        """The representative of a member's set."""
        while self.parent[key] != key:
            self.parent[key] = self.parent[self.parent[key]]
            key = self.parent[key]
        return key

    def join(self, a: str, b: str) -> None:
        """Unite the sets of two members."""
        first, second = sorted((self.find(a), self.find(b)), key=self._rank.__getitem__)
        self.parent[second] = first

    def as_lists(self) -> list[list[str]]:
        """The sets in order of their first members, members in order."""
        result: dict[str, list[str]] = {}
        for key in self.parent:
            result.setdefault(self.find(key), []).append(key)
        return list(result.values())


def points_of(entries: list[dict[str, float]]) -> NDArray[np.float64]:
    """(M, 2) x, y [m] of a list of map points."""
    points = np.array([[float(point["x"]), float(point["y"])] for point in entries])
    if points.ndim != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise ValueError("a line of fewer than two points")
    return points


def valid_polygon(points: NDArray[np.float64]) -> Polygon:
    """Polygon with the given corners; where its outline crosses itself, the largest part of what it encloses."""
    polygon = Polygon(points)
    if polygon.is_valid:
        return polygon
    mended = polygon.buffer(0)
    return max(mended.geoms, key=lambda part: part.area) if isinstance(mended, MultiPolygon) else mended


def resample(line: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(count, 2) points at equal distances along a line (M, 2), ends included."""
    station = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0.0, station[-1], count)
    return np.column_stack([np.interp(at, station, line[:, 0]), np.interp(at, station, line[:, 1])])


def _center_lines(left: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Mean of two boundaries at equal fractions of their lengths, and the same resampled to at most 1 m spacing."""
    count = max(_MIN_BOUNDARY_SAMPLES, len(left), len(right))
    coarse = (resample(left, count) + resample(right, count)) / 2
    length = float(np.hypot(*np.diff(coarse, axis=0).T).sum())
    return coarse, resample(coarse, max(int(np.ceil(length / _SPACING_M)), 1) + 1)


def _with_central_headings(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    dx, dy = np.gradient(xy, axis=0).T
    return np.column_stack([xy, np.arctan2(dy, dx)])


def same_direction(a: LaneSegment, b: LaneSegment) -> bool:
    """True if two lanes are of one kind and head the same way halfway along."""
    if a.is_connector != b.is_connector:
        return False
    return bool(abs(wrap_angle(np.array(a.mid_heading - b.mid_heading))) < SAME_DIRECTION_RAD)
