"""Losses of the perception heads: agents by bipartite matching, bird's-eye-view map by cross-entropy."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def match_agents(states: Tensor, logits: Tensor, target_states: Tensor, target_labels: Tensor) -> Tensor:
    """Hungarian matching of Q predicted to Q target agents of each scene.

    cost[i, j] = 10 * CE(logit_i, 1 - label_j, up to a constant) + label_j * |xy_i - xy_j|_1.

    Args:
        states: (B, Q, 5); logits: (B, Q); target_states: (B, Q, 5); target_labels: (B, Q) bool.

    Returns:
        (B, Q) int64: target index matched to each prediction.
    """
    from scipy.optimize import linear_sum_assignment  # a second that only training needs

    z, y = logits.float()[:, :, None], target_labels.float()[:, None, :]
    distance = (states.float()[:, :, None, :2] - target_states.float()[:, None, :, :2]).abs().sum(-1)
    cost = (10.0 * ((1 - y) * z + F.softplus(-z)) + y * distance).cpu().numpy()
    matched = np.stack([linear_sum_assignment(c)[1] for c in cost])
    return torch.from_numpy(matched).to(logits.device)


def agent_loss(
    states: Tensor, logits: Tensor, target_states: Tensor, target_labels: Tensor, count: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Class and box loss of matched agents; shapes as in :func:`match_agents`.

    Args:
        count: what to divide the box loss by where the batch is a part of one: the mean number of true agents of parts.

    Returns:
        class: mean binary cross-entropy over all pairs. box: L1 summed over the five numbers and all true agents, over
        the number of true agents in the batch (at least 1). Headings are not wrapped.
    """
    matched = match_agents(states, logits, target_states, target_labels)
    labels = target_labels.gather(1, matched).float()
    boxes = target_states.gather(1, matched[..., None].expand(-1, -1, target_states.shape[-1]))
    class_loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
    l1 = (states.float() - boxes).abs().sum(-1) * labels
    return class_loss, l1.sum() / (labels.sum().clamp(min=1.0) if count is None else count)


def bev_semantic_loss(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over pixels: logits (B, C, H, W), target (B, H, W) integer classes."""
    return F.cross_entropy(logits.float(), target.long(), weight=class_weights)
