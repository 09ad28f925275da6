"""From rewards of leaves to advantages. Every estimator is a pure function of tensors.

Shapes: B scenes, S trees drawn per scene, L leaves per tree. Rewards are PDM scores in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from openpair.rl.config import SOFT_TEMPERATURE

SCENE_STD_FLOOR = 0.05
"""Scenes whose plans differ by less than a few hundredths teach little."""

STD_FLOOR = 1e-4
"""Added to a standard deviation before dividing: a group of equal rewards gets advantage 0, not NaN."""


def group_normalised(rewards: Tensor, human_reward: Tensor) -> Tensor:
    """The paper's estimator: all leaves of a scene and the human form one group, (r - mean) / std.

    It rates the intention as much as the offset: a hard left on a straight road lies below the mean whatever its
    offset, so over many updates the leaves become copies of the root (docs/method.md).

    Args:
        rewards: (B, S, L).
        human_reward: (B,) score of the human plan, one more member of the group that gets no advantage itself.

    Returns:
        (B, S, L).
    """
    group = torch.cat([rewards.flatten(1), human_reward[:, None]], dim=1)
    mean = group.mean(dim=1)[:, None, None]
    std = group.std(dim=1, unbiased=False)[:, None, None]
    return (rewards - mean) / (std + STD_FLOOR)


def per_code(rewards: Tensor, human_reward: Tensor) -> Tensor:
    """Each leaf code is a group of its own over the S trees, so an intention competes only with itself.

    Args:
        rewards: (B, S, L) with S >= 2 (with one tree every advantage is 0).
        human_reward: (B,), unused; kept so that estimators are interchangeable.

    Returns:
        (B, S, L).
    """
    mean = rewards.mean(dim=1, keepdim=True)
    std = rewards.std(dim=1, unbiased=False, keepdim=True)
    return (rewards - mean) / (std + STD_FLOOR)


def per_code_scene(rewards: Tensor, human_reward: Tensor) -> Tensor:
    """As :func:`per_code`, in units of the scene's spread instead of the code's own.

    Dividing by a code's own deviation makes a hundredth of progress weigh as much as a collision, and most codes of
    most scenes differ by hundredths: learning then follows noise.

    Args:
        rewards: (B, S, L) with S >= 2.
        human_reward: (B,), unused.

    Returns:
        (B, S, L).
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / (rewards.flatten(1).std(dim=1, unbiased=False)[:, None, None] + SCENE_STD_FLOOR)


def covering(rewards: Tensor, human_reward: Tensor) -> Tensor:
    """:func:`per_code_scene` plus :func:`best_of_set`: every intention does its best, and the set still covers."""
    return per_code_scene(rewards, human_reward) + best_of_set(rewards, human_reward)


def per_code_truncated(rewards: Tensor, human_reward: Tensor) -> Tensor:
    """Per-code advantages that only reinforce what is at least as good as the human.

    Negative advantages become 0, positive ones stay only where the leaf reaches the human's score. Nothing pulls a
    code towards the root because its intention does not suit the scene, so the set keeps its spread.

    Args:
        rewards: (B, S, L).
        human_reward: (B,).

    Returns:
        (B, S, L), non-negative.
    """
    reaches_human = rewards >= human_reward[:, None, None] - 1e-6
    return per_code(rewards, human_reward).clamp(min=0.0) * reaches_human


def best_of_set(rewards: Tensor, human_reward: Tensor) -> Tensor:
    """Credit for what a leaf adds to the best of its tree: the selector takes one leaf, so the set should cover.

    The credit of a leaf is by how much the tree's best score would fall without it; over the S trees of a scene the
    mean is removed leaf by leaf, and the result divided by the scene's standard deviation of rewards.

    Args:
        rewards: (B, S, L) with L >= 2.
        human_reward: (B,), unused.

    Returns:
        (B, S, L).
    """
    top_two = rewards.topk(2, dim=-1).values
    is_best = rewards >= top_two[..., :1]
    # Where two leaves tie for the best, losing one costs nothing, and the difference below is 0 as it should be.
    credit = is_best * (top_two[..., :1] - top_two[..., 1:])
    centred = credit - credit.mean(dim=1, keepdim=True)
    return centred / (rewards.flatten(1).std(dim=1, unbiased=False)[:, None, None] + STD_FLOOR)


def best_of_set_soft(rewards: Tensor, human_reward: Tensor, temperature: float = SOFT_TEMPERATURE) -> Tensor:
    """As :func:`best_of_set`, with a soft best: several leaves of a tree learn, not only the first.

    The value of a set is the mean of its rewards under the weights softmax(r / T); the credit of a leaf is by how much
    the value would fall without it, which is negative for leaves that draw weight away from better ones. T towards 0
    gives :func:`best_of_set`, a large T the leaf's distance from the mean of its tree.

    Args:
        rewards: (B, S, L) with L >= 2.
        human_reward: (B,), unused.
        temperature: T, in units of score; above 0.

    Returns:
        (B, S, L).
    """
    value = _soft_best(rewards, temperature)
    num_leaves = rewards.shape[-1]
    itself = torch.eye(num_leaves, dtype=torch.bool, device=rewards.device)
    others = rewards[..., None, :].expand(*rewards.shape, num_leaves)[..., ~itself]
    without = _soft_best(others.unflatten(-1, (num_leaves, num_leaves - 1)), temperature)
    credit = value[..., None] - without
    centred = credit - credit.mean(dim=1, keepdim=True)
    return centred / (rewards.flatten(1).std(dim=1, unbiased=False)[:, None, None] + STD_FLOOR)


def _soft_best(rewards: Tensor, temperature: float) -> Tensor:
    """(..., L) -> (...): the mean under softmax(r / T)."""
    return ((rewards / temperature).softmax(dim=-1) * rewards).sum(-1)


def mixed(rewards: Tensor, human_reward: Tensor, per_code_weight: float = 0.0) -> Tensor:
    """``best_of_set`` plus ``per_code_weight`` times ``per_code``: leaves that are not the best learn a little too.

    Args:
        rewards: (B, S, L) with S >= 2 and L >= 2.
        human_reward: (B,), unused.
        per_code_weight: of the second part; 0 leaves it out.

    Returns:
        (B, S, L).
    """
    return best_of_set(rewards, human_reward) + per_code_weight * per_code(rewards, human_reward)


def sum_over_descendants(leaf_values: Tensor, leaf_nodes: Tensor, num_nodes: int) -> Tensor:
    """Value of every node = sum over the leaves below it.

    Args:
        leaf_values: (B, S, L).
        leaf_nodes: (L, D) int64, node on each level of each leaf's path.
        num_nodes: M.

    Returns:
        (B, S, M).
    """
    out = leaf_values.new_zeros(*leaf_values.shape[:-1], num_nodes)
    for depth in range(leaf_nodes.shape[1]):
        out.index_add_(-1, leaf_nodes[:, depth], leaf_values)
    return out


Estimator = Callable[[Tensor, Tensor], Tensor]

ESTIMATORS: dict[str, Estimator] = {
    "group_normalised": group_normalised,
    "per_code": per_code,
    "per_code_scene": per_code_scene,
    "per_code_truncated": per_code_truncated,
    "covering": covering,
    "best_of_set": best_of_set,
    "best_of_set_soft": best_of_set_soft,
    "mixed": mixed,
}
"""Advantage estimators by the name a configuration gives."""
