"""The Gaussian policy around a plan: what it draws can be driven, and its mean follows the plan."""

from __future__ import annotations

import torch

from openpair.rl.plan_policy import change_solver, local_difference, log_density, mean_action, mean_kl, moved
from openpair.samplers.perturbation_config import PerturbationConfig

STRAIGHT = torch.stack((torch.arange(1, 9) * 4.0, torch.zeros(8), torch.zeros(8)), dim=-1)[None]
EXPLORATION = PerturbationConfig()


def test_a_difference_is_told_in_the_frame_of_the_plan() -> None:
    reference = STRAIGHT.clone()
    reference[..., 2] = torch.pi / 2  # it looks to its left
    plan = reference.clone()
    plan[..., 1] += 1.0
    difference = local_difference(plan, reference)[0]
    torch.testing.assert_close(difference[:8], torch.ones(8), atol=1e-6, rtol=0)  # ahead, seen from the plan
    torch.testing.assert_close(difference[8:], torch.zeros(16), atol=1e-6, rtol=0)


def test_the_mean_finds_the_change_that_was_made() -> None:
    solver = change_solver(STRAIGHT, EXPLORATION)
    still = moved(STRAIGHT, torch.zeros(1, 1, 4), EXPLORATION)[:, 0]
    for change in torch.eye(4):
        plan = moved(STRAIGHT, 0.05 * change[None, None], EXPLORATION)[:, 0]
        found = mean_action(plan, still, solver)[0]
        torch.testing.assert_close(found, 0.05 * change, atol=0.005, rtol=0)


def test_reward_for_a_draw_moves_the_plan_towards_it() -> None:
    plan = STRAIGHT.clone().requires_grad_()
    solver = change_solver(STRAIGHT, EXPLORATION)
    actions = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])  # faster
    log_density(actions, mean_action(plan, STRAIGHT, solver), 1.0).sum().backward()
    assert plan.grad is not None
    assert plan.grad[0, -1, 0] > 0  # the last pose wants to lie further ahead
    assert plan.grad[0, -1, 1].abs() < 1e-3


def test_kl_of_equal_policies_is_zero_and_grows_with_the_square() -> None:
    zero, one = torch.zeros(1, 4), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert mean_kl(zero, zero, 0.5).item() == 0.0
    assert mean_kl(one, zero, 0.5).item() == 2.0


def test_a_standing_plan_stays_finite() -> None:
    standing = torch.zeros(1, 8, 3)
    assert change_solver(standing, EXPLORATION).isfinite().all()
    assert moved(standing, torch.randn(1, 5, 4), EXPLORATION).isfinite().all()
