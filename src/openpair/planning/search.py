"""Test-time search: smooth neighbours of the best candidates, scored by the reward model, round after round.

In the manner of the cross-entropy method: every round looks around the best plans of all rounds so far, nearer than
the round before. No learning, no truth; the cost is a few more candidates for the reward model.
"""

from __future__ import annotations

import torch
from torch import Tensor

from openpair.planning.config import SearchConfig
from openpair.rewards.base import RewardContext, RewardModel
from openpair.samplers.perturbations import shift


def changes(config: SearchConfig) -> Tensor:
    """(rounds, neighbours, 4) changes of plans in the order of :func:`~openpair.samplers.perturbations.shift`.

    Acceleration early and late [m/s^2], sideways at the end and in the middle [m].
    """
    half = (config.neighbours + 1) // 2
    generator = torch.Generator().manual_seed(config.seed)
    noise = torch.randn(config.rounds, half, 4, generator=generator)
    both = torch.cat([noise, -noise], dim=1)[:, : config.neighbours]
    width = config.width
    scale = torch.tensor([width.acceleration, width.acceleration, width.lateral_m, width.bulge_m])
    return both * scale * (config.shrink ** torch.arange(config.rounds))[:, None, None]


def neighbours_of_best(candidates: Tensor, predicted: Tensor, change: Tensor, elites: int) -> Tensor:
    """Neighbours of the best candidates.

    Args:
        candidates: (B, N, 8, 3), ego rear-axle frame.
        predicted: (B, N), the greater the better.
        change: (S, 4), one round of :func:`changes`.
        elites: m.

    Returns:
        (B, m * S, 8, 3), best first; fewer where N < m.
    """
    index = predicted.topk(min(elites, candidates.shape[1]), dim=1).indices
    best = candidates.gather(1, index[..., None, None].expand(-1, -1, *candidates.shape[2:])).flatten(0, 1)
    found = shift(best, *change.to(best).expand(len(best), -1, -1).unbind(-1))
    return found.view(len(candidates), -1, *candidates.shape[2:])


@torch.no_grad()
def search(
    reward_model: RewardModel, context: RewardContext, candidates: Tensor, predicted: Tensor, config: SearchConfig
) -> tuple[Tensor, Tensor]:
    """Look around the best candidates for better ones.

    Args:
        reward_model: rates them.
        context: its context of the same B scenes.
        candidates: (B, N, 8, 3), ego rear-axle frame; the last one is the root.
        predicted: (B, N) what the reward model thinks of them.
        config: how long and how far.

    Returns:
        candidates (B, N + rounds * m * S, 8, 3) with those that were found before the root, which stays the last, and
        their predictions.
    """
    for change in changes(config):
        found = neighbours_of_best(candidates, predicted, change, config.elites)
        together = _before_last(candidates, found)
        if reward_model.sees_the_set:
            predicted = reward_model.score(context, together)["sim_logits"][:, 0]
        else:
            predicted = _before_last(predicted, reward_model.score(context, found)["sim_logits"][:, 0])
        candidates = together
    return candidates, predicted


def _before_last(values: Tensor, more: Tensor) -> Tensor:
    """(B, N, ...) and (B, K, ...) -> (B, N + K, ...) with the last of ``values`` at the end."""
    return torch.cat([values[:, :-1], more, values[:, -1:]], dim=1)
