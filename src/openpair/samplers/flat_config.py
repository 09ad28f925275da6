"""Size, leaves and bounds of the sampler without a tree. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from openpair.nn.ground_view import ground_views
from openpair.nn.kinematic_limits import KinematicLimits
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.trunk_config import SceneTrunkConfig, TrunkConfig, VectorTrunkConfig
from openpair.samplers.config import SamplerConfig
from openpair.samplers.kinematic_config import TREE_LIMITS
from openpair.sensors.rig import standard_cameras

WIDE_LIMITS = KinematicLimits(accelerate_mps2=4.0, brake_mps2=8.0, jerk_mps3=8.0, slope=2.0, bend_per_m=0.25)
"""Of whole trajectories: emergency braking, and turns with a radius of 4 m up to 63 degrees off straight on."""


@dataclass(frozen=True)
class FlatSamplerConfig(SamplerConfig):
    """Size, leaves and bounds.

    Attributes:
        trunk: the sampler's own encoder and decoder; its perception heads are the auxiliary ones.
        num_leaves: leaves of a set.
        reference: what offsets are measured from: ``root``, or driving ``straight`` on at the present speed.
        limits: bounds of what an action can do, those of the tree; its acceleration and brake hold for every leaf.
        lateral_mps: greatest lateral velocity against the reference [m/s]; the tree reaches 1.3 in four levels.
        start_spread: how far apart leaves start, along and across, in raw units: half of what they can do, as in the
            tree.
        layers, heads, d_ffn, dropout: decoder over the queries. Dropout makes probabilities noisy: leave it at 0.
        head_hidden: hidden size of the action head.
        aux_perception: train the trunk's perception heads along.
    """

    trunk: SceneTrunkConfig = field(default_factory=TrunkConfig)
    num_leaves: int = 15
    reference: Literal["root", "straight"] = "root"
    limits: KinematicLimits = field(default_factory=lambda: TREE_LIMITS)
    lateral_mps: float = 1.3
    start_spread: tuple[float, float] = (0.55, 0.55)
    layers: int = 5
    heads: int = 8
    d_ffn: int = 1024
    dropout: float = 0.0
    head_hidden: int = 1024
    aux_perception: bool = True

    @property
    def codes(self) -> tuple[str, ...]:
        """Names of the leaves: their numbers."""
        return tuple(f"{number:02d}" for number in range(self.num_leaves))

    @staticmethod
    def published() -> FlatSamplerConfig:
        """The size of the published sampler."""
        return FlatSamplerConfig()

    @staticmethod
    def small(layout: InputLayout | None = None) -> FlatSamplerConfig:
        """The demo's size (:func:`openpair.nn.presets.small_trunk`), for the standard cameras unless said."""
        trunk = small_trunk(layout or InputLayout(ground_views(standard_cameras())))
        return FlatSamplerConfig(trunk=trunk, layers=1, heads=4, d_ffn=256, head_hidden=128)

    def whole(self) -> FlatSamplerConfig:
        """The same size, predicting whole trajectories instead of offsets of a root."""
        return replace(self, reference="straight", limits=WIDE_LIMITS, lateral_mps=10.0, start_spread=(0.5, 0.3))

    def on_truth(self, trunk: VectorTrunkConfig) -> FlatSamplerConfig:
        return replace(self, trunk=trunk, d_ffn=trunk.d_ffn)
