"""Shapely polygons to flat vertex arrays, and picking some out of many at once."""

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
    begin, end = consecutive_runs(index)
    first_ring, last_ring = polygons.polygon_offset[begin], polygons.polygon_offset[end]
    first_vertex, last_vertex = polygons.ring_offset[first_ring], polygons.ring_offset[last_ring]
    return PolygonSet(
        xy=_concatenate_slices(polygons.xy, first_vertex, last_vertex),
        ring_offset=_joined_offsets(polygons.ring_offset, first_ring, last_ring),
        polygon_offset=_joined_offsets(polygons.polygon_offset, begin, end),
    )


def consecutive_runs(index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split numbers (n,) into runs a, a+1 .. b-1; returns all a and all b. Slicing runs is faster than picking one by
    one, and neighbours on the map are neighbours in its file."""
    breaks = np.flatnonzero(np.diff(index) != 1)
    first = np.concatenate([index[:1], index[breaks + 1]])
    last = np.concatenate([index[breaks], index[-1:]])
    return first, last + 1


def _concatenate_slices(values: NDArray, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray:
    slices = [values[a:b] for a, b in zip(begin.tolist(), end.tolist(), strict=True)]
    return np.concatenate(slices) if slices else values[:0]


def _joined_offsets(offset: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets of the entries [begin, end) of several runs, one run after another."""
    ends = _concatenate_slices(offset, begin + 1, end + 1)
    return _offsets(ends - _concatenate_slices(offset, begin, end))


def empty_polygons() -> PolygonSet:
    """A set without polygons."""
    return PolygonSet(np.zeros((0, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64))


def _offsets(count: NDArray[np.int64]) -> NDArray[np.int64]:
    offset = np.zeros(len(count) + 1, np.int64)
    np.cumsum(count, out=offset[1:])
    return offset
