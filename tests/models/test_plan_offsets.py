"""Leaves of the kinematic tree are drivable."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from openpair.nn.kinematic_limits import KinematicLimits
from openpair.nn.plan_offsets import drive, root_path

LIMITS = KinematicLimits()


def arc(speed: float, yaw_rate: float, acceleration: float = 0.0) -> Tensor:
    """(8, 3) poses of a car on an arc that starts at the ego, by small steps."""
    x = y = heading = 0.0
    poses = []
    for step in range(1, 4001):
        x += 1e-3 * speed * torch.cos(torch.tensor(heading)).item()
        y += 1e-3 * speed * torch.sin(torch.tensor(heading)).item()
        heading += 1e-3 * yaw_rate
        speed = max(speed + 1e-3 * acceleration, 0.0)
        if step % 500 == 0:
            poses.append((x, y, heading))
    return torch.tensor(poses)


ROOTS = torch.stack((arc(8.0, 0.0), arc(6.0, 0.35), arc(12.0, -0.1, -2.5), arc(0.0, 0.0), arc(4.0, 0.0, -2.0)))


def offsets(*levels: float) -> Tensor:
    return torch.tensor(levels).expand(len(ROOTS), 1, 4)


def test_no_offset_gives_the_root() -> None:
    poses, _ = drive(root_path(ROOTS), offsets(0, 0, 0, 0), offsets(0, 0, 0, 0), LIMITS)
    assert (poses[:, 0] - ROOTS).abs().max() < 1e-4


def test_a_standing_root_pulls_away_ahead() -> None:
    poses, speeds = drive(root_path(ROOTS[3:4]), offsets(2, 2, 2, 2)[:1], offsets(0, 0, 0, 0)[:1], LIMITS)
    assert poses[0, 0, -1, 0] > 10.0
    assert poses[0, 0, :, 1:].abs().max() < 1e-6
    assert (speeds.diff() > 0).all()


def test_braking_stops_and_never_reverses() -> None:
    poses, speeds = drive(root_path(ROOTS), offsets(-4, -4, -4, -4), offsets(0, 0, 0, 0), LIMITS)
    assert (speeds >= 0).all()
    step = (poses[..., 1:, :2] - poses[..., :-1, :2]).norm(dim=-1)
    assert (step[:, 0, 1:] <= step[:, 0, :-1] + 1e-4).all()
    assert (step[:, 0, -1] < 0.05).tolist() == [True, True, True, True, True]


@pytest.mark.parametrize("lateral", [(1, 2, 0, 0), (-0.5, -1, -1.5, -2), (0.4, -0.4, 0.4, -0.4)])
@pytest.mark.parametrize("along", [(2, 2, 2, 2), (-4, -4, 0, 2), (0, 0, 0, 0)])
def test_heading_is_the_direction_of_motion_and_speed_is_smooth(
    lateral: tuple[float, ...], along: tuple[float, ...]
) -> None:
    poses, _ = drive(root_path(ROOTS), offsets(*along), offsets(*lateral), LIMITS)
    poses = torch.cat((torch.zeros_like(poses[:, :, :1]), poses), dim=2)
    step = poses[..., 1:, :2] - poses[..., :-1, :2]
    length = step.norm(dim=-1)
    heading = 0.5 * (poses[..., 1:, 2] + poses[..., :-1, 2])
    sideways = (step[..., 1] * heading.cos() - step[..., 0] * heading.sin()).abs()
    assert (sideways < 0.05 + 0.12 * length).all()
    # An inner curve is shorter and adds to the change of speed along the path.
    acceleration = length.diff(dim=-1) / 0.25
    assert acceleration.abs().max() < 7.0


def test_shifting_left_and_holding_ends_parallel_to_the_root() -> None:
    poses, _ = drive(root_path(ROOTS[:1]), offsets(0, 0, 0, 0)[:1], offsets(1, 1, 0, 0)[:1], LIMITS)
    assert poses[0, 0, -1, 1] == pytest.approx(0.5 + 1.0 + 0.5, abs=1e-4)
    assert poses[0, 0, -1, 2] == pytest.approx(0.0, abs=1e-6)


def test_jerk_of_the_offset_is_bounded() -> None:
    _, speeds = drive(root_path(ROOTS[:1]), offsets(2, -4, 2, -4)[:1], offsets(0, 0, 0, 0)[:1], LIMITS)
    acceleration = speeds.diff(dim=-1) / 0.5
    assert (acceleration.diff(dim=-1).abs() / 0.5).max() <= LIMITS.jerk_mps3 + 1e-3
