"""Going on with the plan of half a second before: a candidate that lets plans of neighbouring frames agree.

A selector that chooses anew in every frame jumps between candidates that it values alike, and whoever rides feels it
(extended comfort). The plan it chose half a second ago, driven on from where the car is now, is one more candidate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from openpair.nn.plan_offsets import pose_on_path, root_path
from openpair.nn.relative_poses import relative_poses


def driven_on(previous: Tensor, now: Tensor) -> Tensor:
    """Plans of half a second ago from where the car is now.

    Args:
        previous: (B, 8, 3) x [m], y [m], heading [rad] 0.5 s ... 4 s after the earlier frame, in its rear-axle frame.
        now: (B, 3) present rear-axle pose in that frame (odometry).

    Returns:
        (B, 8, 3) in the present rear-axle frame: the seven poses that lie ahead, and one more at the last speed along
        the plan's last curve.
    """
    ahead = relative_poses(previous[:, 1:], now[:, None])
    path = root_path(ahead)
    end = path.arc_length[:, ahead.shape[1]]
    last_step = end - path.arc_length[:, ahead.shape[1] - 1]
    return torch.cat((ahead, pose_on_path(path, (end + last_step)[:, None])), dim=1)
