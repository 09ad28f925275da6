"""Poses seen from other poses."""

from __future__ import annotations

import torch
from torch import Tensor


def relative_poses(poses: Tensor, origin: Tensor) -> Tensor:
    """Poses (..., 3) x [m], y [m], heading [rad] in the frame of ``origin`` (..., 3), broadcast against each other.

    Returns:
        (..., 3): ahead and to the left of the origin [m], heading [rad] within -pi .. pi.
    """
    offset = poses - origin
    cos, sin = origin[..., 2].cos(), origin[..., 2].sin()
    ahead = offset[..., 0] * cos + offset[..., 1] * sin
    left = -offset[..., 0] * sin + offset[..., 1] * cos
    return torch.stack((ahead, left, torch.atan2(offset[..., 2].sin(), offset[..., 2].cos())), dim=-1)
