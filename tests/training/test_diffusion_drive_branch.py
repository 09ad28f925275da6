"""DiffusionDrive in the imitation branch: anchors from the data, reproducible draws, a few steps on the world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from openpair.checkpoints import from_plain, load_checkpoint, to_plain
from openpair.cli.main import main
from openpair.configs.experiment import ExperimentConfig, preset
from openpair.configs.runs import RunPlan, start_imitation
from openpair.datasets.registry import open_dataset
from openpair.errors import OpenPairError
from openpair.planning.scene_planner import load_planner
from openpair.policies.anchors import fit_anchors, read_anchors
from openpair.policies.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from openpair.training.data import DataSpec, StoreLocation, build_training_data
from openpair.training.loop import run_interleaved

SCENES = 24


@pytest.fixture(scope="module")
def config() -> ExperimentConfig:
    config = preset("quick_diffusiondrive")
    return replace(config, imitation=replace(config.imitation, steps=6), loop=replace(config.loop, save_every=3))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, config: ExperimentConfig) -> StoreLocation:
    spec = DataSpec(options={"split": "train", "max_scenes": SCENES})
    return build_training_data(spec, tmp_path_factory.mktemp("data"), config.features, config.protocol, workers=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, config: ExperimentConfig, stores: StoreLocation) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_interleaved([start_imitation(RunPlan(config, stores, None, folder), "cpu", lambda progress: None)])
    return folder


def test_it_trains_on_anchors_of_its_own_data_and_plans(trained: Path, stores: StoreLocation) -> None:
    policy, _ = load_checkpoint(trained / "il" / "policy.safetensors", "diffusiondrive")
    assert isinstance(policy, DiffusionDrive)
    expected = fit_anchors(stores.open().human_plans(), 20, seed=0)
    assert torch.equal(policy.state_dict()["_trajectory_head.plan_anchor"], expected)
    dataset = open_dataset("world", split="test", max_scenes=2)
    scenes = [dataset.load_scene(key.token) for key in dataset.keys()]
    planner = load_planner(trained, mode="il", dataset=dataset, name="il", seed=1)
    together = planner.plan_batch(scenes)
    alone = np.stack([planner.plan(scene) for scene in scenes])
    np.testing.assert_allclose(together, alone, atol=1e-4)  # what a scene draws does not depend on its neighbours


def test_an_interrupted_run_ends_with_the_same_weights(
    trained: Path, config: ExperimentConfig, stores: StoreLocation, tmp_path: Path
) -> None:
    class Interrupted(Exception):
        pass

    def stop(progress: object) -> None:
        if getattr(progress, "step", 0) >= 4:
            raise Interrupted

    torch.manual_seed(99)  # the draws come from the branch's own generator, which is saved with it
    with pytest.raises(Interrupted):
        run_interleaved([start_imitation(RunPlan(config, stores, None, tmp_path), "cpu", stop)])
    torch.manual_seed(7)
    run_interleaved([start_imitation(RunPlan(config, stores, None, tmp_path), "cpu", lambda progress: None)])
    name = Path("il") / "policy.safetensors"
    assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_anchors_are_fitted_by_a_command_and_taken_up(
    tmp_path: Path, config: ExperimentConfig, stores: StoreLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "anchors.npy"
    with pytest.raises(SystemExit) as finished:
        main(["fit-anchors", "--out", str(file), "--count", "5", "--max-scenes", "40"])
    assert not finished.value.code
    assert "5 anchors of 40 plans" in capsys.readouterr().out
    anchors = read_anchors(file)
    assert anchors.shape == (5, 8, 2)
    assert (anchors[:, -1].norm(dim=-1).diff() >= 0).all()
    with pytest.raises(OpenPairError, match="holds 5 anchors, the policy has 20 modes"):
        start_imitation(RunPlan(config, stores, None, tmp_path, file), "cpu", lambda progress: None)


def test_anchor_files_with_a_fault_are_refused(tmp_path: Path) -> None:
    for content in (np.zeros((5, 8, 3)), np.full((5, 8, 2), np.nan), np.zeros((5, 8, 2), np.int64)):
        np.save(tmp_path / "a.npy", content)
        with pytest.raises(OpenPairError, match="does not hold anchors"):
            read_anchors(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(b"nothing")
    with pytest.raises(OpenPairError, match="the file of anchors cannot be read"):
        read_anchors(tmp_path / "a.npy")


@pytest.fixture
def small_policy() -> Iterator[DiffusionDrive]:
    torch.manual_seed(0)
    yield DiffusionDrive(DiffusionDriveConfig.small(), torch.randn(20, 8, 2) * 5)


def test_draws_are_all_the_randomness_there_is(small_policy: DiffusionDrive) -> None:
    features = {
        "camera_feature": torch.rand(2, 3, 64, 256),
        "lidar_feature": torch.rand(2, 1, 128, 128),
        "status_feature": torch.rand(2, 8),
    }
    for training in (False, True):
        small_policy.train(training)
        outputs = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            drawn = small_policy.draw(2, torch.Generator().manual_seed(5))
            assert ("timesteps" in drawn) == training
            outputs.append(small_policy(**features, **drawn)["trajectory"])
        assert torch.equal(*outputs)


@pytest.mark.parametrize("name", ["quick_diffusiondrive", "published_diffusiondrive"])
def test_the_settings_survive_json(name: str) -> None:
    config = preset(name)
    assert from_plain(ExperimentConfig, to_plain(config)) == config
    assert isinstance(config.networks.policy, DiffusionDriveConfig)
