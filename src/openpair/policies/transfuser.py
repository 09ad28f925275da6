"""TransFuser: cameras and LiDAR -> plan, with agents and a semantic map as auxiliary outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from torch import Tensor

from openpair.nn.backbone import TransfuserBackboneConfig
from openpair.nn.ground_lift import ground_views
from openpair.nn.heads import TrajectoryHead
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.trunk import PerceptionTrunk, TrunkConfig
from openpair.policies.base import ImitationPolicy
from openpair.policies.transfuser_loss import trajectory_l1
from openpair.sensors.rig import standard_cameras


@dataclass(frozen=True)
class TransfuserConfig:
    """Size and loss weights. The defaults are the published network.

    Attributes:
        trunk: backbone, decoder and perception heads.
        trajectory_weight: weight of the L1 loss on the plan.
    """

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    trajectory_weight: float = 10.0

    @staticmethod
    def published() -> TransfuserConfig:
        """The network of the NAVSIM benchmark (56 million parameters)."""
        return TransfuserConfig()

    @staticmethod
    def published_latent() -> TransfuserConfig:
        """Its camera-only variant, "Latent TransFuser"."""
        backbone = replace(TransfuserBackboneConfig(), latent=True)
        return TransfuserConfig(trunk=replace(TrunkConfig(), backbone=backbone))

    @staticmethod
    def small(layout: InputLayout | None = None) -> TransfuserConfig:
        """The demo's network (:func:`openpair.nn.presets.small_trunk`), for the standard cameras unless said."""
        trunk = small_trunk(layout or InputLayout(ground_views(standard_cameras())))
        return TransfuserConfig(trunk=trunk)


class Transfuser(PerceptionTrunk, ImitationPolicy):
    """TransFuser. Outputs ``trajectory`` (B, 8, 3) and those of :meth:`PerceptionTrunk.perceive`."""

    kind: ClassVar[str] = "transfuser"

    def __init__(self, config: TransfuserConfig | None = None) -> None:
        self_config = config or TransfuserConfig.published()
        super().__init__(self_config.trunk)
        self.config = self_config
        self._trajectory_head = TrajectoryHead(self_config.trunk.d_model, self_config.trunk.d_ffn)

    def forward(self, **features: Tensor) -> dict[str, Tensor]:
        """``camera_feature``, ``lidar_feature``, ``status_feature`` -> outputs by name."""
        output = self.trunk(features["camera_feature"], features.get("lidar_feature"), features["status_feature"])
        return {"trajectory": self._trajectory_head(output.queries[:, 0]), **self.perceive(output)}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` = 10 * ``trajectory_l1`` + 10 * ``agent_class`` + ``agent_box`` + 10 * ``bev_ce`` (published)."""
        trajectory = trajectory_l1(outputs["trajectory"], targets["trajectory"])
        terms = self.perception_terms(outputs, targets)
        perception = terms.pop("perception")
        return {
            "loss": self.config.trajectory_weight * trajectory + perception,
            "trajectory_l1": trajectory,
            **terms,
        }
