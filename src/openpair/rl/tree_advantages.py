"""Advantages of nodes: rewards of leaves are backed up through the tree, and siblings compared.

Leaves that share a prefix share its actions, so a node can be judged by what grew from it (TreeRPO, Tree-GRPO). Leaf
advantages rate whole paths; these rate every decision against its alternatives at the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from openpair.datatypes.tree import TreeLayout
from openpair.rl.advantages import STD_FLOOR

Backup = Literal["mean", "max"]


def node_values(rewards: Tensor, layout: TreeLayout, backup: Backup = "mean") -> Tensor:
    """Value of every node from the leaves below it.

    Args:
        rewards: (..., L) of leaves.
        layout: nodes and leaves.
        backup: ``mean`` or ``max`` of the leaves.

    Returns:
        (..., M).
    """
    index = layout.leaf_nodes.T.flatten().to(rewards.device)
    index = index.expand(*rewards.shape[:-1], -1)
    of_leaves = rewards.repeat(*[1] * (rewards.dim() - 1), layout.leaf_nodes.shape[1])
    out = rewards.new_zeros(*rewards.shape[:-1], layout.num_nodes)
    return out.scatter_reduce(-1, index, of_leaves, "mean" if backup == "mean" else "amax", include_self=False)


def sibling_tree(rewards: Tensor, human_reward: Tensor, layout: TreeLayout, *, backup: Backup = "mean") -> Tensor:
    """A node's value minus the mean over its siblings and the S trees, over the scene's deviation of rewards.

    Siblings have the same parent; nodes of the first level are all siblings. A node without siblings is compared with
    itself in the other trees. One scale for the whole scene: where siblings hardly differ, little is learned.

    Args:
        rewards: (B, S, L).
        human_reward: (B,), unused.
        layout: nodes and leaves.
        backup: how the value of a node follows from the leaves below it.

    Returns:
        (B, S, M).
    """
    values = node_values(rewards, layout, backup)
    _, group = torch.unique(layout.parent.to(rewards.device), return_inverse=True)
    members = torch.nn.functional.one_hot(group).to(rewards.dtype)
    mean = (values.mean(dim=1) @ members) / members.sum(dim=0)
    std = rewards.flatten(1).std(dim=1, unbiased=False)
    return (values - mean[:, group][:, None]) / (std[:, None, None] + STD_FLOOR)


NodeEstimator = Callable[[Tensor, Tensor, TreeLayout], Tensor]

NODE_ESTIMATORS: dict[str, NodeEstimator] = {
    "sibling_tree": sibling_tree,
    "sibling_tree_max": partial(sibling_tree, backup="max"),
}
"""Estimators that rate nodes, by the name a configuration gives."""
