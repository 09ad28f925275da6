"""What an imitation policy of OpenPaIR is, as a network.

A policy reads the features of one frame and plans; how it is trained on a human plan is its own affair
(:meth:`ImitationPolicy.loss`). Samplers and reward models are unknown here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from openpair.errors import OpenPairError
from openpair.nn.registered import RegisteredNetwork
from openpair.policies.config import PolicyConfig


class HumanPlans(Protocol):
    """What a policy may fit to its training scenes."""

    def human_plans(self) -> Tensor:
        """(M, 8, 3) what the human drove in every scene: x [m], y [m], heading [rad], ego rear-axle frame."""
        ...


class ImitationPolicy(RegisteredNetwork, ABC):
    """Base of all imitation policies.

    Features, by name (float32):
        camera_feature: (B, 3, H, W) stitched front cameras, RGB in [0, 1].
        lidar_feature: (B, C, X, Y) histogram of points above the ground in [0, 1]; row 0 is behind, column 0 is right.
        status_feature: (B, 8) driving command one-hot (4), velocity x, y [m/s], acceleration x, y [m/s^2].

    Attributes:
    """

    config_class: ClassVar[type[PolicyConfig]]

    @classmethod
    def from_training(cls, config: Any, train: HumanPlans, *, seed: int, fitted: Path | None = None) -> ImitationPolicy:
        """A fresh network for these training scenes; a policy that fits something to them first overrides this.

        Args:
            config: of the kind's ``config_class``.
            train: the training scenes.
            seed: of what is fitted. The weights come from torch's own generator.
            fitted: a file with what would be fitted otherwise.

        Raises OpenPairError for a file that the policy cannot use.
        """
        if fitted is not None:
            raise OpenPairError(
                f"the policy '{cls.kind}' fits nothing to the training scenes", where=fitted, fix="Leave --anchors out"
            )
        return cls(config)

    @abstractmethod
    def forward(self, **features: Tensor) -> dict[str, Tensor]:
        """Features by name -> outputs by name."""

    def plan(self, **features: Tensor) -> Tensor:
        """Features by name -> the one plan (B, 8, 3) x [m], y [m], heading [rad]; output ``trajectory`` unless said."""
        return self(**features)["trajectory"]

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """All that :meth:`forward` would draw at random for ``count`` scenes, as further arguments for it; on the
        generator's device. Empty for policies without randomness."""
        return {}

    @abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Loss terms, scalars by name; ``loss`` is the weighted sum to minimise.

        Args:
            outputs: what :meth:`forward` returned.
            targets: ``trajectory`` (B, 8, 3) the human plan, and the perception targets ``agent_states`` (B, 30, 5),
                ``agent_labels`` (B, 30) bool, ``bev_semantic_map`` (B, H, W) int64.
        """
