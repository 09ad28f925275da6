"""NAVSIM log pickles -> frames.

A log is ``list[dict]``, one dictionary per 0.5 s. The arithmetic follows the original's reader operation by operation,
because scores are compared to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from openpair.damage import cause_of
from openpair.datasets.navsim.unpickle import check_extent, load_plain
from openpair.datatypes.agents import Agents, UnknownAgents
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.ego import EgoState
from openpair.datatypes.scene import Camera, Frame
from openpair.errors import OpenPairError
from openpair.geometry.poses import wrap_angle

CAMERA_KEYS: Final = ("CAM_F0", "CAM_L0", "CAM_L1", "CAM_L2", "CAM_R0", "CAM_R1", "CAM_R2", "CAM_B0")
"""Cameras of the rig as log files name them; a :class:`Camera` has the name in lower case."""

REQUIRED_KEYS: Final = (
    "token",
    "timestamp",
    "map_location",
    "roadblock_ids",
    "ego2global_translation",
    "ego2global_rotation",
    "ego_dynamic_state",
    "driving_command",
    "traffic_lights",
)
"""What a frame needs to become a :class:`Frame`. Sensors are optional, and annotations for those who only plan."""

MAX_ROW_VALUES: Final = 500_000
"""Values of a frame, each counted as often as it is met; real ones have some thousands."""

ROTATION_TOLERANCE: Final = 0.01
"""How far the length of a quaternion may be from 1; recorded ones differ in the last digit."""

SPACING_S: Final = 0.5
SPACING_TOLERANCE_S: Final = 0.1
"""Recorded frames are up to 0.8 ms from 0.5 s apart; nuPlan's sensors run at 20 Hz, and one sweep may be missing."""

MOST_TURN_RAD: Final = 4 * math.pi
"""Headings beyond two full turns are degrees where radians belong."""

_ANNOTATION_KEYS: Final = ("gt_boxes", "gt_names", "gt_velocity_3d", "track_tokens")
_CATEGORIES: Final = {category.navsim_name: int(category) for category in AgentCategory}


def yaw_of_quaternion(wxyz: Sequence[float] | NDArray[np.float64]) -> float:
    """Yaw [rad] of a rotation (w, x, y, z), in the original reader's convention.

    Its numerator is 2 (wz - xy), not the usual 2 (wz + xy): the two differ by about 1e-4 rad under the roll and pitch
    of a car. The quaternion is brought to unit length unless it has it to 1e-14.
    """
    q = np.asarray(wxyz, dtype=np.float64)
    square = float(np.dot(q, q))
    if abs(1.0 - square) >= 1e-14 and square > 0.0:
        q = q / math.sqrt(square)
    w, x, y, z = (float(value) for value in q)
    return math.atan2(2 * (w * z - x * y), 1 - 2 * (y**2 + z**2))


@dataclass(frozen=True)
class RawLog:
    """An unpickled log whose frames are not converted yet.

    Attributes:
        name: file stem.
        path: the file, for messages.
        rows: one dictionary per 0.5 s.
    """

    name: str
    path: Path
    rows: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def token(self, index: int) -> str:
        """Token of a frame."""
        return str(self.rows[index]["token"])

    @property
    def map_location(self) -> str:
        """Location name of the map that the log drives on ("us-ma-boston", ...)."""
        return str(self.rows[0]["map_location"])

    def frame(self, index: int, sensor_root: Path | None = None) -> Frame:
        """Frame ``index`` (0-based) of the log.

        Args:
            index: position in the file.
            sensor_root: folder that the log's sensor paths are relative to; None keeps them as written in the log.

        Raises:
            OpenPairError: a value of the frame has an unexpected shape or type.
        """
        row = self.rows[index]
        check_extent(row, f"{self.path}, frame {index}", MAX_ROW_VALUES)
        try:
            return frame_of_row(row, sensor_root)
        except OpenPairError as error:
            raise OpenPairError(error.what, where=f"{self.path}, frame {index}", fix=error.fix) from None
        except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
            raise OpenPairError(
                f"the frame is not in NAVSIM's format ({type(error).__name__}: {cause_of(error)})",
                where=f"{self.path}, frame {index}",
                fix="Check that the log was written for NAVSIM v1.1 or v2.2",
            ) from None


def read_log(path: Path) -> RawLog:
    """Unpickle a log and check that it is one.

    Raises:
        OpenPairError: the file is missing, damaged, hostile, or of another format.
    """
    if not path.is_file():
        raise OpenPairError("there is no such log file", where=path)
    rows = load_plain(path)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise OpenPairError(
            "the file is a pickle, but not a NAVSIM log (a list with one dictionary per frame)",
            where=path,
            fix="NAVSIM logs are in navsim_logs/<split>/",
        )
    for index, row in enumerate(rows):
        missing = [key for key in REQUIRED_KEYS if key not in row]
        if not isinstance(row.get("token", ""), str):
            raise OpenPairError(f"the token of frame {index} is not text", where=path)
        if missing:
            raise OpenPairError(
                f"frame {index} lacks {', '.join(missing)}: a log of another format or version",
                where=path,
                fix="Logs for NAVSIM v1.1 and v2.2 carry them; download those",
            )
    return RawLog(path.stem, path, rows)


def check_spacing(frames: Sequence[Frame], where: object) -> None:
    """Frames of a scene are half a second apart. Raises OpenPairError with both time stamps where two are not."""
    for before, after in pairwise(frames):
        gap_s = (after.ego.timestamp_us - before.ego.timestamp_us) * 1e-6
        if abs(gap_s - SPACING_S) > SPACING_TOLERANCE_S:
            raise OpenPairError(
                f"frames {before.token} and {after.token} are {gap_s:.3f} s apart ({before.ego.timestamp_us} and "
                f"{after.ego.timestamp_us} us), not {SPACING_S} s",
                where=where,
                fix="A frame is missing or the clock was set; leave this scene out, or convert the log again",
            )


def check_finite(what: str, *arrays: NDArray[np.float64]) -> None:
    """Raises OpenPairError where a value is NaN or infinite."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise OpenPairError(f"{what} hold NaN or infinity", fix="Mend the log, or leave the scene out")


def check_rotation(wxyz: object) -> None:
    """Raises OpenPairError for a quaternion that is no rotation: zeros, NaN, or of a length far from 1."""
    length = float(np.linalg.norm(np.asarray(wxyz, dtype=np.float64).reshape(4)))
    if not abs(length - 1.0) <= ROTATION_TOLERANCE:
        raise OpenPairError(
            f"the quaternion is not a rotation (its length is {length:.4g}, not 1)",
            fix="Mend the log, or leave the scene out",
        )


def frame_of_row(row: dict[str, Any], sensor_root: Path | None = None) -> Frame:
    """One dictionary of a log -> :class:`Frame`. See :meth:`RawLog.frame`."""
    ego = _ego_state(row)
    return Frame(
        token=str(row["token"]),
        ego=ego,
        agents=_agents(row["anns"], ego.pose) if row.get("anns") else UnknownAgents(f"frame {row['token']}"),
        traffic_lights=tuple((_name(connector), bool(red)) for connector, red in row["traffic_lights"]),
        route_roadblock_ids=tuple(_name(block) for block in row["roadblock_ids"]),
        driving_command=np.asarray(row["driving_command"], dtype=np.int64).reshape(4),
        cameras=_cameras(row, sensor_root),
        lidar_path=sensor_path(row.get("lidar_path"), sensor_root),
    )


def _name(value: object) -> str:
    """An id, which files hold as text or as a number."""
    if not isinstance(value, str | int | np.integer | np.str_):
        raise TypeError(f"an id that is a {type(value).__name__}")
    return str(value)


def _ego_state(row: dict[str, Any]) -> EgoState:
    x, y = np.asarray(row["ego2global_translation"], dtype=np.float64)[:2]
    check_rotation(row["ego2global_rotation"])
    # The original keeps these four numbers as float32.
    dynamics = np.asarray(row["ego_dynamic_state"], dtype=np.float64).reshape(4).astype(np.float32).astype(np.float64)
    check_finite("the ego's position, velocity or acceleration", np.array([x, y]), dynamics)
    return EgoState(
        timestamp_us=int(row["timestamp"]),
        pose=np.array([x, y, yaw_of_quaternion(row["ego2global_rotation"])]),
        velocity=dynamics[:2],
        acceleration=dynamics[2:],
    )


def _agents(annotations: dict[str, Any], ego_pose: NDArray[np.float64]) -> Agents:
    boxes, names, velocity, tokens = (annotations[key] for key in _ANNOTATION_KEYS)
    return agents_from_boxes(boxes, names, velocity, tokens, ego_pose)


def agents_from_boxes(boxes: Any, names: Any, velocity: Any, tokens: Any, ego_pose: NDArray[np.float64]) -> Agents:
    """Annotations of a frame -> :class:`Agents` in the global frame.

    Args:
        boxes: (A, 7) centre x, y, z [m], length, width, height [m], yaw [rad], ego frame.
        names: (A,) NAVSIM's words for categories.
        velocity: (A, 3) [m/s], ego axes.
        tokens: (A,) track tokens.
        ego_pose: (3,) x [m], y [m], heading [rad]. Roll, pitch and z play no part.

    Raises:
        OpenPairError: lengths differ, or a category is unknown. ValueError: an array has another shape.
    """
    count = len(tokens)
    if not len(names) == len(boxes) == len(velocity) == count:
        raise OpenPairError(
            f"there are {count} track tokens, {len(names)} object names, {len(boxes)} boxes, {len(velocity)} velocities"
        )
    if count == 0:
        return Agents.empty()
    boxes = np.asarray(boxes, dtype=np.float64).reshape(count, 7)
    velocity = np.asarray(velocity, dtype=np.float64).reshape(count, -1)
    check_finite("boxes or velocities of the other road users", boxes, velocity)
    if (np.abs(boxes[:, 6]) > MOST_TURN_RAD).any():
        raise OpenPairError("headings of boxes are beyond two full turns: degrees where radians belong")
    unknown = sorted({_name(name) for name in names} - _CATEGORIES.keys())
    if unknown:
        raise OpenPairError(
            f"objects of unknown kind: {', '.join(unknown)[:200]}", fix=f"NAVSIM knows {', '.join(_CATEGORIES)}"
        )
    cos, sin = np.cos(ego_pose[2]), np.sin(ego_pose[2])
    x, y, z, length, width, height, yaw = boxes.T
    vx, vy = velocity[:, 0], velocity[:, 1]
    return Agents(
        track_tokens=tuple(_name(token) for token in tokens),
        category=np.array([_CATEGORIES[str(name)] for name in names], dtype=np.int64),
        box=np.stack(
            [
                (x * cos - y * sin) + ego_pose[0],
                (x * sin + y * cos) + ego_pose[1],
                wrap_angle(yaw + ego_pose[2]),
                length,
                width,
                height,
            ],
            axis=1,
        ),
        velocity=np.stack([vx * cos - vy * sin, vx * sin + vy * cos], axis=1),
        center_z=z.copy(),
    )


def _cameras(row: dict[str, Any], sensor_root: Path | None) -> dict[str, Camera]:
    cams = row.get("cams") or {}
    if not cams:
        return {}
    lidar_rotation = _rotation_matrix(row.get("lidar2ego_rotation", (1.0, 0.0, 0.0, 0.0)))
    lidar_origin = np.asarray(row.get("lidar2ego_translation", (0.0, 0.0, 0.0)), dtype=np.float64)
    cameras = {}
    for key in CAMERA_KEYS:
        if key not in cams:
            continue
        cam = cams[key]
        name = key.lower()
        cameras[name] = Camera(
            name=name,
            image_path=sensor_path(cam.get("data_path"), sensor_root),
            rotation=lidar_rotation @ np.asarray(cam["sensor2lidar_rotation"], dtype=np.float64),
            translation=lidar_rotation @ np.asarray(cam["sensor2lidar_translation"], dtype=np.float64) + lidar_origin,
            intrinsics=np.array(cam["cam_intrinsic"], dtype=np.float64),
            distortion=tuple(float(value) for value in cam["distortion"]),
        )
    return cameras


def _rotation_matrix(rotation: object) -> NDArray[np.float64]:
    """3x3 matrix of a rotation given as a matrix or as (w, x, y, z)."""
    array = np.asarray(rotation, dtype=np.float64)
    if array.shape == (3, 3):
        check_finite("the sensors' rotations", array)
        return array
    check_rotation(array)
    w, x, y, z = array / np.linalg.norm(array)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def sensor_path(relative: object, sensor_root: Path | None) -> str | None:
    """Path of a sensor file below ``sensor_root`` (None: as stored); None where the log names no file."""
    if not isinstance(relative, str) or not relative:
        return None
    return relative if sensor_root is None else str(sensor_root / relative)
