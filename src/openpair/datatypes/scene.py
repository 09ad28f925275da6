"""A scene: 14 frames of a log around the current one, with its map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import NUM_POSES
from openpair.datatypes.ego import EgoState
from openpair.datatypes.road_map import RoadMap
from openpair.errors import OpenPairError
from openpair.geometry.poses import global_to_local


@dataclass(frozen=True)
class Camera:
    """One camera of the rig.

    Attributes:
        name: "cam_f0", "cam_l0", "cam_r0" ...
        image_path: file of the recorded image, None where the image is ray-cast.
        rotation: (3, 3) sensor to ego; columns are the optical axes right, down, forward in ego axes.
        translation: (3,) sensor origin [m], ego rear-axle frame (z up from the ground).
        intrinsics: (3, 3) pinhole matrix [px] at the recorded size.
        size: (width, height) [px].
        distortion: (5,) as recorded.
    """

    name: str
    image_path: str | None
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    size: tuple[int, int] = (1920, 1080)
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Frame:
    """One time step of a log (2 Hz).

    Attributes:
        token: 16 hex characters.
        ego: the ego state.
        agents: the other road users, global frame.
        traffic_lights: (lane connector id, is red) of every light seen.
        route_roadblock_ids: the given route, roadblocks and connectors alternating.
        driving_command: (4,) one-hot int64, :class:`~openpair.datatypes.columns.DrivingCommand`.
        cameras: calibration and image file by camera name; empty where sensors are ray-cast.
        lidar_path: file of the recorded point cloud, or None.
    """

    token: str
    ego: EgoState
    agents: Agents
    traffic_lights: tuple[tuple[str, bool], ...]
    route_roadblock_ids: tuple[str, ...]
    driving_command: NDArray[np.int64]
    cameras: dict[str, Camera]
    lidar_path: str | None = None


@dataclass(frozen=True)
class Scene:
    """Frames [i-3 .. i+10] of a log; its token is that of the current frame i.

    Attributes:
        dataset: "navsim", "argoverse2" or "world".
        log_name: name of the log it was cut from.
        road_map: the town.
        frames: history (4, the current frame last) and future (10).
        current_index: position of the current frame in ``frames``.
        original_token: for a synthetic second-stage scene, token of the recorded scene it goes on from; else None.
    """

    dataset: str
    log_name: str
    road_map: RoadMap
    frames: tuple[Frame, ...]
    current_index: int = 3
    original_token: str | None = None

    @property
    def token(self) -> str:
        return self.current.token

    @property
    def is_synthetic(self) -> bool:
        """True for second-stage scenes: their ego has no recorded future."""
        return self.original_token is not None

    @property
    def current(self) -> Frame:
        return self.frames[self.current_index]

    @property
    def history(self) -> tuple[Frame, ...]:
        """Frames up to and including the current one, oldest first."""
        return self.frames[: self.current_index + 1]

    @property
    def future(self) -> tuple[Frame, ...]:
        return self.frames[self.current_index + 1 :]

    def human_trajectory(self) -> NDArray[np.float64]:
        """(8, 3) x [m], y [m], heading [rad] of the human's next 4 s, ego rear-axle frame of the current frame.

        Raises OpenPairError where fewer frames are recorded.
        """
        if len(self.future) < NUM_POSES:
            raise OpenPairError(
                f"the scene has {len(self.future)} frames after the current one, a human plan needs {NUM_POSES}",
                where=self.token,
                fix="Choose scenes that do not end with their log",
            )
        poses = np.stack([frame.ego.pose for frame in self.future[:NUM_POSES]])
        return global_to_local(poses, self.current.ego.pose)


@dataclass(frozen=True)
class SensorFrame:
    """What the ego's sensors see at the current frame.

    Attributes:
        images: (H, W, 3) uint8 RGB by camera name; None where cameras were not asked for.
        lidar_points: (P, 3) float32 x, y, z [m], ego rear-axle frame, z up from the ground; None likewise.
        depth: (H, W) float32 [m] along the optical axis by camera name, where asked for.
    """

    images: dict[str, NDArray[np.uint8]] | None
    lidar_points: NDArray[np.float32] | None
    depth: dict[str, NDArray[np.float32]] | None = None
