"""Size and loss weights of TransFuser. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from openpair.nn.ground_view import ground_views
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.trunk_config import SceneTrunkConfig, TransfuserBackboneConfig, TrunkConfig, VectorTrunkConfig
from openpair.policies.config import PolicyConfig
from openpair.sensors.rig import standard_cameras


@dataclass(frozen=True)
class TransfuserConfig(PolicyConfig):
    """Size and loss weights. The defaults are the published network.

    Attributes:
        trunk: backbone, decoder and perception heads.
        trajectory_weight: weight of the L1 loss on the plan.
        refinements: times that a plan is corrected by a look at the ground along it; none in the published network.
    """

    trunk: SceneTrunkConfig = field(default_factory=TrunkConfig)
    trajectory_weight: float = 10.0
    refinements: int = 0

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
        return TransfuserConfig(trunk=trunk, refinements=2)

    def on_truth(self, trunk: VectorTrunkConfig) -> TransfuserConfig:
        return replace(self, trunk=trunk, refinements=2)
