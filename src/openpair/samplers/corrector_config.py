"""Size and reach of the corrector. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from openpair.nn.trunk_config import SceneTrunkConfig, TrunkConfig
from openpair.samplers.config import SamplerConfig
from openpair.samplers.perturbation_config import PerturbationConfig


@dataclass(frozen=True)
class CorrectorConfig(SamplerConfig):
    """Size and reach.

    Attributes:
        trunk: the corrector's own encoder and decoder; its perception heads are the auxiliary ones.
        unit: the changes that an action of 1 makes.
        layers, heads, d_ffn: decoder of the only query.
        head_hidden: hidden size of the action head.
        aux_perception: train the trunk's perception heads along.
    """

    codes: ClassVar[tuple[str, ...]] = ("corrected",)

    trunk: SceneTrunkConfig = field(default_factory=TrunkConfig)
    unit: PerturbationConfig = field(default_factory=lambda: PerturbationConfig(1.2, 0.5, 0.25))
    layers: int = 2
    heads: int = 8
    d_ffn: int = 1024
    head_hidden: int = 128
    aux_perception: bool = True

    @staticmethod
    def published() -> CorrectorConfig:
        """With an encoder of the published size."""
        return CorrectorConfig()

    @staticmethod
    def of_trunk(trunk: SceneTrunkConfig) -> CorrectorConfig:
        """With an encoder of this size, and a decoder to match."""
        return CorrectorConfig(trunk, heads=trunk.heads, d_ffn=trunk.d_ffn)
