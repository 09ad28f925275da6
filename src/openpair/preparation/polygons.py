"""Shapely polygons to flat vertex arrays and back, and picking some out of many without a loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from openpair.datatypes.scoring_scene import PolygonSet


def flatten_polygons(polygons: Sequence[Polygon] | NDArray[np.object_]) -> PolygonSet:
    """P shapely polygons -> their vertices, exterior ring first, then the holes; rings stay closed."""
    array = np.asarray(polygons, dtype=object).reshape(-1)
    rings, owner = shapely.get_rings(array, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    return PolygonSet(
        xy=xy,
        ring_offset=_offsets(np.bincount(ring, minlength=len(rings))),
        polygon_offset=_offsets(np.bincount(owner, minlength=len(array))),
    )


def take_polygons(polygons: PolygonSet, index: NDArray[np.int64]) -> PolygonSet:
    """The polygons of ``index`` (n,), in that order (an index may repeat)."""
    ring_count = np.diff(polygons.polygon_offset)[index]
    rings = concatenate_ranges(polygons.polygon_offset[:-1][index], ring_count)
    vertex_count = np.diff(polygons.ring_offset)[rings]
    vertices = concatenate_ranges(polygons.ring_offset[:-1][rings], vertex_count)
    return PolygonSet(polygons.xy[vertices], _offsets(vertex_count), _offsets(ring_count))


def empty_polygons() -> PolygonSet:
    """A set without polygons."""
    return PolygonSet(np.zeros((0, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64))


def concatenate_ranges(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers start[0] .. start[0]+length[0]-1, start[1] .. and so on, in one array."""
    end = np.cumsum(length)
    total = int(end[-1]) if len(end) else 0
    return np.arange(total) + np.repeat(start - (end - length), length)


def _offsets(count: NDArray[np.int64]) -> NDArray[np.int64]:
    offset = np.zeros(len(count) + 1, np.int64)
    np.cumsum(count, out=offset[1:])
    return offset
