"""Networks with random parameters, and inputs for them: what benchmarks run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from openpair.checkpoints import NETWORKS, build_network
from openpair.datatypes.bev_grid import BevGrid
from openpair.errors import OpenPairError
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler

NUM_CANDIDATES = 16


def fresh_network(kind: str, size: str) -> torch.nn.Module | None:
    """A network with random parameters; None where a kind has no such size."""
    if kind not in NETWORKS:
        raise OpenPairError(
            f"there is no network '{kind}'", where="--networks", fix=f"choose from {', '.join(NETWORKS)}"
        )
    preset = getattr(NETWORKS[kind][1], size, None)
    return None if preset is None else build_network(kind, preset())


def example_inputs(network: torch.nn.Module, batch: int) -> dict[str, Tensor]:
    """Random inputs of the right shapes, by name."""
    config: Any = network.config
    backbone = config.trunk.backbone if hasattr(config, "trunk") else config.backbone
    grid: BevGrid = backbone.lidar_grid
    height = {1: 64, 2: 128}[backbone.stem_stride] if hasattr(backbone, "stem_stride") else 256
    inputs = {
        "camera_feature": torch.rand(batch, 3, height, 4 * height),
        "lidar_feature": torch.rand(batch, backbone.lidar_channels, grid.rows, grid.columns),
        "status_feature": torch.rand(batch, 8),
    }
    plan = torch.stack((torch.arange(1, 9) * 3.0, torch.zeros(8), torch.zeros(8)), dim=-1)
    if isinstance(network, Sampler):
        inputs["expert_feature"] = plan.expand(batch, -1, -1)
    elif isinstance(network, RewardModel):
        inputs["agent_trajectory"] = plan.expand(batch, NUM_CANDIDATES, -1, -1)
    else:
        assert isinstance(network, ImitationPolicy)
    return inputs
