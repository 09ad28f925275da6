"""The GRPO objective on trees (arXiv 2603.13842, section on the RL branch; GRPO: arXiv 2402.03300).

A leaf is reached by one action per level; its log-probability is the sum over the nodes of its path. Leaves that share
a prefix share its action, so the gradient of a node collects the advantages of all leaves below it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def clipped_surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """Mean of -min(ratio * A, clip(ratio, 1 - c, 1 + c) * A) over all leaves.

    Args:
        log_prob: (B, S, L) under the policy being trained; carries the gradient.
        old_log_prob: (B, S, L) under the policy that drew the trees.
        advantage: (B, S, L).
        clip_range: c, 0.2 in the paper.

    Returns:
        scalar loss.
    """
    ratio = torch.exp(log_prob - old_log_prob.detach())
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    advantage = advantage.detach()
    return -torch.minimum(ratio * advantage, clipped * advantage).mean()


def adapt_kl_weight(
    weight: float, kl: float, target: float, *, factor: float = 1.5, low: float = 1e-4, high: float = 10.0
) -> float:
    """The dynamic KL weight: up by ``factor`` where KL exceeds 1.5 times its target, down where below target / 1.5.

    Args:
        weight: present weight beta.
        kl: KL measured in the last update [nat].
        target: KL wanted [nat].
        factor: step of the weight.
        low: smallest weight.
        high: largest weight.

    Returns:
        the next weight, within [low, high].
    """
    if kl > 1.5 * target:
        weight *= factor
    elif kl < target / 1.5:
        weight /= factor
    return min(max(weight, low), high)


def steered_kl_weight(
    weight: float, kl: float, target: float, *, gain: float, low: float = 1e-4, high: float = 10.0
) -> float:
    """The KL weight by proportional control in log space: weight * (kl / target) ** gain, the ratio within e and 1 / e.

    A small gain converges where steps of :func:`adapt_kl_weight` overshoot: the policy answers a weight many updates
    later.

    Args:
        weight: present weight beta.
        kl: KL measured in the last update [nat].
        target: KL wanted [nat].
        gain: share of the logarithm of the ratio by which the weight's logarithm changes in an update.
        low: smallest weight.
        high: largest weight.

    Returns:
        the next weight, within [low, high].
    """
    error = math.log(max(kl, 1e-12) / target)
    return min(max(weight * math.exp(gain * min(max(error, -1.0), 1.0)), low), high)


def explore_sigma(step: int, total_steps: int, start: float, end: float) -> float:
    """Standard deviation of exploration at a step: geometric from ``start`` to ``end`` [raw units].

    Below about 0.2 the tree stops exploring and collapses onto its mean.
    """
    progress = min(step / max(total_steps - 1, 1), 1.0)
    return float(start * (end / start) ** progress)
