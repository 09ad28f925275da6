"""Buildings and trees beside the roads, placed by the map's geometry alone: the same in every frame of a town."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.sensors.ground import TILE_M
from openpair.sensors.kernels import shapes
from openpair.sensors.primitives import Primitives, empty, shadows, solids
from openpair.sensors.surfaces import DRIVABLE_KINDS, Surfaces

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
    taken = (away < 0.5).astype(np.uint8)
    parts: list[Primitives] = []
    slope_x = cv2.Sobel(away, cv2.CV_32F, 1, 0, ksize=5)
    slope_y = cv2.Sobel(away, cv2.CV_32F, 0, 1, ksize=5)

    def at(grid: NDArray, point: NDArray[np.float64]) -> float:
        col, row = np.clip(((point - corner) / CELL_M).astype(int), 0, cells - 1)
        return float(grid[row, col])

    for draw in rng.random((BUILDING_CANDIDATES, 8)):
        point = corner + MARGIN_M + draw[:2] * TILE_M
        distance = at(away, point)
        if not 1.0 < distance < MAX_SETBACK_M:
            continue
        outward = np.array([at(slope_x, point), at(slope_y, point)])
        if np.hypot(*outward) < 1e-6:
            continue
        outward /= np.hypot(*outward)
        front, depth = 9.0 + 10.0 * draw[2], 8.0 + 6.0 * draw[3]
        setback = CLEARANCE_M + 0.5 + 3.0 * draw[4] + (depth + 8.0 if distance > 18.0 else 0.0)
        middle = point + outward * (setback + 0.5 * depth - distance)
        footprint = _rectangle(middle, outward, depth, front)
        if not _claim(taken, away, footprint, corner):
            continue
        x, y = middle
        height = 4.5 + 4.0 * draw[5] if draw[5] < 0.55 else 7.0 + 12.0 * (draw[5] - 0.55)
        heading = np.arctan2(outward[1], outward[0])
        wall = WALLS[int(draw[6] * len(WALLS))] * (0.9 + 0.2 * draw[7])
        parts.append(solids(x, y, 0.0, heading, depth, front, height, color=wall, material=shapes.FACADE, seed=draw[7]))
        if height < 7.0:
            rise = 2.2 + draw[4]
            roof = ROOFS[int(draw[7] * len(ROOFS))]
            lean = (0.49 * (depth + 0.6) / rise, 0.05)
            parts.append(solids(x, y, height, heading, depth + 0.6, front + 0.5, rise, color=roof, taper=lean))
    for draw in rng.random((TREE_CANDIDATES, 7)):
        point = corner + MARGIN_M + draw[:2] * TILE_M
        distance = at(away, point)
        street = 2.6 < distance < 4.0
        garden = 7.0 < distance < 30.0 and draw[2] < 0.5
        if not (street or garden) or at(taken, point):
            continue
        x, y = point
        crown = 1.3 + 1.2 * draw[3]
        if garden:
            crown *= 1.3
        foot = 2.3 + 0.8 * draw[4]
        green = LEAVES[int(draw[5] * len(LEAVES))] * (0.85 + 0.3 * draw[6])
        parts.append(solids(x, y, 0.0, 0.0, 0.28, 0.28, foot + 0.6, color=(0.32, 0.24, 0.17)))
        parts.append(
            solids(x, y, foot, 6.3 * draw[6], 2 * crown, 1.85 * crown, 2.3 * crown,
                   color=green, shape=shapes.ELLIPSOID, material=shapes.FOLIAGE)
        )  # fmt: skip
        parts.append(shadows(x, y, 0.0, 1.9 * crown, 1.9 * crown, round_rim_m=0.8))
    return np.concatenate(parts) if parts else empty()


def _distance_to_road(surfaces: Surfaces, corner: NDArray[np.float64], cells: int) -> NDArray[np.float32] | None:
    """(cells, cells) distance [m] to the nearest drivable surface; None where there is none near."""
    bounds = (corner[0], corner[1], corner[0] + cells * CELL_M, corner[1] + cells * CELL_M)
    road = np.zeros((cells, cells), np.uint8)
    for i in surfaces.within(bounds):
        if surfaces.kind[i] in DRIVABLE_KINDS:
            rings = [np.round((ring - corner) / CELL_M * 16 - 8).astype(np.int32) for ring in surfaces.rings[i]]
            cv2.fillPoly(road, rings, 1, shift=4)
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
