"""Advantages against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from openpair.datatypes.tree import layout_from_codes
from openpair.rl.advantages import (
    ESTIMATORS,
    best_of_set,
    group_normalised,
    per_code,
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
