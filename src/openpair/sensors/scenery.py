"""Buildings and trees beside the roads, placed by the map's geometry alone: the same in every frame of a town."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.sensors.ground import TILE_M
from openpair.sensors.kernels import shapes
from openpair.sensors.primitives import Primitives, empty, joined, shadows, solids
from openpair.sensors.surfaces import DRIVABLE_KINDS, RASTER_SHIFT, Surfaces

CELL_M: Final = 0.5
MARGIN_M: Final = 48.0
BUILDING_CANDIDATES: Final = 36
TREE_CANDIDATES: Final = 40
CLEARANCE_M: Final = 4.0
"""No wall stands nearer to a road than this."""
MAX_SETBACK_M: Final = 36.0
"""Nothing is built further from a road than this: it could not be seen."""

WALLS: Final = np.array(
    [
        (0.58, 0.36, 0.28),
        (0.74, 0.68, 0.56),
        (0.62, 0.62, 0.62),
        (0.70, 0.55, 0.42),
        (0.52, 0.56, 0.60),
        (0.80, 0.78, 0.72),
    ]
)
ROOFS: Final = np.array([(0.42, 0.22, 0.17), (0.30, 0.30, 0.32), (0.40, 0.32, 0.26)])
LEAVES: Final = np.array([(0.22, 0.38, 0.15), (0.28, 0.42, 0.16), (0.18, 0.33, 0.17)])


def tile_scenery(surfaces: Surfaces, ix: int, iy: int) -> Primitives:
    """(P,) buildings and trees whose seed point lies in tile (ix, iy), town frame."""
    corner = np.array([ix, iy]) * TILE_M - MARGIN_M
    cells = int((TILE_M + 2 * MARGIN_M) / CELL_M)
    away = _distance_to_road(surfaces, corner, cells)
    if away is None:
        return empty()
    rng = np.random.default_rng([ix & 0xFFFF, iy & 0xFFFF, 26031])
    origin = corner + MARGIN_M
    taken = (away < 0.5).astype(np.uint8)
    buildings = _buildings(rng.random((BUILDING_CANDIDATES, 8)), origin, corner, away, taken)
    trees = _trees(rng.random((TREE_CANDIDATES, 7)), origin, corner, away, taken)
    return joined([*buildings, *trees])


def _buildings(
    draws: NDArray[np.float64],
    origin: NDArray[np.float64],
    corner: NDArray[np.float64],
    away: NDArray[np.float32],
    taken: NDArray[np.uint8],
) -> list[Primitives]:
    """Walls and roofs where ``draws`` (n, 8) in 0..1 find room. Marks the cells they take."""
    points = origin + draws[:, :2] * TILE_M
    cells = _cells(points, corner, len(away))
    distance = away[cells].astype(np.float64)
    outward = np.stack(
        [cv2.Sobel(away, cv2.CV_32F, dx, 1 - dx, ksize=5)[cells].astype(np.float64) for dx in (1, 0)], axis=1
    )
    steep = np.hypot(outward[:, 0], outward[:, 1])
    rows = []
    for i in np.flatnonzero((distance > 1.0) & (distance < MAX_SETBACK_M) & (steep >= 1e-6)):
        draw, out = draws[i], outward[i] / steep[i]
        front, depth = 9.0 + 10.0 * draw[2], 8.0 + 6.0 * draw[3]
        setback = CLEARANCE_M + 0.5 + 3.0 * draw[4] + (depth + 8.0 if distance[i] > 18.0 else 0.0)
        middle = points[i] + out * (setback + 0.5 * depth - distance[i])
        if _claim(taken, away, _rectangle(middle, out, depth, front), corner):
            rows.append((*middle, np.arctan2(out[1], out[0]), front, depth, *draw[4:]))
    if not rows:
        return [empty()]
    x, y, heading, front, depth, lift, storeys, tint, seed = np.array(rows).T
    height = np.where(storeys < 0.55, 4.5 + 4.0 * storeys, 7.0 + 12.0 * (storeys - 0.55))
    color = WALLS[(tint * len(WALLS)).astype(int)] * (0.9 + 0.2 * seed)[:, None]
    walls = solids(x, y, 0.0, heading, depth, front, height, color=color, material=shapes.FACADE, seed=seed)
    low = height < 7.0
    rise = (2.2 + lift)[low]
    lean = np.stack([0.49 * (depth[low] + 0.6) / rise, np.full(len(rise), 0.05)], axis=1)
    tiles = ROOFS[(seed[low] * len(ROOFS)).astype(int)]
    roofs = solids(
        x[low], y[low], height[low], heading[low], depth[low] + 0.6, front[low] + 0.5, rise, color=tiles, taper=lean
    )
    return [walls, roofs]


def _trees(
    draws: NDArray[np.float64],
    origin: NDArray[np.float64],
    corner: NDArray[np.float64],
    away: NDArray[np.float32],
    taken: NDArray[np.uint8],
) -> list[Primitives]:
    """Trunks, crowns and shadows of trees along streets and in gardens, where ``draws`` (n, 7) in 0..1 find room."""
    points = origin + draws[:, :2] * TILE_M
    cells = _cells(points, corner, len(away))
    distance = away[cells]
    street = (distance > 2.6) & (distance < 4.0)
    garden = (distance > 7.0) & (distance < 30.0) & (draws[:, 2] < 0.5)
    grows = (street | garden) & (taken[cells] == 0)
    x, y = points[grows].T
    _, _, _, broad, tall, leaf, shade = draws[grows].T
    crown = (1.3 + 1.2 * broad) * np.where(garden[grows], 1.3, 1.0)
    foot = 2.3 + 0.8 * tall
    green = LEAVES[(leaf * len(LEAVES)).astype(int)] * (0.85 + 0.3 * shade)[:, None]
    return [
        solids(x, y, 0.0, 0.0, 0.28, 0.28, foot + 0.6, color=(0.32, 0.24, 0.17)),
        solids(x, y, foot, 6.3 * shade, 2 * crown, 1.85 * crown, 2.3 * crown,
               color=green, shape=shapes.ELLIPSOID, material=shapes.FOLIAGE),
        shadows(x, y, 0.0, 1.9 * crown, 1.9 * crown, round_rim_m=0.8),
    ]  # fmt: skip


def _cells(
    points: NDArray[np.float64], corner: NDArray[np.float64], cells: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the cells in which points (n, 2) lie."""
    column, row = np.clip(((points - corner) / CELL_M).astype(np.int64), 0, cells - 1).T
    return row, column


def _distance_to_road(surfaces: Surfaces, corner: NDArray[np.float64], cells: int) -> NDArray[np.float32] | None:
    """(cells, cells) distance [m] to the nearest drivable surface; None where there is none near."""
    bounds = (corner[0], corner[1], corner[0] + cells * CELL_M, corner[1] + cells * CELL_M)
    road = np.zeros((cells, cells), np.uint8)
    indices = surfaces.within(bounds)
    drivable = indices[np.isin(surfaces.kind[indices], DRIVABLE_KINDS)].tolist()
    for rings in surfaces.raster_rings(drivable, corner, CELL_M):
        cv2.fillPoly(road, rings, 1, shift=RASTER_SHIFT)
    if not road.any():
        return None
    return cv2.distanceTransform(1 - road, cv2.DIST_L2, 5).astype(np.float32) * CELL_M


def _rectangle(middle: NDArray, outward: NDArray, depth: float, front: float) -> NDArray[np.float64]:
    side = np.array([-outward[1], outward[0]])
    return np.stack(
        [middle + 0.5 * (a * depth * outward + b * front * side) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    )


def _claim(taken: NDArray[np.uint8], away: NDArray[np.float32], footprint: NDArray, corner: NDArray) -> bool:
    """Marks a footprint as taken; False if it is not free or comes too close to a road."""
    cells = ((footprint - corner) / CELL_M).astype(np.int32)
    if cells.min() < 0 or cells.max() >= taken.shape[0]:
        return False
    (left, top), (right, bottom) = cells.min(axis=0), cells.max(axis=0) + 1
    window = np.s_[top:bottom, left:right]
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillConvexPoly(mask, cells - [left, top], 1)
    inside = mask > 0
    if taken[window][inside].any() or away[window][inside].min() < CLEARANCE_M:
        return False
    taken[window][inside] = 1
    return True
