"""A planner as one graph without Python (torch.export): for other runtimes, and for cars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.planning.networks import TrainedNetworks
from openpair.planning.planner import choose
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler

NUM_STATUS = 8


class PlannerGraph(nn.Module):
    """Policy, tree and reward model as one module: features of B scenes -> plans (B, 8, 3).

    Args:
        networks: a policy, a sampler and a reward model.
        seed: of a policy that draws at random: the graph holds what it draws.

    Raises OpenPairError where a network is missing.
    """

    def __init__(self, networks: TrainedNetworks, seed: int = 0) -> None:
        super().__init__()
        policy, sampler, reward_model = networks.policy, networks.sampler, networks.reward_model
        if not isinstance(policy, ImitationPolicy) or sampler is None or reward_model is None:
            raise OpenPairError("a planner needs a policy, a sampler and a reward model", where="networks")
        self.policy, self.sampler, self.reward_model = policy.eval(), sampler.eval(), reward_model.eval()
        self.drawn = tuple(policy.draw(1, torch.Generator().manual_seed(seed)).items())

    def forward(self, camera_feature: Tensor, lidar_feature: Tensor, status_feature: Tensor) -> Tensor:
        """Features as in :class:`openpair.policies.base.ImitationPolicy` -> (B, 8, 3) x [m], y [m], heading [rad]."""
        features = {
            "camera_feature": camera_feature,
            "lidar_feature": lidar_feature,
            "status_feature": status_feature,
        }
        sampler, reward_model = self.sampler, self.reward_model
        assert isinstance(sampler, Sampler) and isinstance(reward_model, RewardModel)
        assert isinstance(self.policy, ImitationPolicy)
        drawn = {name: value.expand(len(status_feature), *value.shape[1:]) for name, value in self.drawn}
        root = self.policy.plan(**features, **drawn)

        def leaves(seen: Mapping[str, Tensor], around: Tensor) -> Tensor:
            return sampler.expand(sampler.encode(seen, perceive=False), around).leaves[:, 0]

        return choose(features, root, leaves, reward_model).plan


def example_features(config: FeatureConfig, batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Camera, LiDAR and status features of the right shapes, as :class:`PlannerGraph` takes them."""
    width, height = config.camera_size
    cells = config.lidar_cells
    return torch.rand(batch, 3, height, width), torch.rand(batch, 1, cells, cells), torch.rand(batch, NUM_STATUS)


def export_planner(networks: TrainedNetworks, path: Path, *, batch: int = 1, seed: int = 0) -> None:
    """Write the planner's graph as ``path`` (.pt2); ``torch.export.load(path).module()`` runs it.

    Args:
        networks: a policy, a sampler and a reward model.
        path: file to write.
        batch: scenes at once; fixed in the graph.
        seed: of a policy that draws at random.

    Raises OpenPairError where a network is missing, or for another ending of the file's name.
    """
    if path.suffix != ".pt2":
        raise OpenPairError("an exported planner's name ends in .pt2", where=path)
    graph = PlannerGraph(networks, seed).eval()
    with torch.no_grad():
        program = torch.export.export(graph, example_features(networks.features, batch))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, path)
