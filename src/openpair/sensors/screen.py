"""Which primitives a view or a LiDAR bin can meet, and how near: the lists that keep ray casting fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from openpair.sensors.kernels import camera, scan, shapes
from openpair.sensors.primitives import Primitives, kernel_array

TILE_PX = camera.TILE_PX
NEAR_PLANE_M = 0.2

_EDGES = np.array([(i, i | bit) for bit in (1, 2, 4) for i in range(8) if not i & bit])
"""(12, 2) corners that each edge of a box joins."""


@dataclass(frozen=True)
class Bins:
    """Lists of primitives by tile, nearest first.

    Attributes:
        near: (P,) float32 least distance (optical depth, or over ground for LiDAR) of each primitive.
        limits: (P,) where each primitive can be seen: left, top, right, bottom [px] on a screen; tangents of the least
            and greatest elevation for LiDAR.
        members: (tiles, n) int32 primitive indices.
        counts: (tiles,) int32 how many of them count.
    """

    near: Any
    limits: Any
    members: Any
    counts: Any


@dataclass(frozen=True)
class Pinhole:
    """A pinhole view in the ego frame.

    Attributes:
        origin: (3,) [m].
        axes: (3, 3) columns right, down, forward.
        first, step: (2,) tangent of the first column and row, and from one to the next.
        size: (width, height) [px].
        column: first column in the output image.
    """

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]
    first: NDArray[np.float64]
    step: NDArray[np.float64]
    size: tuple[int, int]
    column: int = 0


def _lists(tiles: int, order: NDArray[np.integer]) -> tuple[Any, Any, Any]:
    members: Any = wp.empty((tiles, max(len(order), 1)), dtype=wp.int32, device="cpu")
    return members, wp.empty(tiles, dtype=wp.int32, device="cpu"), kernel_array(order, wp.int32)


def bin_view(view: Pinhole, points: NDArray[np.float32]) -> Bins:
    """Screen tiles of a view and the primitives that may show in each.

    Args:
        points: (P, 8, 3) corners of the primitives, ego frame.
    """
    width, height = view.size
    local = (points - view.origin.astype(np.float32)) @ view.axes.astype(np.float32)
    depth = local[..., 2]
    near, far = depth.min(axis=1), depth.max(axis=1)
    rectangles = _rectangles(view, local)
    across = np.flatnonzero((near < NEAR_PLANE_M) & (far > NEAR_PLANE_M))
    if len(across):
        rectangles[across] = _clipped_rectangles(view, local[across])
    rectangles += np.array([-1, -1, 1, 1], np.float32)
    shown = (
        (far > NEAR_PLANE_M)
        & (rectangles[:, 2] >= 0)
        & (rectangles[:, 0] <= width)
        & (rectangles[:, 3] >= 0)
        & (rectangles[:, 1] <= height)
    )
    order = np.flatnonzero(shown)
    order = order[np.argsort(near[order], kind="stable")].astype(np.int32)
    boxes = kernel_array(rectangles, wp.vec4)
    wide, high = -(-width // TILE_PX), -(-height // TILE_PX)
    members, counts, order_wp = _lists(wide * high, order)
    wp.launch(
        camera.bin_rectangles,
        dim=wide * high,
        inputs=[boxes, order_wp, wide, members, counts],
        device="cpu",
    )
    return Bins(kernel_array(near, wp.float32), boxes, members, counts)


def _rectangles(view: Pinhole, local: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P, 4) left, top, right, bottom [px] of the projections of points (P, n, 3), optical axes; NaN is skipped.

    Points nearer than the near plane are taken to lie on it.
    """
    depth = np.maximum(local[..., 2], NEAR_PLANE_M)
    col = (local[..., 0] / depth - np.float32(view.first[0])) / np.float32(view.step[0])
    row = (local[..., 1] / depth - np.float32(view.first[1])) / np.float32(view.step[1])
    low, high = np.fmin.reduce, np.fmax.reduce
    return np.stack([low(col, axis=1), low(row, axis=1), high(col, axis=1), high(row, axis=1)], axis=1)


def _clipped_rectangles(view: Pinhole, local: NDArray[np.float32]) -> NDArray[np.float32]:
    """As :func:`_rectangles` for boxes (P, 8, 3) that reach through the near plane: the part in front counts."""
    a, b = local[:, _EDGES[:, 0]], local[:, _EDGES[:, 1]]
    crosses = (a[..., 2] < NEAR_PLANE_M) != (b[..., 2] < NEAR_PLANE_M)
    rise = np.where(crosses, b[..., 2] - a[..., 2], 1.0)
    cut = a + ((NEAR_PLANE_M - a[..., 2]) / rise)[..., None] * (b - a)
    points = np.concatenate([local, cut], axis=1)
    front = np.concatenate([local[..., 2] >= NEAR_PLANE_M, crosses], axis=1)
    return _rectangles(view, np.where(front[..., None], points, np.nan).astype(np.float32))


def bin_scan(origin: NDArray[np.float64], primitives: Primitives, num_azimuths: int, max_range_m: float) -> Bins:
    """Bins of neighbouring azimuths of a LiDAR and the primitives that may return a beam in each."""
    offset = primitives["center"][:, :2] - origin[:2].astype(np.float32)
    distance = np.hypot(offset[:, 0], offset[:, 1])
    radius = np.hypot(primitives["half"][:, 0], primitives["half"][:, 1])
    near = np.maximum(distance - radius, 0.0)
    high = primitives["center"][:, 2] + primitives["half"][:, 2] - np.float32(origin[2])
    low = primitives["center"][:, 2] - primitives["half"][:, 2] - np.float32(origin[2])
    closest, farthest = np.maximum(near, 1e-3), distance + radius
    steepest = np.maximum(high / closest, high / farthest)
    flattest = np.minimum(low / closest, low / farthest)
    slopes = np.stack([flattest, steepest], axis=1).astype(np.float32)
    half_width = np.where(distance > radius, np.arcsin(np.minimum(radius / np.maximum(distance, 1e-6), 1.0)), np.pi)
    sectors = np.stack([np.arctan2(offset[:, 1], offset[:, 0]), half_width], axis=1).astype(np.float32)
    solid = primitives["shape"] != shapes.GROUND_SHADOW
    order = np.flatnonzero(solid & (near < max_range_m))
    order = order[np.argsort(near[order], kind="stable")].astype(np.int32)
    tiles = -(-num_azimuths // scan.LIDAR_COLUMNS)
    members, counts, order_wp = _lists(tiles, order)
    wp.launch(
        scan.bin_sectors,
        dim=tiles,
        inputs=[kernel_array(sectors, wp.float32), order_wp, num_azimuths, members, counts],
        device="cpu",
    )
    return Bins(kernel_array(near.astype(np.float32), wp.float32), kernel_array(slopes, wp.vec2), members, counts)
