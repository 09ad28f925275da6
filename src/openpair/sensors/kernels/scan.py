# mypy: ignore-errors
# ruff: noqa: UP018, RUF046, PLR1730
# Warp compiles this file: in kernels int() and float() declare variables, branches are spelled out, and annotations are
# read at run time, so that ``from __future__ import annotations`` must not stand here.
"""The LiDAR: one thread a laser beam. Ego rear-axle frame, float32; the ray parameter is the range."""

import warp as wp

from openpair.sensors.kernels.shapes import MISS, Primitive, hit

wp.set_module_options({"enable_backward": False, "fast_math": True})

LIDAR_COLUMNS = wp.constant(16)
"""Azimuths of a LiDAR bin, which keeps its own list of primitives, nearest first."""


@wp.kernel
def scan(
    origin: wp.vec3,
    beams: wp.array2d(dtype=wp.float32),
    headings: wp.array2d(dtype=wp.float32),
    primitives: wp.array(dtype=Primitive),
    near: wp.array(dtype=wp.float32),
    slopes: wp.array(dtype=wp.vec2),
    members: wp.array2d(dtype=wp.int32),
    counts: wp.array(dtype=wp.int32),
    max_range: float,
    points: wp.array3d(dtype=wp.float32),
    ranges: wp.array2d(dtype=wp.float32),
):
    """One ray a beam and azimuth -> point [m] and range [m], MISS where nothing is hit within range.

    beams: (E, 2) cosine and sine of the elevation; headings: (A, 2) of the azimuth; ``near`` is the horizontal distance
    at which a primitive begins; slopes: tangents of the least and the greatest elevation at which it can be hit.
    """
    column, beam = wp.tid()
    tile = column / LIDAR_COLUMNS
    flat = beams[beam, 0]
    direction = wp.vec3(headings[column, 0] * flat, headings[column, 1] * flat, beams[beam, 1])
    slope = beams[beam, 1] / flat
    best = float(max_range)
    if direction[2] < 0.0:
        best = wp.min(best, -origin[2] / direction[2])
    for k in range(counts[tile]):
        index = members[tile, k]
        if near[index] > best * flat:
            break
        if slope < slopes[index][0] or slope > slopes[index][1]:
            continue
        t = hit(primitives[index], origin, direction)
        if t < best:
            best = t
    if best >= max_range:
        ranges[column, beam] = MISS
        return
    ranges[column, beam] = best
    points[column, beam, 0] = origin[0] + best * direction[0]
    points[column, beam, 1] = origin[1] + best * direction[1]
    points[column, beam, 2] = wp.max(origin[2] + best * direction[2], 0.0)


@wp.kernel
def bin_sectors(
    sectors: wp.array2d(dtype=wp.float32),
    order: wp.array(dtype=wp.int32),
    num_azimuths: int,
    members: wp.array2d(dtype=wp.int32),
    counts: wp.array(dtype=wp.int32),
):
    """Lists, for every LiDAR bin, the primitives whose sector (middle, half width) [rad] meets it."""
    tile = wp.tid()
    step = 2.0 * wp.pi / float(num_azimuths)
    width = step * float(LIDAR_COLUMNS)
    middle = float(tile) * width + 0.5 * (width - step)
    n = int(0)
    for k in range(order.shape[0]):
        i = order[k]
        gap = wp.abs(sectors[i, 0] - middle)
        gap = gap - 2.0 * wp.pi * wp.floor(gap / (2.0 * wp.pi))
        gap = wp.min(gap, 2.0 * wp.pi - gap)
        if gap <= sectors[i, 1] + 0.5 * width:
            members[tile, n] = i
            n += 1
    counts[tile] = n
