"""A planner as one graph without Python (torch.export): for other runtimes, and for cars."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.planning.config import PlannerConfig
from openpair.planning.networks import TrainedNetworks
from openpair.planning.planner import Planner, PlanningBatch
from openpair.policies.base import ImitationPolicy

NUM_STATUS = 8


class PlannerGraph(nn.Module):
    """Policy, candidates and reward model as one module: features of B scenes -> plans (B, 8, 3), without memory.

    Args:
        networks: those that the settings need.
        config: how they plan.
        seed: of a policy that draws at random: the graph holds what it draws.

    Raises OpenPairError where a network is missing, and for a planner that needs the truth.
    """

    def __init__(self, networks: TrainedNetworks, config: PlannerConfig, seed: int = 0) -> None:
        super().__init__()
        if config.root == "human" or config.best_of:
            raise OpenPairError("this planner needs the truth, which a graph is not given", where="mode")
        self.planner = Planner(networks, config, seed=seed)
        policy = networks.policy
        assert isinstance(policy, ImitationPolicy)
        self.policy = policy.eval()
        # The graph holds the parameters of what this module names.
        self.sampler, self.reward_model = self.planner.sampler, networks.reward_model
        self.drawn = tuple(policy.draw(1, torch.Generator().manual_seed(seed)).items())

    def forward(self, camera_feature: Tensor, lidar_feature: Tensor, status_feature: Tensor) -> Tensor:
        """Features as in :class:`openpair.policies.base.ImitationPolicy` -> (B, 8, 3) x [m], y [m], heading [rad]."""
        features = {
            "camera_feature": camera_feature,
            "lidar_feature": lidar_feature,
            "status_feature": status_feature,
        }
        drawn = {name: value.expand(len(status_feature), *value.shape[1:]) for name, value in self.drawn}
        root = self.policy.plan(**features, **drawn)
        return self.planner.choose(PlanningBatch(features), root=root).plan


def example_features(config: FeatureConfig, batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Camera, LiDAR and status features of the right shapes, as :class:`PlannerGraph` takes them."""
    width, height = config.camera_size
    cells = config.lidar_cells
    return torch.rand(batch, 3, height, width), torch.rand(batch, 1, cells, cells), torch.rand(batch, NUM_STATUS)


def export_planner(
    networks: TrainedNetworks, path: Path, config: PlannerConfig, *, batch: int = 1, seed: int = 0
) -> None:
    """Write the planner's graph as ``path`` (.pt2); ``torch.export.load(path).module()`` runs it.

    Args:
        networks: those that the settings need.
        path: file to write.
        config: how they plan.
        batch: scenes at once; fixed in the graph.
        seed: of a policy that draws at random.

    Raises OpenPairError where a network is missing, for a planner that needs the truth, or for another ending of the
    file's name.
    """
    if path.suffix != ".pt2":
        raise OpenPairError("an exported planner's name ends in .pt2", where=path)
    graph = PlannerGraph(networks, config, seed).eval()
    with torch.no_grad():
        program = torch.export.export(graph, example_features(networks.features, batch))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, path)
