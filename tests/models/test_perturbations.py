"""Neighbours of a plan keep to physics."""

from __future__ import annotations

import torch

from openpair.samplers.perturbation_config import PerturbationConfig, RootNoise
from openpair.samplers.perturbations import (
    NUM_CONTROL_CANDIDATES,
    as_many,
    control_candidates,
    noisy_roots,
    perturb,
    shift,
)

STRAIGHT = torch.stack([4.0 * torch.arange(1, 9), torch.zeros(8), torch.zeros(8)], dim=-1)[None]  # 8 m/s


def test_no_change_is_the_plan_itself() -> None:
    zero = torch.zeros(1, 1)
    torch.testing.assert_close(shift(STRAIGHT, zero, zero, zero, zero)[:, 0], STRAIGHT, atol=1e-4, rtol=0)


def test_braking_grows_for_a_second_and_then_stays() -> None:
    slower = shift(STRAIGHT, torch.tensor([[-1.0]]), torch.tensor([[-1.0]]), torch.zeros(1, 1), torch.zeros(1, 1))
    lost_m = 1 / 6 + 0.5 * 3 + 0.5 * 1 * 3**2  # v falls by t^2 / 2 in the first second, by 1 m/s each second after
    assert torch.isclose(slower[0, 0, -1, 0], torch.tensor(32.0 - lost_m), atol=0.01)


def test_braking_ends_at_standstill_and_never_reverses() -> None:
    stop = shift(STRAIGHT, torch.tensor([[-6.0]]), torch.tensor([[-6.0]]), torch.zeros(1, 1), torch.zeros(1, 1))
    steps = stop[0, 0, :, 0].diff()
    assert (steps >= 0).all()
    assert steps[-1] < 1e-6


def test_the_end_moves_sideways_by_the_given_distance() -> None:
    zero = torch.zeros(1, 1)
    moved = shift(STRAIGHT, zero, zero, torch.tensor([[1.5]]), zero)
    assert torch.isclose(moved[0, 0, -1, 1], torch.tensor(1.5), atol=1e-4)


def test_a_standing_plan_is_not_moved_sideways() -> None:
    zero = torch.zeros(1, 1)
    moved = shift(torch.zeros(1, 8, 3), zero, zero, torch.tensor([[1.5]]), zero)
    assert (moved.abs() < 1e-6).all()


def test_the_control_has_as_many_distinct_candidates_as_the_tree_has_leaves() -> None:
    for width in (1.0, 1.8):
        candidates = control_candidates(STRAIGHT, width)
        assert candidates.shape == (1, NUM_CONTROL_CANDIDATES, 8, 3)
        flat = torch.cat([candidates[0], STRAIGHT]).flatten(1)
        assert (torch.cdist(flat, flat) + torch.eye(16) > 0.1).all()


def test_the_same_generator_state_gives_the_same_neighbours() -> None:
    one, two = (
        perturb(STRAIGHT, PerturbationConfig(), num_samples=3, generator=torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    assert torch.equal(one, two)


def test_noise_leaves_a_share_of_roots_alone_and_pulls_others_towards_constant_velocity() -> None:
    still = PerturbationConfig(0.0, 0.0, 0.0)
    human = STRAIGHT.expand(4000, -1, -1) * torch.tensor([0.5, 1.0, 1.0])  # 4 m/s on average; 8 m/s now
    status = torch.zeros(4000, 8)
    status[:, 4] = 8.0
    noise = RootNoise(smooth=still, unchanged_share=0.2, inertia_share=0.5, inertia=1.0)
    roots = noisy_roots(human, status, noise, torch.Generator().manual_seed(0))
    pull = (roots - human)[:, -1, 0] / (STRAIGHT - human[:1])[0, -1, 0]
    assert ((pull >= -1e-4) & (pull <= 1 + 1e-4)).all()
    unmoved = (pull.abs() < 1e-4).float().mean()
    assert abs(unmoved - (0.2 + 0.8 * 0.5)) < 0.03
    assert abs(pull[pull > 1e-4].mean() - 0.5) < 0.03


def test_a_control_of_another_size_is_spread_over_the_usual_one() -> None:
    candidates = torch.arange(15.0)[None, :, None, None].expand(2, 15, 8, 3)
    assert torch.equal(as_many(candidates, 15), candidates)
    assert as_many(candidates, 5)[0, :, 0, 0].tolist() == [0, 4, 7, 10, 14]
    assert as_many(candidates[:, :2], 4)[0, :, 0, 0].tolist() == [0, 0, 1, 1]
