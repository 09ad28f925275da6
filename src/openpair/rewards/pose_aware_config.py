"""Size and losses of our reward model. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from openpair.datatypes.columns import Protocol
from openpair.datatypes.settings import later
from openpair.nn.ground_view import ground_views
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.trunk_config import SceneTrunkConfig, TrunkConfig, VectorTrunkConfig
from openpair.rewards.config import RewardNetworkConfig
from openpair.sensors.rig import standard_cameras


@dataclass(frozen=True)
class PoseAwareConfig(RewardNetworkConfig):
    """Size and losses.

    Attributes:
        trunk: encoder, decoder and perception heads; of sensors it needs ``align_map``.
        protocol: which total the sub-scores are combined to; the experiment's.
        extended_comfort: v2.2: whether that total counts extended comfort; it is learned only where the reward has it.
        static_channels: channels looked up at every pose.
        dynamic_channels: channels looked up at the pose's time.
        pose_hidden: hidden size per pose.
        heads: attention heads of a candidate's look at the scene tokens.
        sub_score_weight, calibration_weight, ranking_weight, forecast_weight, perception_weight: weights of the losses;
            perception comes weighted by the trunk already.
        occupied_weight: weight of occupied cells in the forecast's loss; few cells are.
        ranking_temperature: temperature of the ranking loss, in units of score.
    """

    RETIRED: ClassVar[frozenset[str]] = frozenset({"blend"})

    trunk: SceneTrunkConfig
    protocol: Protocol = Protocol.V1_1
    static_channels: int = 16
    dynamic_channels: int = 8
    pose_hidden: int = 96
    heads: int = 4
    sub_score_weight: float = 1.0
    calibration_weight: float = 1.0
    ranking_weight: float = 1.0
    forecast_weight: float = 1.0
    perception_weight: float = 0.1
    occupied_weight: float = 4.0
    ranking_temperature: float = 0.1
    extended_comfort: bool = later(False)

    @staticmethod
    def published() -> PoseAwareConfig:
        """On the published backbone and features, with the map head's cells where they are."""
        return PoseAwareConfig(trunk=TrunkConfig(align_map=True), static_channels=32, pose_hidden=192, heads=8)

    @staticmethod
    def small(layout: InputLayout | None = None) -> PoseAwareConfig:
        """The demo's size (:func:`openpair.nn.presets.small_trunk`), for the standard cameras unless said."""
        return PoseAwareConfig(trunk=small_trunk(layout or InputLayout(ground_views(standard_cameras()))))

    def for_reward(self, protocol: Protocol, *, extended_comfort: bool) -> PoseAwareConfig:
        """Sub-scores are combined as the experiment's reward combines them."""
        return replace(self, protocol=protocol, extended_comfort=extended_comfort)

    def on_truth(self, trunk: VectorTrunkConfig) -> PoseAwareConfig:
        return replace(self, trunk=trunk)
