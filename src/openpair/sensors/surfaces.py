"""Map polygons as plain arrays in the town's own frame, ready to be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from openpair.datatypes.road_map import RoadMap


class SurfaceKind(IntEnum):
    """What a polygon is painted as; later kinds are painted over earlier ones."""

    WALKWAY = 0
    ROAD = 1
    CARPARK = 2
    INTERSECTION = 3
    CROSSWALK = 4
    STOP_LINE = 5


DRIVABLE_KINDS = (SurfaceKind.ROAD, SurfaceKind.CARPARK, SurfaceKind.INTERSECTION)
RASTER_SHIFT: Final = 4
"""Fractional bits of the coordinates given to OpenCV: 1/16 cell."""


@dataclass(frozen=True)
class Surfaces:
    """S polygons.

    Attributes:
        origin: (2,) where the town's own frame begins, global frame [m].
        kind: (S,) int64 :class:`SurfaceKind`.
        bounds: (S, 4) min x, min y, max x, max y [m], town frame.
        rings: for each polygon its exterior and holes, (n, 2) [m], town frame.
    """

    origin: NDArray[np.float64]
    kind: NDArray[np.int64]
    bounds: NDArray[np.float64]
    rings: tuple[tuple[NDArray[np.float64], ...], ...]

    def within(self, bounds: tuple[float, float, float, float]) -> NDArray[np.int64]:
        """Indices of polygons whose bounding box meets ``bounds`` (min x, min y, max x, max y), town frame."""
        b = self.bounds
        meets = (b[:, 0] <= bounds[2]) & (b[:, 2] >= bounds[0]) & (b[:, 1] <= bounds[3]) & (b[:, 3] >= bounds[1])
        return np.flatnonzero(meets)

    def raster_rings(
        self, indices: Sequence[int], corner: NDArray[np.float64], cell_m: float
    ) -> list[list[NDArray[np.int32]]]:
        """Rings of some polygons as :func:`raster` gives them."""
        rings = iter(raster_points([ring for i in indices for ring in self.rings[i]], corner, cell_m))
        return [[next(rings) for _ in self.rings[i]] for i in indices]


def raster(points: NDArray[np.float64], corner: NDArray[np.float64] | float, cell_m: float) -> NDArray[np.int32]:
    """Town frame [m] -> OpenCV points with fractional bits; cells of ``cell_m``, the first begins at ``corner``."""
    return np.round(((points - corner) / cell_m - 0.5) * (1 << RASTER_SHIFT)).astype(np.int32)


def raster_points(
    parts: Sequence[NDArray[np.float64]], corner: NDArray[np.float64], cell_m: float
) -> list[NDArray[np.int32]]:
    """:func:`raster` of many point lists in one go."""
    if not parts:
        return []
    stops = np.cumsum([len(part) for part in parts]).tolist()
    points = raster(np.concatenate(parts), corner, cell_m)
    return [points[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _polygons(road_map: RoadMap) -> Iterable[tuple[SurfaceKind, Polygon]]:
    for lane in road_map.lanes.values():
        yield SurfaceKind.ROAD, lane.polygon
    for block in road_map.roadblocks.values():
        if block.polygon is not None and not block.is_connector:
            yield SurfaceKind.ROAD, block.polygon
    layers = (
        (SurfaceKind.ROAD, road_map.drivable_areas),
        (SurfaceKind.CARPARK, road_map.carparks),
        (SurfaceKind.INTERSECTION, road_map.intersections),
        (SurfaceKind.CROSSWALK, road_map.crosswalks),
        (SurfaceKind.WALKWAY, road_map.walkways),
        (SurfaceKind.STOP_LINE, road_map.stop_lines),
    )
    for kind, layer in layers:
        for polygon in layer.values():
            yield kind, polygon


def map_surfaces(road_map: RoadMap) -> Surfaces:
    """All polygons of a map. The town frame is the global frame moved to the lower left corner of its surfaces."""
    kinds: list[int] = []
    shapes: list[Polygon] = []
    for kind, polygon in _polygons(road_map):
        for part in getattr(polygon, "geoms", (polygon,)):  # a MultiPolygon counts as its parts
            if not part.is_empty:
                kinds.append(kind)
                shapes.append(part)
    if not shapes:
        return Surfaces(np.zeros(2), np.zeros(0, np.int64), np.zeros((0, 4)), ())
    bounds = shapely.bounds(np.array(shapes, dtype=object))
    origin = bounds[:, :2].min(axis=0)
    rings = tuple(
        tuple(shapely.get_coordinates(ring)[:, :2] - origin for ring in (shape.exterior, *shape.interiors))
        for shape in shapes
    )
    return Surfaces(origin, np.array(kinds, np.int64), bounds - np.tile(origin, 2), rings)
