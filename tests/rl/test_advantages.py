"""Advantages against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from openpair.datatypes.tree import layout_from_codes
from openpair.rl.advantages import (
    ESTIMATORS,
    best_of_set,
    best_of_set_soft,
    covering,
    group_normalised,
    mixed,
    per_code,
    per_code_scene,
    per_code_truncated,
    sum_over_descendants,
)


def test_the_human_is_a_member_of_the_group_but_gets_no_advantage() -> None:
    rewards = torch.tensor([[[0.0, 1.0]]])
    advantage = group_normalised(rewards, torch.tensor([0.5]))
    std = (1 / 6) ** 0.5  # of {0, 1, 0.5}, population
    assert advantage.shape == (1, 1, 2)
    torch.testing.assert_close(advantage[0, 0], torch.tensor([-0.5, 0.5]) / (std + 1e-4))


def test_per_code_compares_a_leaf_only_with_the_same_code_of_other_trees() -> None:
    rewards = torch.tensor([[[0.0, 0.9], [1.0, 0.9]]])
    advantage = per_code(rewards, torch.tensor([0.0]))
    torch.testing.assert_close(advantage[0, :, 0], torch.tensor([-0.5, 0.5]) / 0.5001)
    assert (advantage[0, :, 1] == 0).all()


def test_truncation_keeps_only_leaves_that_reach_the_human() -> None:
    rewards = torch.tensor([[[0.2, 0.6], [0.4, 0.8]]])
    advantage = per_code_truncated(rewards, torch.tensor([0.7]))
    assert advantage[0, 0].tolist() == [0.0, 0.0]
    assert advantage[0, 1, 0] == 0.0  # better than its sibling, worse than the human
    assert advantage[0, 1, 1] == pytest.approx(0.1 / 0.1001, rel=1e-4)


def test_best_of_set_credits_the_leaf_that_the_best_would_miss() -> None:
    rewards = torch.tensor([[[0.5, 0.9, 0.6], [0.5, 0.6, 0.6]]])
    advantage = best_of_set(rewards, torch.tensor([0.0]))
    std = rewards.flatten().std(unbiased=False)
    torch.testing.assert_close(advantage[0, :, 1], torch.tensor([0.15, -0.15]) / (std + 1e-4))
    assert (advantage[0, :, [0, 2]] == 0).all()


def test_a_soft_best_of_two_by_hand() -> None:
    # softmax over {0, ln 3} (T = 1) is {1/4, 3/4}: value 3/4 ln 3; without the first ln 3, without the second 0.
    best = math.log(3.0)
    rewards = torch.tensor([[[0.0, best], [0.0, 0.0]]])
    advantage = best_of_set_soft(rewards, torch.tensor([0.0]), temperature=1.0)
    credit = torch.tensor([-0.25 * best, 0.75 * best])  # in the first tree; 0 in the second
    std = rewards.flatten().std(unbiased=False)
    torch.testing.assert_close(advantage[0], torch.stack([credit / 2, -credit / 2]) / (std + 1e-4))


def test_a_cold_soft_best_is_the_best_and_a_warm_one_reaches_more_leaves() -> None:
    rewards = torch.tensor([[[0.5, 0.9, 0.7], [0.4, 0.6, 0.65]]])
    human = torch.tensor([0.0])
    cold = best_of_set_soft(rewards, human, temperature=1e-3)
    torch.testing.assert_close(cold, best_of_set(rewards, human), atol=1e-4, rtol=1e-4)
    assert (best_of_set(rewards, human)[0, :, 0] == 0).all()
    assert (best_of_set_soft(rewards, human, temperature=0.2)[0].abs() > 1e-3).all()


def test_mixed_adds_a_share_of_per_code_and_nothing_by_default() -> None:
    rewards = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    human = torch.zeros(2)
    assert torch.equal(mixed(rewards, human), best_of_set(rewards, human))
    expected = best_of_set(rewards, human) + 0.5 * per_code(rewards, human)
    torch.testing.assert_close(mixed(rewards, human, per_code_weight=0.5), expected)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_equal_rewards_give_no_advantage(name: str) -> None:
    advantage = ESTIMATORS[name](torch.full((3, 2, 4), 0.7), torch.full((3,), 0.7))
    assert (advantage.abs() < 1e-3).all()


def test_a_node_collects_the_advantages_of_the_leaves_below_it() -> None:
    layout = layout_from_codes(["00", "01", "10"])
    values = torch.tensor([[[1.0, 2.0, 4.0]]])
    by_node = sum_over_descendants(values, layout.leaf_nodes, layout.num_nodes)
    # nodes: "0", "1", "00", "01", "10"
    assert by_node[0, 0].tolist() == [3.0, 4.0, 1.0, 2.0, 4.0]


def test_codes_compete_in_units_of_the_scenes_spread() -> None:
    rewards = torch.tensor([[[0.0, 0.90], [1.0, 0.92]]])
    advantage = per_code_scene(rewards, torch.tensor([0.0]))
    std = rewards.std(unbiased=False)
    torch.testing.assert_close(advantage[0, :, 0], torch.tensor([-0.5, 0.5]) / (std + 0.05))
    torch.testing.assert_close(advantage[0, :, 1], torch.tensor([-0.01, 0.01]) / (std + 0.05))
    torch.testing.assert_close(
        covering(rewards, torch.tensor([0.0])), advantage + best_of_set(rewards, torch.tensor([0.0]))
    )
