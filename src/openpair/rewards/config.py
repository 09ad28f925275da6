"""What the configurations of learned reward models have in common. Imports nothing heavy."""

from __future__ import annotations

from openpair.datatypes.columns import Protocol
from openpair.kinds import REWARD_MODELS
from openpair.nn.registered_config import RegisteredConfig


class RewardNetworkConfig(RegisteredConfig):
    """Base of the configurations of learned reward models."""

    kinds = REWARD_MODELS

    def for_reward(self, protocol: Protocol, *, extended_comfort: bool) -> RewardNetworkConfig:
        """The same model for an experiment with this reward; a model whose total depends on it overrides this."""
        return self
