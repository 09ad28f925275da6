"""Frames -> NAVSIM log pickle, in the form that the original's readers (Python 3.9, numpy 1) accept."""

from __future__ import annotations

import hashlib
import math
import pickle
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.navsim.logs import CAMERA_KEYS, yaw_of_quaternion
from openpair.datasets.navsim.maps import LOCATIONS
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.scene import Camera, Frame
from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.geometry.poses import wrap_angle
from openpair.sensors.rig import optical_rotation, standard_cameras

_TOKEN: Final = re.compile(r"[0-9a-f]{16}")
_FURTHER_MOUNTS: Final = {
    "cam_l1": ((1.1, 0.5, 1.55), 110.0),
    "cam_l2": ((0.2, 0.5, 1.55), 150.0),
    "cam_r1": ((1.1, -0.5, 1.55), -110.0),
    "cam_r2": ((0.2, -0.5, 1.55), -150.0),
    "cam_b0": ((-0.5, 0.0, 1.6), 180.0),
}
"""Position [m] and yaw [deg] of the cameras that NAVSIM's logs list beside the three of the standard rig."""


def standard_navsim_cameras() -> dict[str, Camera]:
    """All eight cameras of a log without calibrations of its own."""
    front = standard_cameras()
    model = front["cam_f0"]
    further = {
        name: Camera(name, None, optical_rotation(math.radians(yaw)), np.array(position), model.intrinsics, model.size)
        for name, (position, yaw) in _FURTHER_MOUNTS.items()
    }
    return {key.lower(): {**front, **further}[key.lower()] for key in CAMERA_KEYS}


def write_log(path: Path, frames: Sequence[Frame], *, map_location: str, vehicle_name: str = "veh-00") -> None:
    """Write frames of one drive as a NAVSIM log. The file appears whole or not at all.

    Args:
        path: ``<split>/<log name>.pkl``; the stem becomes the log's name.
        frames: 2 Hz frames in time order. Their sensor paths are reduced to ``<log>/<sensor>/<file>``; where a frame
            has none, the path names the file that ``openpair world materialise`` would write.
        map_location: one of the four names that NAVSIM knows.
        vehicle_name: recorded in every frame.

    Raises:
        OpenPairError: the frames cannot be expressed in the format.
    """
    _check(path, frames, map_location)
    rows = log_rows(path.stem, frames, map_location=map_location, vehicle_name=vehicle_name)
    write_atomically(path, dumps_for_numpy_1(rows))


def dumps_for_numpy_1(content: object) -> bytes:
    """A pickle of builtins and numpy arrays that Python 3.9 with numpy 1 reads.

    numpy 2 pickles name its new module ``numpy._core``. Written with protocol 3, whose names stand in plain lines, they
    are changed to ``numpy.core``, which both versions know; then the header says 4, as in NAVSIM's own files (each
    protocol's opcodes contain those of the one before).
    """
    data = pickle.dumps(content, protocol=3).replace(b"cnumpy._core.", b"cnumpy.core.")
    return b"\x80\x04" + data[2:]


def log_rows(
    log_name: str, frames: Sequence[Frame], *, map_location: str, vehicle_name: str = "veh-00"
) -> list[dict[str, Any]]:
    """The rows of a log pickle: one dictionary per frame, with every key that NAVSIM's files have."""
    log_token, scene_token = _token_of(log_name, "log"), _token_of(log_name, "scene")
    standard = standard_navsim_cameras()
    rows = []
    for index, frame in enumerate(frames):
        x, y, heading = (float(value) for value in frame.ego.pose)
        rotation = np.array([math.cos(heading / 2), 0.0, 0.0, math.sin(heading / 2)])
        yaw = yaw_of_quaternion(rotation)  # as it will be read, so that boxes return to where they are
        to_global = np.eye(4)
        to_global[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
        to_global[:2, 3] = x, y
        dynamics = [float(value) for value in (*frame.ego.velocity, *frame.ego.acceleration)]
        rows.append(
            {
                "token": frame.token,
                "frame_idx": index,
                "timestamp": int(frame.ego.timestamp_us),
                "log_name": log_name,
                "log_token": log_token,
                "scene_name": f"{log_name}-scene-0000",
                "scene_token": scene_token,
                "map_location": map_location,
                "roadblock_ids": list(frame.route_roadblock_ids),
                "vehicle_name": vehicle_name,
                "can_bus": _can_bus(x, y, rotation, dynamics),
                "lidar_path": _relative(frame.lidar_path, log_name, "MergedPointCloud", f"{frame.token}.pcd"),
                "lidar2ego_translation": np.zeros(3),
                "lidar2ego_rotation": [1.0, 0.0, 0.0, 0.0],
                "ego2global_translation": np.array([x, y, 0.0]),
                "ego2global_rotation": rotation,
                "ego_dynamic_state": dynamics,
                "traffic_lights": [(int(connector), bool(red)) for connector, red in frame.traffic_lights],
                "driving_command": np.array(frame.driving_command, dtype=np.int64),
                "cams": {
                    key: _camera_row(key, frame.cameras.get(key.lower(), standard[key.lower()]), log_name, frame.token)
                    for key in CAMERA_KEYS
                },
                "sample_prev": frames[index - 1].token if index else None,
                "sample_next": frames[index + 1].token if index + 1 < len(frames) else None,
                "ego2global": to_global,
                "lidar2ego": np.eye(4),
                "lidar2global": to_global.copy(),
                "anns": _annotations(frame.agents, np.array([x, y, yaw])),
            }
        )
    return rows


def _annotations(agents: Agents, ego_pose: NDArray[np.float64]) -> dict[str, Any]:
    """Boxes and velocities in the ego's 2D frame: the inverse of what the reader does."""
    cos, sin = np.cos(ego_pose[2]), np.sin(ego_pose[2])
    dx, dy = agents.box[:, 0] - ego_pose[0], agents.box[:, 1] - ego_pose[1]
    vx, vy = agents.velocity[:, 0], agents.velocity[:, 1]
    yaw = wrap_angle(agents.box[:, 2] - ego_pose[2])
    boxes = np.column_stack([dx * cos + dy * sin, -dx * sin + dy * cos, agents.center_z, agents.box[:, 3:6], yaw])
    velocity = np.column_stack([vx * cos + vy * sin, -vx * sin + vy * cos, np.zeros(len(agents))])
    return {
        "gt_boxes": boxes.astype(np.float64),
        "gt_names": np.array([AgentCategory(int(kind)).navsim_name for kind in agents.category], dtype=np.str_),
        "gt_velocity_3d": velocity.astype(np.float64),
        "instance_tokens": [_token_of(token, "instance") for token in agents.track_tokens],
        "track_tokens": list(agents.track_tokens),
    }


def _camera_row(key: str, camera: Camera, log_name: str, token: str) -> dict[str, Any]:
    return {
        "data_path": _relative(camera.image_path, log_name, key, f"{token}.jpg"),
        "sensor2lidar_rotation": np.array(camera.rotation, dtype=np.float64),
        "sensor2lidar_translation": np.array(camera.translation, dtype=np.float64),
        "cam_intrinsic": np.array(camera.intrinsics, dtype=np.float64),
        "distortion": np.array(camera.distortion, dtype=np.float64),
    }


def _can_bus(x: float, y: float, rotation: NDArray[np.float64], dynamics: list[float]) -> NDArray[np.float64]:
    """(18,) position, rotation (w, x, y, z), acceleration, rotation rate, velocity, yaw [rad] and [deg] (0 here)."""
    vx, vy, ax, ay = dynamics
    return np.array([x, y, 0.0, *rotation, ax, ay, 0.0, 0.0, 0.0, 0.0, vx, vy, 0.0, 0.0, 0.0])


def _relative(path: str | None, log_name: str, sensor: str, file_name: str) -> str:
    """``<log>/<sensor>/<file>``, slashes whatever the system."""
    return f"{log_name}/{sensor}/{file_name if path is None else PurePath(path).name}"


def _token_of(text: str, kind: str) -> str:
    """16 hex characters that follow from a name."""
    return hashlib.sha256(f"{kind}/{text}".encode()).hexdigest()[:16]


def _check(path: Path, frames: Sequence[Frame], map_location: str) -> None:
    if map_location not in LOCATIONS:
        raise OpenPairError(
            f"NAVSIM knows no location '{map_location}'", where=path, fix=f"Use one of {', '.join(LOCATIONS)}"
        )
    if not frames:
        raise OpenPairError("a log without frames cannot be written", where=path)
    tokens = [frame.token for frame in frames]
    bad = [token for token in tokens if not _TOKEN.fullmatch(token)]
    if bad or len(set(tokens)) != len(tokens):
        raise OpenPairError(
            f"frame tokens must be 16 hex characters, each once (such as '{(bad or tokens)[0]}')", where=path
        )
    if any(b.ego.timestamp_us <= a.ego.timestamp_us for a, b in pairwise(frames)):
        raise OpenPairError("the frames are not in time order", where=path)
    for frame in frames:
        ids = (*(connector for connector, _ in frame.traffic_lights), *frame.route_roadblock_ids)
        if not all(item.isdecimal() for item in ids):
            raise OpenPairError("map ids must be decimal integers in NAVSIM's format", where=f"{path}, {frame.token}")
        numbers = (frame.ego.pose, frame.ego.velocity, frame.ego.acceleration, frame.agents.box, frame.agents.velocity)
        if not all(np.isfinite(array).all() for array in numbers):
            raise OpenPairError("a pose, box or velocity is not a finite number", where=f"{path}, {frame.token}")
