"""Size, leaves and bounds of our tree sampler. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from openpair.datatypes.settings import later
from openpair.errors import OpenPairError
from openpair.nn.ground_view import ground_views
from openpair.nn.kinematic_limits import KinematicLimits
from openpair.nn.presets import InputLayout, small_trunk
from openpair.nn.trunk_config import SceneTrunkConfig, TrunkConfig, VectorTrunkConfig
from openpair.samplers.config import SamplerConfig
from openpair.sensors.rig import standard_cameras

SIDE_AND_SPEED_CODES = (
    *("0011", "0033", "0111", "0133", "0333"),
    *("1111", "1133", "1333", "3311", "3333"),
    *("2111", "2133", "2211", "2233", "2333"),
)
"""Leaves that pair every side with every speed. What was tried: docs/log.md."""


CODES_OF_GROUP_SIZE = {
    15: SIDE_AND_SPEED_CODES,
    12: (
        *("0011", "0033", "0111", "0333"),
        *("1111", "1133", "3311", "3333"),
        *("2111", "2211", "2233", "2333"),
    ),
    9: ("0011", "0111", "0333", "1111", "1133", "3333", "2111", "2211", "2333"),
    5: ("0011", "1111", "1133", "3333", "2211"),
}
"""Smaller sets, each part of the next larger one: every side keeps leaves that speed up and leaves that brake, as long
as there are enough of them."""


def codes_of_group_size(size: int) -> tuple[str, ...]:
    """The leaves of a tree with ``size`` of them: 15, 12, 9 or 5. Raises OpenPairError for another number."""
    if size not in CODES_OF_GROUP_SIZE:
        raise OpenPairError(
            f"there is no set of {size} leaves",
            where="group size",
            fix=f"Choose from {', '.join(map(str, CODES_OF_GROUP_SIZE))}, or name the codes of the leaves yourself",
        )
    return CODES_OF_GROUP_SIZE[size]


TREE_LIMITS = KinematicLimits(accelerate_mps2=3.0, brake_mps2=5.5, lateral_step_mps=0.32, lateral_trim_mps=0.15)
"""Untrained leaves use half of it: 1.5 m/s^2 faster, 2.7 m/s^2 slower, 1.3 m aside after 4 s."""


@dataclass(frozen=True)
class KinematicTreeConfig(SamplerConfig):
    """Size, leaves and bounds.

    Attributes:
        trunk: the sampler's own encoder and decoder; its perception heads are the auxiliary ones.
        codes: leaves to grow, 4 intentions each.
        limits: bounds of what an action can do.
        layers, heads, d_ffn, dropout: decoder over sibling queries. Dropout makes probabilities noisy: leave it at 0.
        head_hidden: hidden size of the action heads.
        initial_bias: where one-sided actions start, before the sigmoid. At -2 the first trees hardly leave the root and
            miss good plans; at 0 they use half of their range.
        reversal_bias: where one-sided actions start that reverse an earlier one of their path (brake after accelerate):
            weaker, so that some leaves change the speed a little. None: as the others.
        hold_turn: center and behind go on turning as the level before did, so that a turn begun grows with the square
            of time, as the errors of imitation do; False: they straighten out parallel to the root.
        aux_perception: train the trunk's perception heads along.
        looks: "nodes": every node looks at the ground along its parent's path. "root": all look along the root alone,
            and know how far their path lies from it, which is cheaper where a look costs more than a lookup.
    """

    RETIRED: ClassVar[frozenset[str]] = frozenset({"strength"})

    trunk: SceneTrunkConfig = field(default_factory=TrunkConfig)
    codes: tuple[str, ...] = SIDE_AND_SPEED_CODES
    limits: KinematicLimits = field(default_factory=lambda: TREE_LIMITS)
    layers: int = 5
    heads: int = 8
    d_ffn: int = 1024
    dropout: float = 0.0
    head_hidden: int = 1024
    initial_bias: float = 0.0
    reversal_bias: float | None = -2.0
    hold_turn: bool = True
    aux_perception: bool = True
    looks: Literal["nodes", "root"] = later("nodes")

    @staticmethod
    def published() -> KinematicTreeConfig:
        """The size of the published sampler."""
        return KinematicTreeConfig()

    @staticmethod
    def small(layout: InputLayout | None = None) -> KinematicTreeConfig:
        """The demo's sampler (:func:`openpair.nn.presets.small_trunk`), for the standard cameras unless said."""
        trunk = small_trunk(layout or InputLayout(ground_views(standard_cameras())))
        return KinematicTreeConfig(trunk=trunk, layers=1, heads=4, d_ffn=256, head_hidden=128)

    def on_truth(self, trunk: VectorTrunkConfig) -> KinematicTreeConfig:
        return replace(self, trunk=trunk, looks="root", d_ffn=trunk.d_ffn)
