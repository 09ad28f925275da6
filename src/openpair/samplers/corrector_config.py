"""Size and reach of the corrector. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from openpair.nn.ground_view import ground_views
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.trunk_config import SceneTrunkConfig, TrunkConfig
from openpair.samplers.config import SamplerConfig
from openpair.samplers.perturbation_config import PerturbationConfig
from openpair.sensors.rig import standard_cameras


@dataclass(frozen=True)
class CorrectorConfig(SamplerConfig):
    """Size and reach.

    Attributes:
        trunk: the corrector's own encoder and decoder; its perception heads are the auxiliary ones.
        judged: how many numbers say what the reward model thinks of a plan
            (:data:`openpair.planning.judgement.JUDGED_NUMBERS`).
        unit: the changes that an action of 1 makes.
        layers, heads, d_ffn: decoder of the only query.
        hidden: hidden size of the action head and of the judgement's encoder.
        aux_perception: train the trunk's perception heads along.
    """

    codes: ClassVar[tuple[str, ...]] = ("corrected",)

    trunk: SceneTrunkConfig = field(default_factory=TrunkConfig)
    judged: int = 160
    unit: PerturbationConfig = field(default_factory=lambda: PerturbationConfig(1.2, 0.5, 0.25))
    layers: int = 2
    heads: int = 8
    d_ffn: int = 1024
    hidden: int = 128
    aux_perception: bool = True

    @staticmethod
    def published() -> CorrectorConfig:
        """With an encoder of the published size."""
        return CorrectorConfig()

    @staticmethod
    def small(layout: InputLayout | None = None) -> CorrectorConfig:
        """The demo's encoder (:func:`openpair.nn.presets.small_trunk`), for the standard cameras unless said."""
        trunk = small_trunk(layout or InputLayout(ground_views(standard_cameras())))
        return CorrectorConfig.of_trunk(trunk, judged=CorrectorConfig().judged)

    @staticmethod
    def of_trunk(trunk: SceneTrunkConfig, *, judged: int) -> CorrectorConfig:
        """With an encoder of this size, and a decoder to match."""
        return CorrectorConfig(trunk, judged, heads=trunk.heads, d_ffn=trunk.d_ffn)
