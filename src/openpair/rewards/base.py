"""What a learned reward model is: a network that scores any number of candidate plans of a scene."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from openpair.datatypes.columns import Protocol
from openpair.datatypes.sub_metrics import EXTENDED_COMFORT, multipliers, sub_metrics, weights
from openpair.nn.registered import RegisteredNetwork
from openpair.nn.surroundings import Surroundings
from openpair.rewards.config import RewardNetworkConfig

HEAD_NAMES = tuple(metric.head for metric in sub_metrics(Protocol.V2_2) if metric.head is not None)
"""Sub-scores that a reward model predicts, in the order of its rows: NC, DAC, DDC, TLC, EP, TTC, LK, HC, EC."""

HEAD_OF_METRIC: dict[Protocol, dict[str, str]] = {
    protocol: {metric.name: metric.head for metric in sub_metrics(protocol) if metric.head is not None}
    for protocol in Protocol
}
"""Which head learns which sub-metric of a protocol. v1.1's comfort has the place of history comfort."""


@dataclass(frozen=True)
class RewardContext:
    """What a reward model knows of a batch of scenes before it sees candidates.

    Attributes:
        tokens: (B, K, D) scene tokens.
        status: (B, 8) the status feature.
        perception: outputs of the auxiliary perception and forecast heads by name.
        bev: (B, C, X, Y) bird's-eye-view features, where the model looks them up along the candidates.
        surroundings: the truth with a forecast of the agents, where the model sees that instead.
        tokens_there: (B, K) bool, False for tokens that are padding; None where none is.
    """

    tokens: Tensor
    status: Tensor
    perception: dict[str, Tensor] = field(default_factory=dict)
    bev: Tensor | None = None
    surroundings: Surroundings | None = None
    tokens_there: Tensor | None = None


class RewardModel(RegisteredNetwork, ABC):
    """Base of all learned reward models.

    Attributes:
        sees_the_set: True where the value of a candidate depends on the others that it is scored with. Training then
            scores the sets of a scene one by one, as they come at inference.
    """

    config_class: ClassVar[type[RewardNetworkConfig]]
    sees_the_set: ClassVar[bool] = False

    @abstractmethod
    def encode(self, features: Mapping[str, Tensor]) -> RewardContext:
        """Features by name (as for an imitation policy) -> context, once per batch of scenes."""

    @abstractmethod
    def score(self, context: RewardContext, candidates: Tensor) -> dict[str, Tensor]:
        """Score candidates (B, N, 8, 3) x [m], y [m], heading [rad] in the ego rear-axle frame.

        Returns:
            ``sim_rewards`` (B, 9, N) in [0, 1], rows as :data:`HEAD_NAMES`; ``sim_logits`` (B, 1, N), the greater the
            better; ``reward_logits`` (B, 9, N), the sub-scores before the sigmoid, for the loss.
        """

    def score_sets(self, context: RewardContext, sets: Tensor) -> dict[str, Tensor]:
        """Outputs of :meth:`score` for R sets of candidates (B, R, K, 8, 3), side by side: N = R * K."""
        if not self.sees_the_set:
            return self.score(context, sets.flatten(1, 2))
        rows = [self.score(context, one) for one in sets.unbind(dim=1)]
        return {name: torch.cat([row[name] for row in rows], dim=-1) for name in rows[0]}

    def forward(self, *, agent_trajectory: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """Features by name and candidates (B, N, 8, 3) -> outputs of :meth:`score` and of the perception heads."""
        context = self.encode(features)
        return {**context.perception, **self.score(context, agent_trajectory)}

    @abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Loss terms, scalars by name; ``loss`` is the weighted sum to minimise.

        Args:
            outputs: what :meth:`forward` returned.
            targets: ``candidate_metrics`` (B, 9, N) true sub-scores, NaN where a protocol has none;
                ``candidate_scores`` (B, N) true scores; for models with perception heads also ``agent_states``,
                ``agent_labels``, ``bev_semantic_map`` and ``future_occupancy``; a missing target drops its term.
        """


def total_score(sim_rewards: Tensor, protocol: Protocol, *, extended_comfort: bool = True) -> Tensor:
    """Sub-scores (..., 9, N) -> the protocol's total (..., N): product of multipliers times weighted mean of others.

    Without ``extended_comfort`` EC drops out of v2.2's mean, as it does where a scene has no predecessor.
    """
    row = {metric: sim_rewards[..., HEAD_NAMES.index(head), :] for metric, head in HEAD_OF_METRIC[protocol].items()}
    shares = {name: w for name, w in weights(protocol).items() if extended_comfort or name != EXTENDED_COMFORT}
    none = torch.zeros_like(sim_rewards[..., 0, :])
    weighted = sum((weight * row[name] for name, weight in shares.items()), none) / sum(shares.values())
    product = torch.ones_like(weighted)
    for name in multipliers(protocol):
        product = product * row[name]
    return product * weighted
