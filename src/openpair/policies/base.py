"""What an imitation policy of OpenPaIR is, as a network.

A policy reads the features of one frame and plans; how it is trained on a human plan is its own affair
(:meth:`ImitationPolicy.loss`). Samplers and reward models are unknown here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class ImitationPolicy(nn.Module, ABC):
    """Base of all imitation policies.

    Features, by name (float32):
        camera_feature: (B, 3, H, W) stitched front cameras, RGB in [0, 1].
        lidar_feature: (B, C, X, Y) histogram of points above the ground in [0, 1]; row 0 is behind, column 0 is right.
        status_feature: (B, 8) driving command one-hot (4), velocity x, y [m/s], acceleration x, y [m/s^2].

    Attributes:
        kind: name of the network in checkpoints and on the command line.
        config: the dataclass it was built from.
    """

    kind: ClassVar[str]
    config: Any

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
