"""A planner as one graph without Python (torch.export): for other runtimes, and for cars."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from openpair.datatypes.known_input import KnownConfig
from openpair.errors import OpenPairError
from openpair.features.config import CAMERA, LIDAR, NUM_STATUS, STATUS, FeatureConfig
from openpair.planning.config import PlannerConfig
from openpair.planning.networks import TrainedNetworks
from openpair.planning.planner import Planner, PlanningBatch
from openpair.policies.base import ImitationPolicy


class PlannerGraph(nn.Module):
    """A planner's networks as one module: features of B scenes -> plans (B, 8, 3), without memory.

    Attributes:
        inputs: names of the features that it takes, in that order; those of sensors that no network reads are absent.

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
        self.inputs = networks.features.inputs
        # The graph holds the parameters of what this module names.
        self.sampler, self.reward_model = self.planner.sampler, networks.reward_model
        self.corrector = networks.corrector
        self.drawn = tuple(policy.draw(1, torch.Generator().manual_seed(seed)).items())

    def forward(self, *values: Tensor) -> Tensor:
        """Features as in :class:`openpair.policies.base.ImitationPolicy`, in the order of ``inputs``
        -> (B, 8, 3) x [m], y [m], heading [rad]."""
        features = dict(zip(self.inputs, values, strict=True))
        drawn = {name: value.expand(len(values[0]), *value.shape[1:]) for name, value in self.drawn}
        root = self.policy.plan(**features, **drawn)
        return self.planner.choose(PlanningBatch(features), root=root).plan


def example_features(config: FeatureConfig, batch: int = 1) -> tuple[Tensor, ...]:
    """Features of the right shapes (B, ...), in the order of ``config.inputs``, as :class:`PlannerGraph` takes them."""
    width, height = config.camera_size
    cells = config.lidar_cells
    shapes: dict[str, tuple[int, ...]] = {CAMERA: (3, height, width), LIDAR: (1, cells, cells), STATUS: (NUM_STATUS,)}
    known = KnownConfig().stored()
    shapes |= {name: shape for name, (shape, _) in known.items()}
    flags = {name for name, (_, kind) in known.items() if kind.kind == "b"}
    values = {name: torch.rand(batch, *shapes[name]) for name in config.inputs}
    return tuple(value > 0.5 if name in flags else value for name, value in values.items())


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
