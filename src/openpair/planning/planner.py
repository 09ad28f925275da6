"""The planner at inference: policy -> candidates around its plan -> reward model -> plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from openpair.datatypes.columns import PoseIndex
from openpair.planning.search import SearchConfig, search
from openpair.rewards.base import RewardModel

CandidateSource = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Features by name and roots (B, 8, 3) -> candidates (B, K, 8, 3) without the root."""


@dataclass(frozen=True)
class Choice:
    """What the planner decided for B scenes, and between what.

    Attributes:
        plan: (B, 8, 3) the plan: x [m], y [m], heading [rad], ego rear-axle frame; the best candidate, or the mean of
            candidates where the choice blends them.
        candidates: (B, N, 8, 3) all candidates; the last one is the root.
        predicted: (B, N) the reward model's value of each; the greater the better.
        index: (B,) the best candidate.
    """

    plan: Tensor
    candidates: Tensor
    predicted: Tensor
    index: Tensor


def blended(candidates: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """Mean of candidates, each weighted by how good it is thought to be.

    Candidates that are valued alike differ by less than the reward model can see. Taking the best of them jumps from
    one to another between frames; their mean does not, and what is wrong with each averages out.

    Args:
        candidates: (B, N, 8, 3) x [m], y [m], heading [rad].
        scores: (B, N) predicted scores in [0, 1].
        temperature: weights are softmax(scores / temperature); above 0.

    Returns:
        (B, 8, 3), same frame.
    """
    weight = (scores / temperature).softmax(dim=1)[..., None, None]
    heading = candidates[..., PoseIndex.HEADING :]
    xy = (weight * candidates[..., : PoseIndex.HEADING]).sum(dim=1)
    direction = torch.atan2((weight * heading.sin()).sum(dim=1), (weight * heading.cos()).sum(dim=1))
    return torch.cat((xy, direction), dim=-1)


@torch.no_grad()
def choose(
    features: Mapping[str, Tensor],
    root: Tensor,
    source: CandidateSource,
    reward_model: RewardModel,
    search_config: SearchConfig | None = None,
) -> Choice:
    """Grow candidates around ``root`` (B, 8, 3), which stays one of them, and take what the reward model likes best, or
    the mean of candidates where its ``blend`` says so (:func:`blended`).

    With ``search_config`` neighbours of its favourites become candidates too (:mod:`openpair.planning.search`).
    """
    candidates = torch.cat([source(features, root), root[:, None]], dim=1)
    context = reward_model.encode(features)
    predicted = reward_model.score(context, candidates)["sim_logits"][:, 0]
    if search_config is not None:
        candidates, predicted = search(reward_model, context, candidates, predicted, search_config)
    index = predicted.argmax(dim=1)
    if reward_model.blend > 0:
        plan = blended(candidates, predicted.sigmoid(), reward_model.blend)
    else:
        plan = candidates[torch.arange(len(root), device=root.device), index]
    return Choice(plan, candidates, predicted, index)
