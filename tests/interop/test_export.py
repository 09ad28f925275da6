"""An exported planner plans what the planner plans."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.interop.export import PlannerGraph, example_features, export_planner
from openpair.policies.transfuser import Transfuser, TransfuserConfig
from openpair.rewards.pose_aware import PoseAwareConfig, PoseAwareRewardModel
from openpair.samplers.kinematic_tree import KinematicTree, KinematicTreeConfig
from openpair.training.networks import TrainedNetworks


@pytest.fixture(scope="module")
def networks() -> TrainedNetworks:
    torch.manual_seed(0)
    return TrainedNetworks(
        FeatureConfig.near(),
        Transfuser(TransfuserConfig.small()).eval(),
        KinematicTree(KinematicTreeConfig.small()).eval(),
        PoseAwareRewardModel(PoseAwareConfig.small()).eval(),
    )


def test_the_exported_graph_gives_the_same_plans(networks: TrainedNetworks, tmp_path: Path) -> None:
    export_planner(networks, tmp_path / "planner.pt2", batch=2)
    loaded = torch.export.load(tmp_path / "planner.pt2").module()
    torch.manual_seed(1)
    for _ in range(3):  # not the inputs that it was traced with
        features = example_features(networks.features, 2)
        with torch.no_grad():
            expected = PlannerGraph(networks)(*features)
            plans = loaded(*features)
        assert plans.shape == (2, 8, 3)
        torch.testing.assert_close(plans, expected, rtol=0, atol=1e-5)


def test_a_planner_that_is_not_whole_is_refused(networks: TrainedNetworks, tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="a policy, a sampler and a reward model"):
        export_planner(TrainedNetworks(networks.features, networks.policy), tmp_path / "planner.pt2")
    with pytest.raises(OpenPairError, match=r"ends in \.pt2"):
        export_planner(networks, tmp_path / "planner.bin")
