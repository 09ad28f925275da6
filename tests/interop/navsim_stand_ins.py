"""Small classes under NAVSIM's and nuPlan's module names, with the fields that their interfaces document."""

import sys
import types
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np


def install(monkeypatch, *, version: str) -> types.ModuleType:
    """Put them into sys.modules for one test; returns ``navsim.common.dataclasses``."""

    @dataclass(frozen=True)
    class TrajectorySampling:
        num_poses: int | None = None
        time_horizon: float | None = None
        interval_length: float | None = None

        def __post_init__(self) -> None:
            if self.num_poses is None:
                object.__setattr__(self, "num_poses", int(self.time_horizon / self.interval_length))

    @dataclass
    class Trajectory:
        poses: np.ndarray
        trajectory_sampling: Any = field(default_factory=lambda: TrajectorySampling(None, 4, 0.5))

        def __post_init__(self) -> None:
            assert self.poses.ndim == 2 and self.poses.shape == (self.trajectory_sampling.num_poses, 3)

    names = ("cam_f0", "cam_l0", "cam_l1", "cam_l2", "cam_r0", "cam_r1", "cam_r2", "cam_b0", "lidar_pc")
    sensor_config = types.new_class("SensorConfig")
    sensor_config.__annotations__ = dict.fromkeys(names, Any)
    sensor_config = dataclass(sensor_config)

    sampling_module = "nuplan.planning.simulation.trajectory.trajectory_sampling"
    for module in ("navsim.common.dataclasses", sampling_module):
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    common = sys.modules["navsim.common.dataclasses"]
    for module, made in (
        (common, Trajectory),
        (common, sensor_config),
        (sys.modules[sampling_module], TrajectorySampling),
    ):
        made.__module__, made.__qualname__ = module.__name__, made.__name__
        setattr(module, made.__name__, made)
    assert [f.name for f in fields(sensor_config)] == list(names)
    return common


@dataclass
class Camera:
    image: np.ndarray


@dataclass
class Cameras:
    cam_f0: Camera
    cam_l0: Camera
    cam_r0: Camera


@dataclass
class Lidar:
    lidar_pc: np.ndarray


@dataclass
class EgoStatus:
    ego_pose: np.ndarray
    ego_velocity: np.ndarray
    ego_acceleration: np.ndarray
    driving_command: np.ndarray


@dataclass
class AgentInput:
    ego_statuses: list
    cameras: list
    lidars: list


def agent_input(seed: int = 0) -> AgentInput:
    """Four frames of which only the last has sensors, as NAVSIM loads them for this agent."""
    rng = np.random.default_rng(seed)
    cameras = Cameras(*(Camera(rng.integers(0, 255, (1080, 1920, 3), dtype=np.uint8)) for _ in range(3)))
    points = np.concatenate([rng.uniform(-30, 30, (2, 500)), rng.uniform(0, 3, (1, 500)), np.zeros((3, 500))])
    statuses = [
        EgoStatus(np.zeros(3), np.array([5.0 + i, 0.0]), np.array([0.1, 0.0]), np.array([0, 1, 0, 0])) for i in range(4)
    ]
    return AgentInput(statuses, [None, None, None, cameras], [None, None, None, Lidar(points.astype(np.float32))])
