"""Which primitives a view or a LiDAR bin can meet, and how near: the lists that keep ray casting fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from openpair.sensors import kernels
from openpair.sensors.primitives import Primitives, corners

TILE_PX = int(kernels.TILE_PX)
NEAR_PLANE_M = 0.2


@dataclass(frozen=True)
class Bins:
    """Lists of primitives by tile, nearest first.

    Attributes:
        near: (P,) float32 least distance (optical depth, or over ground for LiDAR) of each primitive.
        members: (tiles, n) int32 primitive indices.
        counts: (tiles,) int32 how many of them count.
    """

    near: Any
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


def _lists(tiles: int, order: NDArray[np.int32]) -> tuple[Any, Any, Any]:
    members = wp.empty((tiles, max(len(order), 1)), dtype=wp.int32, device="cpu")
    return members, wp.empty(tiles, dtype=wp.int32, device="cpu"), wp.array(order, dtype=wp.int32, device="cpu")


def bin_view(view: Pinhole, points: NDArray[np.float32]) -> Bins:
    """Screen tiles of a view and the primitives that may show in each.

    Args:
        points: (P, 8, 3) corners of the primitives, ego frame.
    """
    width, height = view.size
    local = (points - view.origin.astype(np.float32)) @ view.axes.astype(np.float32)
    depth = local[..., 2]
    near, far = depth.min(axis=1), depth.max(axis=1)
    safe = np.maximum(depth, NEAR_PLANE_M)
    col = (local[..., 0] / safe - np.float32(view.first[0])) / np.float32(view.step[0])
    row = (local[..., 1] / safe - np.float32(view.first[1])) / np.float32(view.step[1])
    rectangles = np.stack([col.min(axis=1), row.min(axis=1), col.max(axis=1), row.max(axis=1)], axis=1)
    across = near < NEAR_PLANE_M  # reaches behind the camera: its corners say little, take the whole image
    rectangles[across] = (-1, -1, width + 1, height + 1)
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
    wide, high = -(-width // TILE_PX), -(-height // TILE_PX)
    members, counts, order_wp = _lists(wide * high, order)
    wp.launch(
        kernels.bin_rectangles,
        dim=wide * high,
        inputs=[wp.array(rectangles, dtype=wp.float32, device="cpu"), order_wp, wide, members, counts],
        device="cpu",
    )
    return Bins(wp.array(near, dtype=wp.float32, device="cpu"), members, counts)


def bin_scan(origin: NDArray[np.float64], primitives: Primitives, num_azimuths: int, max_range_m: float) -> Bins:
    """Bins of neighbouring azimuths of a LiDAR and the primitives that may return a beam in each."""
    offset = primitives["center"][:, :2] - origin[:2].astype(np.float32)
    distance = np.hypot(offset[:, 0], offset[:, 1])
    radius = np.hypot(primitives["half"][:, 0], primitives["half"][:, 1])
    near = np.maximum(distance - radius, 0.0)
    half_width = np.where(distance > radius, np.arcsin(np.minimum(radius / np.maximum(distance, 1e-6), 1.0)), np.pi)
    sectors = np.stack([np.arctan2(offset[:, 1], offset[:, 0]), half_width], axis=1).astype(np.float32)
    solid = primitives["shape"] != int(kernels.GROUND_SHADOW)
    order = np.flatnonzero(solid & (near < max_range_m))
    order = order[np.argsort(near[order], kind="stable")].astype(np.int32)
    tiles = -(-num_azimuths // int(kernels.LIDAR_COLUMNS))
    members, counts, order_wp = _lists(tiles, order)
    wp.launch(
        kernels.bin_sectors,
        dim=tiles,
        inputs=[wp.array(sectors, dtype=wp.float32, device="cpu"), order_wp, num_azimuths, members, counts],
        device="cpu",
    )
    return Bins(wp.array(near.astype(np.float32), dtype=wp.float32, device="cpu"), members, counts)
