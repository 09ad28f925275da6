"""The agent that NAVSIM's scripts load, driven through their interface."""

import ast
import importlib
import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from navsim_stand_ins import agent_input, install

import openpair.interop.hydra
from openpair.checkpoints import save_checkpoint
from openpair.configs.experiment import preset
from openpair.features.config import FeatureConfig
from openpair.interop import navsim_agent
from openpair.interop.navsim_agent import (
    HEADER,
    MAX_ANSWER_BYTES,
    NOW,
    OpenPairAgent,
    PlanProcess,
    checked_plan,
    inputs_of,
    read_message,
    write_message,
)
from openpair.nn.backbone import TransfuserBackboneConfig
from openpair.nn.trunk_config import TrunkConfig
from openpair.planning.networks import features_note
from openpair.policies.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from openpair.policies.transfuser import Transfuser, TransfuserConfig

YAML = Path(openpair.interop.hydra.__file__).parent / "agent" / "openpair.yaml"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    config = preset("demo")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "il" / "policy.safetensors"
    save_checkpoint(path, Transfuser(config.networks.policy), notes=features_note(config.features))
    return path.parent.parent


@pytest.mark.parametrize("version", ["v1.1", "v2.2"])
def test_it_drives_as_navsims_scripts_drive_it(checkpoint, monkeypatch, version):
    common = install(monkeypatch, version=version)
    sampling = sys.modules["nuplan.planning.simulation.trajectory.trajectory_sampling"].TrajectorySampling
    given = {} if version == "v1.1" else {"trajectory_sampling": sampling(time_horizon=4, interval_length=0.5)}
    agent = OpenPairAgent(checkpoint=str(checkpoint), **given)
    assert agent.requires_scene is False and agent.name() == "OpenPairAgent" and isinstance(agent, torch.nn.Module)
    sensors = agent.get_sensor_config()
    assert sensors.cam_f0 == sensors.cam_l0 == sensors.cam_r0 == sensors.lidar_pc == [NOW] and sensors.cam_b0 is False
    agent.initialize()
    trajectory = agent.compute_trajectory(agent_input())
    assert isinstance(trajectory, common.Trajectory)
    assert trajectory.poses.dtype == np.float32 and np.isfinite(trajectory.poses).all()
    assert (trajectory.trajectory_sampling.time_horizon, trajectory.trajectory_sampling.interval_length) == (4, 0.5)
    other = agent.compute_trajectory(agent_input(seed=1))
    assert not np.array_equal(trajectory.poses, other.poses)  # it looks at what it is given


def test_a_process_that_does_not_end_by_itself_is_killed(monkeypatch):
    process = PlanProcess.__new__(PlanProcess)
    process._process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    wait = process._process.wait

    def impatient(timeout=None):
        if timeout is not None:
            raise subprocess.TimeoutExpired("planner", timeout)
        return wait()

    monkeypatch.setattr(process._process, "wait", impatient)
    process.close()
    assert process._process.returncode == -signal.SIGKILL


def test_another_interpreters_process_plans_the_same(checkpoint):
    from openpair.interop.planner import SensorPlanner

    inputs = inputs_of(agent_input())
    process = PlanProcess(sys.executable, str(checkpoint), "il")
    try:
        np.testing.assert_array_equal(process.plan(inputs), SensorPlanner(checkpoint, "il").plan(inputs))
        with pytest.raises(RuntimeError, match="lack cam_f0"):
            process.plan({name: value for name, value in inputs.items() if name != "cam_f0"})
        assert process.plan(inputs).shape == (8, 3)
    finally:
        process.close()


def test_camera_only_networks_plan_without_point_clouds(tmp_path, monkeypatch):
    install(monkeypatch, version="v2.2")
    backbone = TransfuserBackboneConfig("resnet18", "resnet18", fusion_layers=1, latent=True)
    torch.manual_seed(0)
    policy = Transfuser(TransfuserConfig(trunk=TrunkConfig(backbone=backbone)))
    path = tmp_path / "policy.safetensors"
    save_checkpoint(path, policy, notes=features_note(FeatureConfig.published()))
    given = agent_input()
    given.lidars = [None] * 4
    plans = []
    for python in (None, sys.executable):
        agent = OpenPairAgent(str(path), openpair_python=python)
        sensors = agent.get_sensor_config()
        assert sensors.cam_f0 == sensors.cam_l0 == sensors.cam_r0 == [NOW] and sensors.lidar_pc is False
        plans.append(agent.compute_trajectory(given).poses)
    assert np.isfinite(plans[0]).all()
    np.testing.assert_array_equal(*plans)


def test_a_policy_that_draws_at_random_draws_the_same_for_the_same_sensors(tmp_path):
    from openpair.interop.planner import SensorPlanner

    config = preset("demo")
    torch.manual_seed(0)
    policy = DiffusionDrive(DiffusionDriveConfig.small(), torch.randn(20, 8, 2))
    save_checkpoint(tmp_path / "policy.safetensors", policy, notes=features_note(config.features))
    planner = SensorPlanner(tmp_path / "policy.safetensors")
    first = planner.plan(inputs_of(agent_input()))
    other = planner.plan(inputs_of(agent_input(seed=1)))
    np.testing.assert_array_equal(planner.plan(inputs_of(agent_input())), first)
    assert not np.array_equal(other, first)


def test_what_cannot_be_used_is_said(tmp_path, checkpoint):
    with pytest.raises(RuntimeError, match="no trained network"):
        PlanProcess(sys.executable, str(tmp_path), None)
    with pytest.raises(ValueError, match="requires_scene"):
        OpenPairAgent(str(checkpoint), requires_scene=True)
    agent = OpenPairAgent(str(checkpoint), mode="human_pair")
    with pytest.raises(Exception, match="needs the truth"):
        agent.initialize()


def test_what_navsim_imports_runs_on_python_3_9_without_navsim_or_openpair():
    for module in ("openpair", "openpair.interop", "openpair.interop.hydra", "openpair.interop.navsim_agent"):
        source = Path(importlib.import_module(module).__file__).read_text()
        tree = ast.parse(source, feature_version=(3, 9))
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in top if isinstance(node, ast.ImportFrom)}
        assert not any(name.startswith(("navsim", "nuplan", "openpair")) for name in names), module


def test_the_hydra_file_builds_it(checkpoint):
    values = yaml.safe_load(YAML.read_text())
    module, name = values.pop("_target_").rsplit(".", 1)
    assert getattr(importlib.import_module(module), name) is navsim_agent.OpenPairAgent
    assert values.pop("_convert_") == "all" and values.pop("checkpoint") == "???"
    sampling = values.pop("trajectory_sampling")
    assert sampling["_target_"].endswith("trajectory_sampling.TrajectorySampling") and sampling["time_horizon"] == 4
    OpenPairAgent(checkpoint=str(checkpoint), trajectory_sampling=object(), **values)


def test_messages_are_bounded_and_errors_never_pass_for_answers():
    def sent(data: bytes):
        return read_message(io.BytesIO(data))

    packed = io.BytesIO()
    write_message(packed, b"", is_error=True)
    with pytest.raises(RuntimeError, match="error without text"):
        sent(packed.getvalue())
    for length in (0, 2**62, -(2**62), MAX_ANSWER_BYTES + 1):
        with pytest.raises(RuntimeError, match="none of its own"):
            sent(HEADER.pack(length))
    with pytest.raises(RuntimeError, match="middle of a message"):
        sent(HEADER.pack(100) + b"short")


def test_a_plan_with_nan_is_an_error():
    plan = np.zeros((8, 3))
    assert checked_plan(plan) is not None
    plan[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        checked_plan(plan)
    with pytest.raises(ValueError, match="shape"):
        checked_plan(np.zeros((7, 3)))


def test_an_interpreter_that_is_not_there_is_named():
    with pytest.raises(RuntimeError, match=r"openpair_python: '/no/python' cannot be started"):
        PlanProcess("/no/python", "checkpoint", None)
