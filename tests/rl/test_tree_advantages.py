"""Advantages of nodes against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from openpair.datatypes.tree import layout_from_codes
from openpair.errors import OpenPairError
from openpair.rl.credit import credit
from openpair.rl.tree_advantages import NODE_ESTIMATORS, node_values, sibling_tree

LAYOUT = layout_from_codes(["00", "01", "10"])
"""Nodes: "0", "1", "00", "01", "10"."""


def test_a_node_is_worth_the_mean_or_the_best_of_its_leaves() -> None:
    rewards = torch.tensor([[[0.2, 0.6, 0.5]]])
    torch.testing.assert_close(node_values(rewards, LAYOUT), torch.tensor([[[0.4, 0.5, 0.2, 0.6, 0.5]]]))
    torch.testing.assert_close(node_values(rewards, LAYOUT, "max"), torch.tensor([[[0.6, 0.5, 0.2, 0.6, 0.5]]]))


def test_siblings_are_compared_within_and_across_trees() -> None:
    rewards = torch.tensor([[[0.2, 0.6, 0.5], [0.4, 0.8, 0.9]]])
    # values: 0.4 0.5 0.2 0.6 0.5 and 0.6 0.9 0.4 0.8 0.9
    first_level = (0.4 + 0.5 + 0.6 + 0.9) / 4
    below_0 = (0.2 + 0.6 + 0.4 + 0.8) / 4
    below_1 = (0.5 + 0.9) / 2
    mean = torch.tensor([first_level, first_level, below_0, below_0, below_1])
    values = torch.tensor([[0.4, 0.5, 0.2, 0.6, 0.5], [0.6, 0.9, 0.4, 0.8, 0.9]])
    std = rewards.flatten().std(unbiased=False)
    advantage = sibling_tree(rewards, torch.zeros(1), LAYOUT)
    torch.testing.assert_close(advantage[0], (values - mean) / (std + 1e-4))


def test_the_best_leaf_counts_for_the_whole_branch_with_max() -> None:
    rewards = torch.tensor([[[0.0, 1.0, 0.6]]])
    assert sibling_tree(rewards, torch.zeros(1), LAYOUT)[0, 0, 0] < 0
    assert sibling_tree(rewards, torch.zeros(1), LAYOUT, backup="max")[0, 0, 0] > 0


@pytest.mark.parametrize("name", sorted(NODE_ESTIMATORS))
def test_equal_rewards_give_no_advantage(name: str) -> None:
    advantage = NODE_ESTIMATORS[name](torch.full((3, 2, 3), 0.7), torch.full((3,), 0.7), LAYOUT)
    assert advantage.shape == (3, 2, 5)
    assert (advantage.abs() < 1e-3).all()


def test_credit_says_whether_leaves_or_nodes_are_rated() -> None:
    rewards, human = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(2)
    assert credit("sibling_tree", LAYOUT).per_node
    assert credit("sibling_tree", LAYOUT).estimate(rewards, human).shape == (2, 3, 5)
    for name in ("best_of_set", "best_of_set_soft", "mixed", "group_normalised"):
        assert not credit(name, LAYOUT).per_node
        assert credit(name, LAYOUT).estimate(rewards, human).shape == (2, 3, 3)


def test_settings_reach_their_estimator() -> None:
    rewards, human = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(2)
    mixes = [credit("mixed", LAYOUT, per_code_weight=w).estimate(rewards, human) for w in (0.0, 1.0)]
    softs = [credit("best_of_set_soft", LAYOUT, temperature=t).estimate(rewards, human) for t in (0.1, 1.0)]
    assert not torch.equal(*mixes) and not torch.equal(*softs)


def test_an_unknown_estimator_is_named() -> None:
    with pytest.raises(OpenPairError, match="no advantage estimator 'best'"):
        credit("best", LAYOUT)
