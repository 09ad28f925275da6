"""An exported planner plans what the planner plans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from openpair.cli.main import main
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.interop.export import PlannerGraph, example_features, export_planner
from openpair.nn.trunk_config import TransfuserBackboneConfig, TrunkConfig
from openpair.planning.config import PlannerConfig
from openpair.planning.networks import TrainedNetworks
from openpair.policies.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from openpair.policies.transfuser import Transfuser
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.rewards.pose_aware import PoseAwareRewardModel
from openpair.rewards.pose_aware_config import PoseAwareConfig
from openpair.rewards.world_model import RewardWorldModel, RewardWorldModelConfig
from openpair.samplers.kinematic_config import KinematicTreeConfig
from openpair.samplers.kinematic_tree import KinematicTree
from openpair.samplers.parallel_ir import ParallelIR, ParallelIRConfig

BLENDING = PlannerConfig(strength=0.25, temperature=0.02, root_bonus=0.01)


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
    export_planner(networks, tmp_path / "planner.pt2", BLENDING, batch=2)
    loaded = torch.export.load(tmp_path / "planner.pt2").module()
    for skip in range(1, 3):  # not the inputs that it was traced with
        features = example_features(networks.features, 2, skip)
        with torch.no_grad():
            expected = PlannerGraph(networks, BLENDING)(*features)
            plans = loaded(*features)
        assert plans.shape == (2, 8, 3)
        # [m]: graph and modules add up in other orders
        torch.testing.assert_close(plans, expected, rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_sensors_that_are_not_read_are_no_inputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = TransfuserBackboneConfig(image_encoder="resnet10t", lidar_encoder="resnet10t", latent=True)
    trunk = TrunkConfig(backbone=backbone, d_model=64, d_ffn=64, layers=1)
    networks = TrainedNetworks(
        replace(FeatureConfig.demo(), lidar=False), Transfuser(TransfuserConfig(trunk=trunk)).eval()
    )
    config = PlannerConfig(candidates="none")
    export_planner(networks, tmp_path / "planner.pt2", config)
    camera, status = example_features(networks.features)
    plans = torch.export.load(tmp_path / "planner.pt2").module()(camera, status)
    torch.testing.assert_close(plans, PlannerGraph(networks, config)(camera, status), rtol=0, atol=1e-5)


def test_a_planner_that_is_not_whole_is_refused(networks: TrainedNetworks, tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="lacks a sampler and a reward model"):
        export_planner(TrainedNetworks(networks.features, networks.policy), tmp_path / "planner.pt2", BLENDING)
    with pytest.raises(OpenPairError, match=r"ends in \.pt2"):
        export_planner(networks, tmp_path / "planner.bin", BLENDING)
    for needs_truth in (PlannerConfig(root="human"), PlannerConfig(best_of=6)):
        with pytest.raises(OpenPairError, match="needs the truth"):
            export_planner(networks, tmp_path / "planner.pt2", needs_truth)


def test_a_run_folder_is_exported_by_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The networks of the package, without tree and corrector, which take longer to trace."""
    with pytest.raises(SystemExit) as finished:
        main(["export", "--run-folder", "pretrained", "--mode", "il_rwm", "--out", str(tmp_path / "planner.pt2")])
    said = capsys.readouterr()
    assert finished.value.code == 0 and (tmp_path / "planner.pt2").is_file(), said.err
    assert "'il_rwm', 1 scene(s) at once, plans within" in said.out and "known_lanes" in said.out
    with pytest.raises(SystemExit) as finished:
        main(["export", "--out", str(tmp_path / "other.pt2")])
    assert finished.value.code == 2 and "--base, --tree and --rwm" in capsys.readouterr().err


@torch.no_grad()
def test_a_released_pipeline_is_one_graph_too(tmp_path: Path) -> None:
    """The published networks' code, thinner and with a small encoder; full size differs in numbers alone."""
    backbone = TransfuserBackboneConfig(image_encoder="resnet10t", lidar_encoder="resnet10t", fusion_layers=1)
    trunk = TrunkConfig(backbone=backbone, d_model=64, d_ffn=64, layers=1)
    torch.manual_seed(0)
    networks = TrainedNetworks(
        FeatureConfig.published(),
        DiffusionDrive(DiffusionDriveConfig(trunk=trunk, d_ffn=64), torch.randn(20, 8, 2)).eval(),
        ParallelIR(ParallelIRConfig(trunk=trunk, layers=1, d_ffn=64, head_hidden=32)).eval(),
        RewardWorldModel(RewardWorldModelConfig(backbone=backbone, d_model=64, d_ffn=64, layers=1)).eval(),
    )
    export_planner(networks, tmp_path / "planner.pt2", PlannerConfig())
    features = example_features(networks.features)
    plans = torch.export.load(tmp_path / "planner.pt2").module()(*features)
    torch.testing.assert_close(plans, PlannerGraph(networks, PlannerConfig())(*features), rtol=0, atol=1e-4)
