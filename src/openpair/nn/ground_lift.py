"""From pixels to the ground: where each cell of a bird's-eye-view grid appears in the stitched front view.

On flat ground this inverse perspective mapping is exact, so that lane geometry need not be learnt from data. Sources
with other cameras pass their own calibration.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from openpair.datatypes.bev_grid import BevGrid
from openpair.datatypes.front_view import FRONT_VIEW_CROPS
from openpair.nn.ground_view import GroundView

MIN_DEPTH_M = 1.0
"""Ground nearer to a camera than this is not looked up."""

UNSEEN = 2.0
"""In place of both coordinates, for ground that no camera sees."""


def ground_in_front_view(views: tuple[GroundView, ...], grid: BevGrid) -> NDArray[np.float32]:
    """Where the ground at each cell centre appears in the stitched front view.

    Args:
        views: calibrations, in the order of the stitched view.
        grid: the cells.

    Returns:
        (rows, columns, 2) column and row in the stitched view, -1 and 1 at its borders, as ``grid_sample`` takes them
        with ``align_corners=False``; :data:`UNSEEN` where no camera sees the cell. Where two cameras do, the one that
        has it nearer to the middle of its crop counts.
    """
    total_width = sum(crop.width for crop in FRONT_VIEW_CROPS)
    height = FRONT_VIEW_CROPS[0].bottom - FRONT_VIEW_CROPS[0].top
    ground = np.concatenate((grid.centers(), np.zeros((grid.rows, grid.columns, 1))), axis=-1)
    out = np.full((grid.rows, grid.columns, 2), UNSEEN)
    best = np.full((grid.rows, grid.columns), np.inf)
    first_column = 0
    for crop, view in zip(FRONT_VIEW_CROPS, views, strict=True):
        rotation = np.array(view.rotation).reshape(3, 3)
        right, down, forward = np.moveaxis((ground - np.array(view.translation_m)) @ rotation, -1, 0)
        depth = np.maximum(forward, MIN_DEPTH_M)
        u = view.focal_px[0] * right / depth + view.principal_px[0] + 0.5
        v = view.focal_px[1] * down / depth + view.principal_px[1] + 0.5
        off_center = np.abs(u - 0.5 * (crop.left + crop.right)) / crop.width
        seen = (forward > MIN_DEPTH_M) & (off_center < 0.5) & (v > crop.top) & (v < crop.bottom) & (off_center < best)
        column = 2 * (first_column + u - crop.left) / total_width - 1
        row = 2 * (v - crop.top) / height - 1
        out[seen] = np.stack((column, row), axis=-1)[seen]
        best[seen] = off_center[seen]
        first_column += crop.width
    return out.astype(np.float32)


def lift(image: Tensor, sampling: Tensor) -> Tensor:
    """Image features (B, C, h, w) at the points (rows, columns, 2) of :func:`ground_in_front_view` -> (B, C, rows,
    columns); zero where no camera sees the ground."""
    points = sampling.expand(image.shape[0], -1, -1, -1)
    # In float32 whatever the rest runs in: rounded coordinates would move the ground.
    return F.grid_sample(image.float(), points, mode="bilinear", padding_mode="zeros", align_corners=False)


def seen_mask(sampling: Tensor) -> Tensor:
    """(rows, columns) 1 where a camera sees the ground, else 0."""
    return (sampling[..., 0] <= 1.0).to(torch.float32)
