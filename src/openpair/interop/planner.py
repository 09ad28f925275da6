"""Planning from sensors alone: what a car, or another evaluator, can hand over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import SceneKey
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S
from openpair.datatypes.ego import EgoState
from openpair.datatypes.front_view import FRONT_CAMERAS
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Frame, Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.planning.changes import NO_CHANGES, PlannerChanges
from openpair.planning.network_files import NetworkFiles, planner_of
from openpair.planning.networks import load_networks
from openpair.planning.scene_planner import load_planner


class SensorPlanner:
    """A trained planner that is handed sensors instead of scenes. It has no memory: frames come one by one.

    Attributes:
        reads: names of the sensors that its networks read, of cam_l0, cam_f0, cam_r0 and lidar.

    Args:
        checkpoint: run folder, or a policy's checkpoint file.
        mode: as of :data:`openpair.planning.config.MODES`; None = the stored one where all networks are there.
        changes: to the settings that are stored beside the networks.

    Raises OpenPairError for a checkpoint that cannot be used, for a mode that needs the truth and for networks that
    read it.
    """

    def __init__(self, checkpoint: str | Path, mode: str | None = None, changes: PlannerChanges = NO_CHANGES) -> None:
        files = NetworkFiles.find(Path(checkpoint))
        chosen, config = planner_of(files, mode, changes, where=checkpoint)
        if config.root == "human" or config.best_of:
            raise OpenPairError(f"mode '{chosen}' needs the truth, which a driving car does not know", where="mode")
        features = load_networks(replace(files, planner=None)).features
        if features.known:
            raise OpenPairError("these networks read the truth, which a driving car does not know", where=checkpoint)
        self.reads = (*(FRONT_CAMERAS if features.cameras else ()), *(("lidar",) if features.lidar else ()))
        self._sensors = _GivenSensors()
        self._planner = load_planner(files, mode=chosen, changes=changes, dataset=self._sensors, name="sensors")
        self._count = 0

    def plan(self, inputs: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """(8, 3) x [m], y [m], heading [rad], ego rear-axle frame.

        Args:
            inputs: cam_l0, cam_f0, cam_r0 (H, W, 3) uint8 RGB and lidar (P, 3) x, y, z [m], as far as they are read;
                driving_command (4,); velocity (2,) [m/s] and acceleration (2,) [m/s^2], ego axes.

        Raises OpenPairError for sensors that are missing or malformed.
        """
        missing = [name for name in (*self.reads, *_STATUS) if name not in inputs]
        if missing:
            raise OpenPairError(f"the inputs lack {', '.join(missing)}", where="sensors")
        self._count += 1
        images = {name: np.asarray(inputs[name]) for name in FRONT_CAMERAS if name in self.reads}
        lidar = np.asarray(inputs["lidar"], np.float32) if "lidar" in self.reads else None
        self._sensors.frame = SensorFrame(images or None, lidar)
        ego = EgoState(0, np.zeros(3), np.asarray(inputs["velocity"]), np.asarray(inputs["acceleration"]))
        command = np.asarray(inputs["driving_command"], np.int64)
        frame = Frame(f"sensors{self._count}", ego, Agents.empty(), (), (), command, {})
        return self._planner.plan(Scene("sensors", "", _NOWHERE, (frame,), current_index=0))


def constant_velocity(inputs: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """(8, 3) plan straight ahead at the present speed, for inputs as of :class:`SensorPlanner`."""
    speed = float(np.hypot(*np.asarray(inputs["velocity"], np.float64)))
    plan = np.zeros((NUM_POSES, 3))
    plan[:, 0] = POSE_INTERVAL_S * speed * np.arange(1, NUM_POSES + 1)
    return plan


_STATUS = ("driving_command", "velocity", "acceleration")
_NOWHERE = RoadMap("", {}, {})


class _GivenSensors:
    """The part of a dataset that planners use."""

    name = "sensors"
    ray_cast = False
    frame = SensorFrame(None, None)

    def keys(self) -> Sequence[SceneKey]:
        return ()

    def fingerprint(self) -> str:
        return ""

    def load_scene(self, token: str) -> Scene:
        raise OpenPairError("there are no scenes, only sensors", where=token)

    def predecessor(self, token: str) -> None:
        return None

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        return self.frame
