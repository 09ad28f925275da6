"""TransFuser's training loss (NAVSIM 2.2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def trajectory_l1(trajectory: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over batch, poses and x [m], y [m], heading [rad]; (..., 8, 3), the target broadcast.

    Headings are not wrapped.
    """
    return F.l1_loss(trajectory.float(), target.expand_as(trajectory))
