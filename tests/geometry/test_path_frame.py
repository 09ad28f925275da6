"""Paths of plans on shapes whose answer is known."""

from __future__ import annotations

import math

import torch

from openpair.geometry.path_frame import along, plan_path


def straight(speed_mps: float) -> torch.Tensor:
    plan = torch.zeros(1, 8, 3)
    plan[0, :, 0] = speed_mps * 0.5 * torch.arange(1, 9)
    return plan


def circle(radius_m: float, speed_mps: float) -> torch.Tensor:
    angle = speed_mps * 0.5 * torch.arange(1, 9) / radius_m
    return torch.stack([radius_m * angle.sin(), radius_m * (1 - angle.cos()), angle], dim=-1)[None]


def test_the_plans_own_stations_give_the_plan_back() -> None:
    plan = circle(20.0, 5.0)
    path = plan_path(plan)
    again = along(path, path.station[:, None, 1:], torch.zeros(1, 1, 8))
    torch.testing.assert_close(again[:, 0], plan, atol=1e-5, rtol=0)


def test_going_slower_on_a_circle_stays_on_the_circle() -> None:
    path = plan_path(circle(20.0, 6.0))
    poses = along(path, 0.6 * path.station[:, None, 1:], torch.zeros(1, 1, 8))
    radius = (poses[0, 0, :, :2] - torch.tensor([0.0, 20.0])).norm(dim=-1)
    assert (radius - 20.0).abs().max() < 0.02


def test_beyond_its_end_a_path_goes_straight_on() -> None:
    path = plan_path(straight(4.0))
    pose = along(path, torch.tensor([[[20.0]]]), torch.zeros(1, 1, 1))[0, 0, 0]
    torch.testing.assert_close(pose, torch.tensor([20.0, 0.0, 0.0]))


def test_a_pose_beside_the_path_heads_where_it_moves() -> None:
    path = plan_path(straight(10.0))
    poses = along(path, path.station[:, None, 1:], torch.arange(1, 9)[None, None] * 0.5)
    assert torch.allclose(poses[0, 0, :, 2], torch.full((8,), math.atan2(0.5, 5.0)))


def test_a_standing_plan_can_pull_away_straight_ahead() -> None:
    path = plan_path(torch.zeros(1, 8, 3))
    poses = along(path, torch.arange(1, 9)[None, None].float(), torch.zeros(1, 1, 8))
    torch.testing.assert_close(poses[0, 0, :, 0], torch.arange(1, 9).float())
    assert (poses[..., 1:] == 0).all()
