"""Where a candidate's car stands and how it moves: points to look at and numbers to judge, without parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from openpair.datatypes.columns import POSE_INTERVAL_S
from openpair.datatypes.vehicle import REAR_AXLE_TO_CENTER_M, REAR_AXLE_TO_FRONT_M, REAR_AXLE_TO_REAR_M, WIDTH_M

NUM_FOOTPRINT_POINTS = 5
"""Centre and four corners of the car."""

NUM_MOTION_NUMBERS = 10


def footprint_points(candidates: Tensor) -> Tensor:
    """Candidates (B, N, 8, 3), rear axle -> centre, front left, front right, rear left, rear right (B, N, 8, 5, 2)."""
    half = 0.5 * WIDTH_M
    forward = [REAR_AXLE_TO_CENTER_M, *[REAR_AXLE_TO_FRONT_M] * 2, *[-REAR_AXLE_TO_REAR_M] * 2]
    left = [0.0, half, -half, half, -half]
    return _in_car(candidates, candidates.new_tensor(forward), candidates.new_tensor(left))


def points_ahead(candidates: Tensor, seconds: float) -> Tensor:
    """Where the middle of the front bumper is some seconds after each pose at constant speed (B, N, 8, 1, 2)."""
    forward = REAR_AXLE_TO_FRONT_M + speeds(candidates)[..., None] * seconds
    return _in_car(candidates, forward, torch.zeros_like(forward))


def speeds(candidates: Tensor) -> Tensor:
    """(B, N, 8, 3) -> (B, N, 8) speed from the pose before, the ego at the origin being the first [m/s]."""
    return (_steps(candidates)[..., :2]).norm(dim=-1) / POSE_INTERVAL_S


def motion_numbers(candidates: Tensor, status: Tensor) -> Tensor:
    """Numbers of about unit size that describe position and motion at each pose.

    Args:
        candidates: (B, N, 8, 3).
        status: (B, 8) status feature; velocity x and acceleration x are columns 4 and 6.

    Returns:
        (B, N, 8, 10): x, y, cosine and sine of heading, speed, acceleration, yaw rate, lateral acceleration, jerk, and
        sideways motion.
    """
    step = _steps(candidates)
    speed = step[..., :2].norm(dim=-1) / POSE_INTERVAL_S
    yaw_rate = torch.remainder(step[..., 2] + torch.pi, 2 * torch.pi).sub(torch.pi) / POSE_INTERVAL_S
    acceleration = _rate(speed, status[:, 4])
    jerk = _rate(acceleration, status[:, 6])
    heading = candidates[..., 2]
    sideways = (step[..., 1] * heading.cos() - step[..., 0] * heading.sin()) / POSE_INTERVAL_S
    columns = (
        candidates[..., 0] / 30,
        candidates[..., 1] / 15,
        heading.cos(),
        heading.sin(),
        speed / 10,
        acceleration / 4,
        yaw_rate,
        speed * yaw_rate / 4,
        jerk / 8,
        sideways,
    )
    return torch.stack(columns, dim=-1).clamp(-5.0, 5.0)


def _steps(candidates: Tensor) -> Tensor:
    return candidates.diff(dim=-2, prepend=torch.zeros_like(candidates[..., :1, :]))


def _rate(value: Tensor, first: Tensor) -> Tensor:
    """Change of (B, N, 8) per second; ``first`` (B,) is the value at the current frame."""
    before = first.to(value.dtype)[:, None, None].expand(-1, value.shape[1], 1)
    return value.diff(dim=-1, prepend=before) / POSE_INTERVAL_S


def _in_car(candidates: Tensor, forward: Tensor, left: Tensor) -> Tensor:
    """Points ``forward`` and ``left`` of each pose, (..., P) -> (B, N, 8, P, 2)."""
    heading = candidates[..., 2:3]
    c, s = heading.cos(), heading.sin()
    x = candidates[..., 0:1] + c * forward - s * left
    y = candidates[..., 1:2] + s * forward + c * left
    return torch.stack((x, y), dim=-1)
