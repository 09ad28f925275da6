"""LiDAR feature: how many points lie above each cell of the ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig


def lidar_counts(points: NDArray[np.floating] | None, config: FeatureConfig) -> NDArray[np.uint8]:
    """Two-dimensional histogram of the points above the ground.

    Cells are closed below and open above, but the last one of each axis is closed on both ends, as numpy's histogram
    has it; points outside are dropped, and so are points that are not finite.

    Args:
        points: (P, 3) x, y, z [m], ego rear-axle frame.

    Returns:
        (1, cells, cells) uint8 counts, at most ``config.lidar_max_count``. Row 0 is the farthest behind, column 0 the
        farthest to the right.

    Raises:
        OpenPairError: there are no points, or they are no (P, 3) array.
    """
    if points is None:
        raise OpenPairError("there is no point cloud", where="LiDAR feature", fix="read the sensors with LiDAR")
    if points.ndim != 2 or points.shape[1] != 3:
        raise OpenPairError(f"LiDAR points are {points.shape}, not (P, 3)", where="LiDAR feature")
    z = points[:, 2]
    above = points[(z < config.lidar_max_z_m) & (z > config.lidar_min_z_m)]
    x, y = above[:, 0] - points.dtype.type(config.lidar_center_x_m), above[:, 1]
    reach = config.lidar_range_m
    inside = (x >= -reach) & (x <= reach) & (y >= -reach) & (y <= reach)
    cells = config.lidar_cells
    rows, columns = _cells(x[inside], config), _cells(y[inside], config)
    counts = np.bincount(rows * cells + columns, minlength=cells * cells)
    return np.minimum(counts, config.lidar_max_count).astype(np.uint8).reshape(1, cells, cells)


def _cells(value: NDArray[np.floating], config: FeatureConfig) -> NDArray[np.int64]:
    """Cell of each coordinate in [-range, range]."""
    cells = config.lidar_cells
    per_m = cells / (2 * config.lidar_range_m)
    if np.log2(per_m) % 1 == 0:  # scaling by a power of two is exact
        index = np.floor(value * value.dtype.type(per_m)).astype(np.int64) + cells // 2
        return np.minimum(index, cells - 1)
    edges = np.linspace(-config.lidar_range_m, config.lidar_range_m, cells + 1)
    return np.minimum(np.searchsorted(edges, value.astype(np.float64), side="right") - 1, cells - 1)


def lidar_feature(points: NDArray[np.floating], config: FeatureConfig) -> NDArray[np.float32]:
    """(1, cells, cells) float32 in [0, 1]: :func:`lidar_counts` divided by ``config.lidar_max_count``."""
    return counts_to_feature(lidar_counts(points, config), config)


def counts_to_feature(counts: NDArray[np.uint8], config: FeatureConfig) -> NDArray[np.float32]:
    """Counts of any shape, divided by the largest one that counts."""
    return counts.astype(np.float32) / np.float32(config.lidar_max_count)
