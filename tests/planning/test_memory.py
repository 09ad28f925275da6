"""Plans of half a second before, driven on."""

from __future__ import annotations

import math

import torch

from openpair.nn.relative_poses import relative_poses
from openpair.planning.memory import driven_on

TIMES_S = torch.arange(1, 9) * 0.5


def straight(speed: float) -> torch.Tensor:
    return torch.stack((TIMES_S * speed, torch.zeros(8), torch.zeros(8)), dim=-1)[None]


def arc(speed: float, radius: float) -> torch.Tensor:
    angle = TIMES_S * speed / radius
    return torch.stack((radius * angle.sin(), radius * (1 - angle.cos()), angle), dim=-1)[None]


def test_a_car_that_followed_its_plan_goes_on_as_before():
    plan = straight(8.0)
    torch.testing.assert_close(driven_on(plan, plan[:, 0]), plan)


def test_a_turn_is_gone_on_with_to_its_end_and_beyond():
    plan = arc(8.0, 20.0)
    went_on = driven_on(plan, plan[:, 0])
    torch.testing.assert_close(went_on[:, :7], plan[:, :7], atol=1e-4, rtol=0)
    # The last pose lies beyond the old plan: on its curve, whose bend fades.
    torch.testing.assert_close(went_on[:, 7], plan[:, 7], atol=0.1, rtol=0)


def test_a_car_that_stands_stays_where_it_is():
    plan = torch.zeros(1, 8, 3)
    torch.testing.assert_close(driven_on(plan, torch.zeros(1, 3)), plan)


def test_the_plan_stays_where_it_was_when_the_car_went_elsewhere():
    plan = straight(8.0)
    now = torch.tensor([[3.0, 1.0, math.pi / 2]])  # a metre to the left, turned to the left
    went_on = driven_on(plan, now)
    # What lay 8 m ahead of the old frame is 5 m to the right and 1 m behind.
    torch.testing.assert_close(went_on[0, 0], torch.tensor([-1.0, -5.0, -math.pi / 2]))


def test_headings_do_not_jump_at_half_a_turn():
    poses = torch.tensor([[[0.0, 0.0, math.pi - 0.1]]])
    origin = torch.tensor([[0.0, 0.0, -math.pi + 0.1]])
    assert abs(float(relative_poses(poses, origin[:, None])[0, 0, 2]) + 0.2) < 1e-5
