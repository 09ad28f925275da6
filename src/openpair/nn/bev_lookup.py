"""Bird's-eye-view features at points of the ground."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from openpair.datatypes.bev_grid import BevGrid


def lookup(bev: Tensor, xy: Tensor, grid: BevGrid) -> Tensor:
    """Bilinear features at points; zero outside the grid.

    Args:
        bev: (B, C, X, Y) map over the rectangle of ``grid``, of any resolution.
        xy: (B, Q, 2) x, y [m], ego rear-axle frame.
        grid: the rectangle.

    Returns:
        (B, Q, C).
    """
    row = 2 * (xy[..., 0] - grid.x_min_m) / (grid.x_max_m - grid.x_min_m) - 1
    column = 2 * (xy[..., 1] - grid.y_min_m) / (grid.y_max_m - grid.y_min_m) - 1
    points = torch.stack((column, row), dim=-1)[:, :, None].float()
    return F.grid_sample(bev.float(), points, align_corners=False).squeeze(-1).transpose(1, 2)
