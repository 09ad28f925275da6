"""A bird's-eye-view raster: which square of ground each cell covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BevGrid:
    """Cells over a rectangle of the ego rear-axle frame; rows run along x (row 0 rearmost), columns along y (column 0
    rightmost).

    Attributes:
        x_min_m, x_max_m: extent forward [m].
        y_min_m, y_max_m: extent to the left [m].
        rows, columns: number of cells along x and y.
    """

    x_min_m: float = -32.0
    x_max_m: float = 32.0
    y_min_m: float = -32.0
    y_max_m: float = 32.0
    rows: int = 256
    columns: int = 256

    @property
    def cell_size_m(self) -> tuple[float, float]:
        """Size of a cell along x and y [m]."""
        return (self.x_max_m - self.x_min_m) / self.rows, (self.y_max_m - self.y_min_m) / self.columns

    def centers(self) -> NDArray[np.float64]:
        """(rows, columns, 2) x, y [m] of the cell centres."""
        dx, dy = self.cell_size_m
        x = self.x_min_m + (np.arange(self.rows) + 0.5) * dx
        y = self.y_min_m + (np.arange(self.columns) + 0.5) * dy
        return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)

    def with_shape(self, rows: int, columns: int) -> BevGrid:
        """The same rectangle in other cells."""
        return BevGrid(self.x_min_m, self.x_max_m, self.y_min_m, self.y_max_m, rows, columns)


LIDAR_GRID = BevGrid()
"""Grid of the published LiDAR feature: 0.25 m cells over +-32 m."""

FRONT_MAP_GRID = BevGrid(x_min_m=0.0, rows=128)
"""Grid of the published semantic map: 0.25 m cells over the 32 m ahead."""
