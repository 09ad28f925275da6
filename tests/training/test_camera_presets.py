"""Presets that end in _camera: networks without LiDAR train and plan, and no point cloud is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openpair.checkpoints import build_network
from openpair.configs.experiment import preset
from openpair.configs.runs import RunPlan
from openpair.configs.train import build_stores
from openpair.errors import OpenPairError
from openpair.nn.trunk_config import TransfuserBackboneConfig
from openpair.planning.inputs import see
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.training.data import DataSpec
from openpair.training.loop import run_interleaved


def test_published_camera_presets_are_the_latent_variants() -> None:
    config = preset("published_camera")
    assert config.networks.policy == TransfuserConfig.published_latent()
    for network in (config.networks.sampler, config.networks.reward_model):
        backbone = network.trunk.backbone  # type: ignore[attr-defined]
        assert isinstance(backbone, TransfuserBackboneConfig) and backbone.latent
    assert "lidar_feature" not in config.features.inputs
    assert preset("published_diffusiondrive_rwm_camera").networks.reward_model.backbone.latent  # type: ignore[attr-defined]


def test_a_network_of_the_truth_has_no_camera_variant() -> None:
    with pytest.raises(OpenPairError, match="no variant without LiDAR"):
        preset("demo_known").networks.policy.on_cameras()


def test_all_three_networks_train_without_a_point_cloud(tmp_path: Path) -> None:
    config = preset("quick_camera")
    config = replace(
        config,
        imitation=replace(config.imitation, steps=1, batch_size=2),
        reinforcement=replace(config.reinforcement, steps=1, batch_size=2),
        reward_model=replace(config.reward_model, steps=1, batch_size=2),
    )
    specs = {"train": DataSpec(options={"split": "train", "max_scenes": 3})}
    plan = RunPlan(config, build_stores(specs, config, tmp_path / "data", 1)["train"], None, tmp_path / "run")
    for branch in ("il", "rl", "reward"):
        run = plan.starter(branch)("cpu", lambda progress: None)
        run_interleaved([run])
        assert "lidar_feature" not in run.branch.network.reads  # type: ignore[operator]
    assert "lidar_feature" not in plan.train.open().batch(np.zeros(1, np.int64)).features
    dataset = specs["train"].open()
    seen = see(dataset, dataset.load_scene(plan.train.open().tokens[0]), config.features)
    assert seen.lidar_points is None and seen.images


def test_small_networks_take_cameras_alone() -> None:
    policy = preset("demo_camera").networks.policy
    assert "lidar_feature" not in build_network(policy.kind, policy).reads  # type: ignore[operator]
