"""The previous plan as a candidate: it lets plans of neighbouring frames agree.

A selector that chooses anew in every frame jumps between candidates that it values alike, and a passenger feels it
(extended comfort). The plan made 0.5 s earlier, driven on from where the ego is now, is one more candidate.

The previous plan is what the same planner plans for the preceding scene *without* memory. So it depends on the two
scenes alone: not on which scenes are evaluated, nor in which order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openpair.datatypes.columns import NUM_POSES, PoseIndex
from openpair.datatypes.scene import Scene
from openpair.geometry.poses import global_to_local
from openpair.nn.plan_offsets import pose_on_path, root_path
from openpair.nn.relative_poses import relative_poses

MAX_GAP_S = 0.55
"""Scenes further apart have no memory of each other: plans are driven on by one pose, 0.5 s."""


def driven_on(previous: Tensor, now: Tensor) -> Tensor:
    """Previous plans from where the ego is now.

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


def previous_plans(count: int, rows: Sequence[int], plans: Tensor, now: Tensor) -> Tensor:
    """Previous plans of B = ``count`` scenes, driven on.

    Args:
        count: B.
        rows: scenes that have one.
        plans: (K, 8, 3) plans of the K scenes before these, each in its own rear-axle frame.
        now: (K, 3) how the ego moved in between: present rear-axle pose in the earlier frame.

    Returns:
        (B, 8, 3) in the present rear-axle frames; NaN where there is none.
    """
    out = torch.full((count, NUM_POSES, len(PoseIndex)), torch.nan)
    if rows:
        out[list(rows)] = driven_on(plans.float(), now.float())
    return out


def ego_motion(earlier: Scene, now: Scene) -> NDArray[np.float32] | None:
    """(3,) present rear-axle pose in the earlier scene's frame; None where the scenes are no neighbours in time."""
    gap_s = (now.current.ego.timestamp_us - earlier.current.ego.timestamp_us) * 1e-6
    if not 0 < gap_s <= MAX_GAP_S:
        return None
    return global_to_local(now.current.ego.pose, earlier.current.ego.pose).astype(np.float32)
