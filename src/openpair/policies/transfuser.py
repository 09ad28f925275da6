"""TransFuser: cameras and LiDAR -> plan, with agents and a semantic map as auxiliary outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from openpair.nn.heads import TrajectoryHead, TrajectoryRefiner
from openpair.nn.trunk import PerceptionTrunk, TrunkOutput
from openpair.policies.base import ImitationPolicy
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.policies.transfuser_loss import trajectory_l1

LATENT_PARAMETER = "_backbone.lidar_latent"
"""Only the camera-only variant has it."""


class Transfuser(PerceptionTrunk, ImitationPolicy):
    """TransFuser. Outputs ``trajectory`` (B, 8, 3) and those of :meth:`PerceptionTrunk.perceive`; with refinements also
    ``earlier_trajectories`` (B, refinements, 8, 3), the plans before each correction."""

    kind: ClassVar[str] = "transfuser"
    config_class = TransfuserConfig
    telling_parameter = "_trajectory_head._mlp.0.weight"

    def __init__(self, config: TransfuserConfig | None = None) -> None:
        self_config = config or TransfuserConfig.published()
        super().__init__(self_config.trunk)
        self.config = self_config
        trunk = self_config.trunk
        self._trajectory_head = TrajectoryHead(trunk.d_model, trunk.d_ffn)
        if self_config.refinements:
            self._refiners = nn.ModuleList(
                TrajectoryRefiner(trunk.d_model, trunk.ground_channels, trunk.d_ffn, trunk.looks_beside_m)
                for _ in range(self_config.refinements)
            )

    @classmethod
    def released_config(cls, state: Mapping[str, Tensor]) -> TransfuserConfig | None:
        """The camera-only variant's, where its parameters say so."""
        return TransfuserConfig.published_latent() if LATENT_PARAMETER in state else None

    def forward(self, **features: Tensor) -> dict[str, Tensor]:
        """``camera_feature``, ``lidar_feature``, ``status_feature`` -> outputs by name."""
        output = self._see(features)
        plans = self._plans(output)
        outputs = self.perceive(output)
        if self.config.refinements:
            outputs["earlier_trajectories"] = torch.stack(plans[:-1], dim=1)
        return {"trajectory": plans[-1], **outputs}

    def plan(self, **features: Tensor) -> Tensor:
        """The plan (B, 8, 3); the perception heads are not run."""
        return self._plans(self._see(features))[-1]

    def _see(self, features: Mapping[str, Tensor]) -> TrunkOutput:
        return self.trunk(features)

    def _plans(self, output: TrunkOutput) -> list[Tensor]:
        """The first plan (B, 8, 3) and those after each correction."""
        query = output.queries[:, 0]
        plans = [self._trajectory_head(query)]
        if self.config.refinements:
            ground = self.ground(output)
            for refiner in self._refiners:
                plans.append(refiner(plans[-1], query, ground))
        return plans

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` = 10 * ``trajectory_l1`` + 10 * ``agent_class`` + ``agent_box`` + 10 * ``bev_ce`` (published); plans
        before a correction share the weight with the last one."""
        trajectory = trajectory_l1(outputs["trajectory"], targets["trajectory"])
        terms = self.perception_terms(outputs, targets)
        perception = terms.pop("perception")
        every = trajectory
        if "earlier_trajectories" in outputs:
            plans = torch.cat((outputs["earlier_trajectories"], outputs["trajectory"][:, None]), dim=1)
            every = trajectory_l1(plans, targets["trajectory"][:, None])
        return {
            "loss": self.config.trajectory_weight * every + perception,
            "trajectory_l1": trajectory,
            **terms,
        }
