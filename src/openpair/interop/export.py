"""A planner as one graph without Python (torch.export): for other runtimes, and for cars."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from openpair.datasets.world.dataset import WorldDataset
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.planning.config import PlannerConfig
from openpair.planning.inputs import features_of
from openpair.planning.networks import TrainedNetworks
from openpair.planning.planner import Planner, PlanningBatch
from openpair.policies.base import ImitationPolicy

EXAMPLES_SPLIT, EXAMPLES_APART = "val", 37
"""Where examples are taken from, and every how many scenes: neighbours show the same street."""


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


def example_features(config: FeatureConfig, batch: int = 1, skip: int = 0) -> tuple[Tensor, ...]:
    """Features (B, ...) of scenes of the embedded world, in the order of ``config.inputs``, as :class:`PlannerGraph`
    takes them.

    Random numbers will not do: networks of the known track look at the pieces of road nearest to a plan, and in a
    tangle of random lines rounding decides which those are.

    Args:
        config: what the networks read.
        batch: scenes at once.
        skip: batches before this one, to have other scenes.
    """
    dataset = WorldDataset(EXAMPLES_SPLIT)
    keys = dataset.keys()
    first = skip * batch * EXAMPLES_APART
    scenes = [dataset.load_scene(keys[(first + i * EXAMPLES_APART) % len(keys)].token) for i in range(batch)]
    return tuple(features_of(dataset, scenes, config).values())


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
