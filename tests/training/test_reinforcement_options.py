"""Options of the RL branch: which advantage, which sampler, how many leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from openpair.configs.experiment import PoolConfig, preset
from openpair.configs.runs import proposer
from openpair.errors import OpenPairError
from openpair.rewards.exact import ExactReward, ExactScores
from openpair.rl.advantages import ESTIMATORS
from openpair.rl.tree_advantages import NODE_ESTIMATORS
from openpair.samplers.base import Sampler
from openpair.samplers.flat import FlatSampler
from openpair.samplers.flat_config import FlatSamplerConfig
from openpair.samplers.kinematic_config import (
    CODES_OF_GROUP_SIZE,
    SIDE_AND_SPEED_CODES,
    KinematicTreeConfig,
    codes_of_group_size,
)
from openpair.samplers.kinematic_tree import KinematicTree
from openpair.training.batch import SceneBatch
from openpair.training.config import ReinforcementConfig
from openpair.training.reinforcement import ReinforcementBranch

HUMAN = torch.stack((torch.arange(1, 9) * 4.0, torch.zeros(8), torch.zeros(8)), dim=-1)
SETTINGS = ReinforcementConfig(steps=2, batch_size=2, trees_per_scene=2, perception_weight=0.0)


class TwoScenes:
    """Two scenes of noise in which the human drives straight on."""

    tokens = ("a", "b")

    def batch(self, indices: NDArray[np.int64]) -> SceneBatch:
        generator = torch.Generator().manual_seed(0)
        features = {
            "camera_feature": torch.rand(2, 3, 64, 256, generator=generator),
            "lidar_feature": torch.rand(2, 1, 128, 128, generator=generator),
            "status_feature": torch.rand(2, 8, generator=generator),
        }
        targets = {
            "trajectory": HUMAN.expand(2, 8, 3),
            "agent_states": torch.zeros(2, 30, 5),
            "agent_labels": torch.zeros(2, 30, dtype=torch.bool),
            "bev_semantic_map": torch.zeros(2, 128, 128, dtype=torch.long),
        }
        rows = torch.as_tensor(indices)
        return SceneBatch(
            tuple(self.tokens[i] for i in indices),
            {name: value[rows] for name, value in features.items()},
            {name: value[rows] for name, value in targets.items()},
        )


class FartherIsBetter(ExactReward):
    """Scores a plan by how far it gets: 0 at the origin, 1 at 40 m."""

    def __init__(self) -> None:
        super().__init__(lambda token: pytest.fail("no scene is asked for"))

    def score(self, tokens: Sequence[str], candidates: Tensor, previous: object = None) -> ExactScores:
        return ExactScores((candidates[..., -1, 0] / 40).clamp(0, 1), torch.full((*candidates.shape[:1], 9, 1), 1.0))


def branch_with(config: ReinforcementConfig, sampler: Sampler | None = None) -> ReinforcementBranch:
    torch.manual_seed(0)
    network = sampler or KinematicTree(replace(KinematicTreeConfig.small(), aux_perception=False))
    return ReinforcementBranch(
        network, config, TwoScenes(), None, reward=FartherIsBetter(), seed=0, save=lambda *_: None
    )


@pytest.mark.parametrize("name", [*ESTIMATORS, *NODE_ESTIMATORS])
def test_every_estimator_moves_the_tree(name: str) -> None:
    branch = branch_with(replace(SETTINGS, advantage=name, per_code_weight=0.5))
    before = {key: value.clone() for key, value in branch.network.state_dict().items()}
    figures = branch.step(0)
    assert all(np.isfinite(float(value)) for value in figures.values())
    changed = [key for key, value in branch.network.state_dict().items() if not torch.equal(value, before[key])]
    assert any(key.startswith("action_heads") for key in changed)


@pytest.mark.parametrize("whole", [False, True])
def test_a_sampler_without_a_tree_trains_like_one_with(whole: bool) -> None:
    config = replace(FlatSamplerConfig.small(), aux_perception=False)
    branch = branch_with(SETTINGS, FlatSampler(config.whole() if whole else config))
    figures = branch.step(0)
    assert all(np.isfinite(float(value)) for value in figures.values())
    assert figures["best_leaf_score"] > figures["leaf_score"]


def test_smaller_groups_are_parts_of_larger_ones_and_keep_their_spread() -> None:
    assert codes_of_group_size(15) == SIDE_AND_SPEED_CODES
    sizes = sorted(CODES_OF_GROUP_SIZE, reverse=True)
    for larger, smaller in pairwise(sizes):
        codes = codes_of_group_size(smaller)
        assert len(set(codes)) == smaller
        assert set(codes) < set(codes_of_group_size(larger))
        mirrored = {code.translate(str.maketrans("02", "20")) for code in codes}
        assert mirrored == set(codes)
        assert {"1111", "3333"} <= set(codes)
    with pytest.raises(OpenPairError, match="no set of 7 leaves"):
        codes_of_group_size(7)


def test_presets_choose_the_set_of_leaves() -> None:
    small = preset("demo_diffusiondrive_group_9_rwm").networks.sampler
    assert isinstance(small, KinematicTreeConfig) and small.codes == codes_of_group_size(9)
    assert small.trunk == preset("demo").networks.sampler.trunk
    assert preset("demo_no_tree_offsets").networks.sampler == FlatSamplerConfig.small()
    assert preset("demo_no_tree_whole").networks.sampler == FlatSamplerConfig.small().whole()
    assert preset("published_no_tree_offsets").networks.sampler == FlatSamplerConfig.published()


def test_all_sets_of_a_pool_are_as_large_as_the_trees() -> None:
    config = replace(KinematicTreeConfig.small(), codes=codes_of_group_size(5))
    propose = proposer(PoolConfig(tree_sets=1, mild_sets=1, wide_sets=1), KinematicTree(config).eval(), "cpu")
    with torch.no_grad():
        sets = propose(TwoScenes().batch(np.array([0, 1])), torch.Generator().manual_seed(0))
    assert sets.shape == (2, 3, 6, 8, 3)


@pytest.mark.parametrize("size", [12, 9, 5])
def test_a_smaller_group_goes_as_far_as_the_whole_one(size: int) -> None:
    """Ablations differ in their leaves alone."""
    whole, smaller = preset("demo").networks.sampler, preset(f"demo_group_{size}").networks.sampler
    assert isinstance(whole, KinematicTreeConfig) and isinstance(smaller, KinematicTreeConfig)
    assert smaller == replace(whole, codes=codes_of_group_size(size))
