"""Leaves as a function of actions: the same leaves as the tree's, with a gradient."""

from __future__ import annotations

import torch

from openpair.samplers.kinematic_config import KinematicTreeConfig
from openpair.samplers.kinematic_tree import KinematicTree
from openpair.training.reinforcement import nearest_leaf_l1


def test_leaves_of_a_trees_actions_are_its_leaves_and_pass_gradient_on() -> None:
    torch.manual_seed(0)
    tree = KinematicTree(KinematicTreeConfig.small()).eval()
    features = {
        "camera_feature": torch.rand(2, 3, 64, 256),
        "lidar_feature": torch.rand(2, 1, 128, 128),
        "status_feature": torch.rand(2, 8),
    }
    root = torch.stack((torch.arange(1, 9) * 3.0, torch.zeros(8), torch.zeros(8)), dim=-1).expand(2, -1, -1)
    grown = tree.expand(
        tree.encode(features), root, num_samples=2, sigma=0.5, generator=torch.Generator().manual_seed(1)
    )
    torch.testing.assert_close(tree.leaves_of(root, grown.actions), grown.leaves)

    actions = grown.actions.clone().requires_grad_()
    tree.leaves_of(root, actions)[..., -1, 0].sum().backward()
    assert actions.grad is not None and actions.grad.isfinite().all() and actions.grad[..., 0].abs().sum() > 0


def test_only_the_leaf_nearest_to_the_human_counts() -> None:
    human = torch.zeros(1, 8, 3)
    leaves = torch.stack((human + 2.0, human + 0.5, human - 3.0), dim=1).requires_grad_()
    distance = nearest_leaf_l1(leaves, human)
    assert distance.item() == 0.5
    distance.backward()
    assert leaves.grad is not None
    assert leaves.grad[0, 1].abs().sum() > 0 and leaves.grad[0, [0, 2]].abs().sum() == 0


def test_strength_goes_from_the_start_to_what_was_learned() -> None:
    torch.manual_seed(0)
    tree = KinematicTree(KinematicTreeConfig.small()).eval()
    for head in tree.action_heads:
        torch.nn.init.normal_(head[-1].bias, std=2.0)  # it has learned something
    context = tree.encode(
        {
            "camera_feature": torch.rand(1, 3, 64, 256),
            "lidar_feature": torch.rand(1, 1, 128, 128),
            "status_feature": torch.rand(1, 8),
        }
    )
    root = torch.stack((torch.arange(1, 9) * 3.0, torch.zeros(8), torch.zeros(8)), dim=-1)[None]
    start = tree.leaves_of(root, tree.prior_mean[None, None])[:, 0]
    torch.testing.assert_close(tree.mean_leaves(context, root, strength=0.0), start)
    whole, half = tree.mean_leaves(context, root), tree.mean_leaves(context, root, strength=0.5)
    torch.testing.assert_close(whole, tree.expand(context, root).leaves[:, 0])
    assert (whole - start).abs().mean() > (half - start).abs().mean() > 0


def test_a_turn_goes_on_and_a_reversal_starts_weak() -> None:
    tree = KinematicTree(KinematicTreeConfig.small()).eval()
    root = torch.stack((torch.arange(1, 9) * 4.0, torch.zeros(8), torch.zeros(8)), dim=-1)[None]
    leaves = dict(zip(tree.config.codes, tree.leaves_of(root, tree.prior_mean[None, None])[0, 0], strict=True))
    aside = leaves["0111"][[1, 3, 5, 7], 1]
    assert (aside.diff().diff() > 0).all()  # it grows faster and faster
    end = {code: float(leaf[-1, 0]) for code, leaf in leaves.items()}
    assert end["3333"] < end["3311"] < end["1333"] < end["1133"] < end["1111"]
