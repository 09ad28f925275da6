"""Losses of learned reward models: sub-scores by cross-entropy, totals by calibration and by ranking."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sub_score_loss(logits: Tensor, targets: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy of sub-scores; targets may lie between 0 and 1 (progress).

    Args:
        logits: (B, 9, N).
        targets: (B, 9, N), NaN where a protocol has no such sub-score: those do not count.
        count: what to divide by where the batch is a part of one: the mean number of known sub-scores of parts.
    """
    known = ~targets.isnan()
    if not bool(known.any()):
        return logits.sum() * 0.0
    if count is None:
        return F.binary_cross_entropy_with_logits(logits[known].float(), targets[known].float())
    total = F.binary_cross_entropy_with_logits(logits[known].float(), targets[known].float(), reduction="sum")
    return total / count


def calibration_loss(logits: Tensor, scores: Tensor) -> Tensor:
    """Binary cross-entropy between sigmoid(logits) and scores in [0, 1]; (B, N) each.

    Its minimum is the expected score of each candidate, whose greatest value is the best choice.
    """
    return F.binary_cross_entropy_with_logits(logits.float(), scores.float())


def ranking_loss(logits: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """KL divergence of softmax(sigmoid(logits) / T) from softmax(scores / T) over the N candidates; (B, N) each.

    Zero where the predicted scores equal the true ones, up to a shift per scene: it agrees with
    :func:`calibration_loss`, and spends its effort on which candidate of a scene is best.
    """
    predicted = F.log_softmax(logits.float().sigmoid() / temperature, dim=-1)
    wanted = F.log_softmax(scores.float() / temperature, dim=-1)
    return (wanted.exp() * (wanted - predicted)).sum(-1).mean()


def occupancy_loss(logits: Tensor, target: Tensor, positive_weight: float) -> Tensor:
    """Weighted mean binary cross-entropy of occupancy maps (B, T, X, Y); targets in [0, 1], or uint8 0 .. 255."""
    wanted = target.float() / 255.0 if target.dtype == torch.uint8 else target.float()
    weight = torch.full((), positive_weight, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits.float(), wanted, pos_weight=weight)
