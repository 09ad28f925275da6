"""Where the other road users will be: occupancy rasters of the recorded future, a training target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.datatypes.bev_grid import BevGrid
from openpair.datatypes.columns import NUM_POSES, BoxIndex
from openpair.datatypes.scene import Scene
from openpair.geometry.poses import global_to_local

SUPERSAMPLING = 4
"""Boxes are painted in cells this many times finer, then averaged: a cell's value is the share that is covered."""

_CORNERS = np.array([(0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)])


def future_occupancy(scene: Scene, grid: BevGrid) -> NDArray[np.uint8]:
    """Share of each cell that other road users and objects cover at the times of the plan's poses.

    Args:
        scene: needs 8 future frames.
        grid: cells, ego rear-axle frame of the current frame.

    Returns:
        (8, rows, columns) 0 .. 255, at 0.5 s, 1.0 s ... 4.0 s.
    """
    agents = [frame.agents for frame in scene.future[:NUM_POSES]]
    return _occupancies(agents, scene.current.ego.pose, grid)


def occupancy(agents: Agents, ego_pose: NDArray[np.float64], grid: BevGrid) -> NDArray[np.uint8]:
    """Share of each cell (rows, columns), 0 .. 255, that boxes cover.

    Args:
        agents: boxes in the global frame.
        ego_pose: (3,) frame of the grid, global.
        grid: cells.
    """
    return np.asarray(_occupancies([agents], ego_pose, grid)[0])


def _occupancies(agents: Sequence[Agents], ego_pose: NDArray[np.float64], grid: BevGrid) -> NDArray[np.uint8]:
    """(T, rows, columns) :func:`occupancy` of T sets of agents."""
    import cv2

    rows, columns = grid.rows * SUPERSAMPLING, grid.columns * SUPERSAMPLING
    fine = np.zeros((len(agents), rows, columns), np.uint8)
    polygons = _box_corners(np.concatenate([a.box for a in agents]), ego_pose)
    dx, dy = grid.cell_size_m
    # Pixel centres of the fine raster lie at whole numbers; the first pixel's centre is half a fine cell inside.
    row = (polygons[..., 0] - grid.x_min_m) / dx * SUPERSAMPLING - 0.5
    column = (polygons[..., 1] - grid.y_min_m) / dy * SUPERSAMPLING - 0.5
    inside = (row.max(axis=1) > -1) & (row.min(axis=1) < rows) & (column.max(axis=1) > -1)
    inside &= (column.min(axis=1) < columns) & (np.maximum(np.abs(row), np.abs(column)).max(axis=1) < 1 << 20)
    shift = 4
    points = np.round(np.stack((column[inside], row[inside]), axis=-1) * (1 << shift)).astype(np.int32)
    layers = np.repeat(np.arange(len(agents)), [len(a) for a in agents])[inside]
    for layer, polygon in zip(layers.tolist(), points, strict=True):
        cv2.fillConvexPoly(fine[layer], polygon, 255, lineType=cv2.LINE_8, shift=shift)
    # The rasters lie below one another, so that one call averages the blocks of all of them.
    size = (grid.columns, len(agents) * grid.rows)
    shares = cv2.resize(fine.reshape(-1, columns), size, interpolation=cv2.INTER_AREA)
    return np.asarray(shares, np.uint8).reshape(len(agents), grid.rows, grid.columns)


def _box_corners(box: NDArray[np.float64], ego_pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (A, 6), global -> corners (A, 4, 2), frame of ``ego_pose``."""
    center = global_to_local(box[:, : BoxIndex.HEADING + 1], ego_pose)
    size = box[:, BoxIndex.LENGTH : BoxIndex.WIDTH + 1]
    offset = _CORNERS[None] * size[:, None]
    c, s = np.cos(center[:, 2])[:, None], np.sin(center[:, 2])[:, None]
    x = center[:, None, 0] + c * offset[..., 0] - s * offset[..., 1]
    y = center[:, None, 1] + s * offset[..., 0] + c * offset[..., 1]
    return np.stack((x, y), axis=-1)
