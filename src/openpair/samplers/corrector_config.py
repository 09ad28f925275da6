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
    def of_trunk(trunk: SceneTrunkConfig, *, judged: int) -> CorrectorConfig:
        """With an encoder of this size, and a decoder to match."""
        return CorrectorConfig(trunk, judged, heads=trunk.heads, d_ffn=trunk.d_ffn)
