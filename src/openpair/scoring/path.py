# mypy: disable-error-code="valid-type"
"""The centreline: nearest point by distance, and its station, for progress (EP) and lane keeping (LK)."""

import warp as wp

from openpair.scoring.arrays import PathArrays
from openpair.geometry.warp_runtime import MODULE_OPTIONS

wp.set_module_options(MODULE_OPTIONS)

CHUNK_SEGMENTS = 8
CHUNK = wp.constant(CHUNK_SEGMENTS)
"""Segments in one run; its bounding box tells whether the run can hold the nearest point."""


@wp.struct
class PathPoint:
    """Nearest point of a line: squared distance [m^2], station [m], run of segments that holds it."""

    distance2: wp.float64
    station: wp.float64
    chunk: int


@wp.func
def box_distance2(box: wp.vec4d, x: wp.float64, y: wp.float64) -> wp.float64:
    """Squared distance from a point to an axis-aligned box."""
    zero = wp.float64(0.0)
    dx = wp.max(wp.max(box[0] - x, x - box[2]), zero)
    dy = wp.max(wp.max(box[1] - y, y - box[3]), zero)
    return dx * dx + dy * dy


@wp.func
def nearest_in_chunk(path: PathArrays, scene: int, chunk: int, x: wp.float64, y: wp.float64, best: PathPoint) -> PathPoint:
    """The nearer of ``best`` and the nearest point on the run's segments (the earlier one where equal)."""
    zero = wp.float64(0.0)
    one = wp.float64(1.0)
    first = path.point_range[scene] + (chunk - path.chunk_range[scene]) * CHUNK
    last = wp.min(first + CHUNK, path.point_range[scene + 1] - 1)
    for i in range(first, last):
        a = path.point[i]
        b = path.point[i + 1]
        dx = b[0] - a[0]
        dy = b[1] - a[1]
        length2 = dx * dx + dy * dy
        share = zero
        if length2 > zero:
            share = wp.clamp(((x - a[0]) * dx + (y - a[1]) * dy) / length2, zero, one)
        off_x = a[0] + share * dx - x
        off_y = a[1] + share * dy - y
        distance2 = off_x * off_x + off_y * off_y
        station = path.station[i] + share * (path.station[i + 1] - path.station[i])
        if distance2 < best.distance2 or (distance2 == best.distance2 and station < best.station):
            best.distance2 = distance2
            best.station = station
            best.chunk = chunk
    return best


@wp.func
def nearest_on_path(path: PathArrays, scene: int, x: wp.float64, y: wp.float64, start_chunk: int) -> PathPoint:
    """Nearest point of the scene's centreline. ``start_chunk``: a run to try first; any run gives the same result."""
    best = PathPoint()
    best.distance2 = wp.float64(1e300)
    best.station = wp.float64(0.0)
    best.chunk = start_chunk
    best = nearest_in_chunk(path, scene, start_chunk, x, y, best)
    for chunk in range(path.chunk_range[scene], path.chunk_range[scene + 1]):
        if chunk != start_chunk and box_distance2(path.chunk_box[chunk], x, y) <= best.distance2:
            best = nearest_in_chunk(path, scene, chunk, x, y, best)
    return best
