# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""The centreline: nearest point by distance, and its station, for progress (EP) and lane keeping (LK)."""

import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.scoring.arrays import PathArrays

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
def nearest_on_path(path: PathArrays, scene: int, x: wp.float64, y: wp.float64, start_chunk: int) -> PathPoint:
    """Nearest point of the scene's centreline, the earliest where several are equally near.

    ``start_chunk``: the run to try first; any gives the same result, a near one gives it soon.
    """
    zero = wp.float64(0.0)
    one = wp.float64(1.0)
    first_chunk = path.chunk_range[scene]
    last_chunk = path.chunk_range[scene + 1]
    first_point = path.point_range[scene]
    last_point = path.point_range[scene + 1] - 1
    distance2 = wp.float64(1e300)
    station = zero
    nearest = start_chunk
    for turn in range(first_chunk - 1, last_chunk):
        chunk = turn
        if turn < first_chunk:
            chunk = start_chunk
        if turn != start_chunk and box_distance2(path.chunk_box[chunk], x, y) <= distance2:
            start = first_point + (chunk - first_chunk) * CHUNK
            for i in range(start, wp.min(start + CHUNK, last_point)):
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
                candidate2 = off_x * off_x + off_y * off_y
                if candidate2 <= distance2:
                    here = path.station[i] + share * (path.station[i + 1] - path.station[i])
                    if candidate2 < distance2 or here < station:
                        distance2 = candidate2
                        station = here
                        nearest = chunk
    result = PathPoint()
    result.distance2 = distance2
    result.station = station
    result.chunk = nearest
    return result
