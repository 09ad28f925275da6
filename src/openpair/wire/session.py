"""What a driver knows of one session: the newest images, the ego's motion, the route."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import DrivingCommand
from openpair.errors import OpenPairError
from openpair.wire.messages import RENDERER_FORMAT, message, planar

MAX_IMAGE_PIXELS = 4096 * 2304
TURN_AHEAD_M, TURN_ASIDE_M = 20.0, 2.0
"""A route that is 2 m beside the ego's heading 20 m ahead is a turn: NAVSIM's driving command."""


@dataclass
class Session:
    """One drive.

    Attributes:
        images: (H, W, 3) uint8 RGB by camera.
        pose: (3,) x [m], y [m], heading [rad] of the rig now, local frame; None before the first.
        time_us: of the pose.
        velocity, acceleration: (2,) [m/s], [m/s^2], rig axes.
        route: (n, 2) x [m], y [m], rig frame of its time.
        used_at: when it was last called for [s].
    """

    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    pose: NDArray[np.float64] | None = None
    time_us: int = -1
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    acceleration: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    route: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    used_at: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, camera: str, data: bytes) -> None:
        """Take an image. Raises OpenPairError for bytes that are no image, or too large a one."""
        self.images[camera] = decoded(data, camera)

    def move(self, request: Any) -> None:
        """Take the ego's motion. Raises OpenPairError for motion that is not finite, or states that do not fit."""
        poses, times = planar(request.trajectory)
        if not len(poses):
            return
        if not np.isfinite(poses).all():
            raise OpenPairError("the trajectory holds a pose that is not finite", where="submit_egomotion_observation")
        last = int(np.argmax(times))
        self.pose, self.time_us = poses[last], int(times[last])
        states = request.dynamic_states
        if states:
            if len(states) != len(poses):
                raise OpenPairError(
                    f"{len(states)} dynamic states and {len(poses)} poses do not belong together",
                    where="submit_egomotion_observation",
                )
            speed, change = states[last].linear_velocity, states[last].linear_acceleration
            motion = np.array([speed.x, speed.y, change.x, change.y])
        elif len(poses) > 1:
            motion = _motion(poses[np.argsort(times)], np.sort(times))
        else:
            motion = np.zeros(4)
        if not np.isfinite(motion).all():
            raise OpenPairError("a dynamic state is not finite", where="submit_egomotion_observation")
        self.velocity, self.acceleration = motion[:2], motion[2:]

    def follow(self, route: Any) -> None:
        """Take a route. Raises OpenPairError for one that is not finite."""
        points = np.array([[point.x, point.y] for point in route.waypoints]).reshape(-1, 2)
        if not np.isfinite(points).all():
            raise OpenPairError("the route holds a point that is not finite", where="submit_route")
        self.route = points

    def inputs(self, renderer_data: bytes) -> dict[str, NDArray[Any]]:
        """What a planner of sensors is handed: images, LiDAR, driving command, velocity, acceleration."""
        extra = _extra(renderer_data)
        command = np.array(extra.driving_command if extra is not None else (), np.int64)
        given = command.shape == (len(DrivingCommand),) and (command <= 1).all() and command.sum() == 1
        found: dict[str, NDArray[Any]] = {
            **self.images,
            "driving_command": command if given else command_of(self.route),
            "velocity": self.velocity,
            "acceleration": self.acceleration,
        }
        if extra is not None and extra.lidar_points:
            points = np.frombuffer(extra.lidar_points, "<f4")
            if len(points) % 3 or not np.isfinite(points).all():
                raise OpenPairError("the LiDAR points are no finite triples of float32", where="renderer_data")
            found["lidar"] = points.reshape(-1, 3).astype(np.float32)
        return found


def command_of(route: NDArray[np.float64]) -> NDArray[np.int64]:
    """(4,) one-hot driving command that a route (n, 2) of the rig frame asks for; unknown without one."""
    command = DrivingCommand.UNKNOWN
    if len(route) > 1:
        way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(route, axis=0).T))])
        start = way[int(np.argmin(np.hypot(*route.T)))]
        aside = float(np.interp(start + TURN_AHEAD_M, way, route[:, 1]))
        command = DrivingCommand.FORWARD
        if abs(aside) >= TURN_ASIDE_M:
            command = DrivingCommand.LEFT if aside > 0 else DrivingCommand.RIGHT
    return np.eye(len(DrivingCommand), dtype=np.int64)[command]


def decoded(data: bytes, camera: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a PNG or JPEG. Raises OpenPairError for others, and for more pixels than cameras have."""
    size = _image_size(data)
    if size is None:
        raise OpenPairError("the bytes are neither a PNG nor a JPEG", where=f"image of {camera}")
    if not 0 < size[0] * size[1] <= MAX_IMAGE_PIXELS:
        raise OpenPairError(f"an image of {size[0]} x {size[1]} pixels is too large", where=f"image of {camera}")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise OpenPairError("the image is damaged", where=f"image of {camera}")
    return np.ascontiguousarray(pixels[..., ::-1], dtype=np.uint8)


def _image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height as the image's head says, before anything is unpacked."""
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            return image.size
    except Image.DecompressionBombError:
        raise OpenPairError("the image has far too many pixels", where="image") from None
    except (OSError, ValueError, SyntaxError):
        return None


def _extra(data: bytes) -> Any:
    """A RendererData of ours; None for other bytes."""
    from google.protobuf.message import DecodeError

    try:
        extra = message("RendererData").FromString(data)
    except DecodeError:
        return None
    return extra if extra.format == RENDERER_FORMAT else None


def _motion(poses: NDArray[np.float64], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """(4,) velocity and acceleration of the last of several poses, by differences."""
    speeds = []
    for before, after in zip(range(-3, -1), range(-2, 0), strict=True):
        if len(poses) >= -before and times[after] > times[before]:
            moved, seconds = poses[after] - poses[before], 1e-6 * float(times[after] - times[before])
            speeds.append((float(np.hypot(*moved[:2])) / seconds, seconds))
    if not speeds:
        return np.zeros(4)
    change = (speeds[-1][0] - speeds[0][0]) / speeds[-1][1] if len(speeds) > 1 else 0.0
    return np.array([speeds[-1][0], 0.0, change, 0.0])


def missing(inputs: Mapping[str, NDArray[Any]], reads: tuple[str, ...]) -> str:
    """What a planner reads and nobody sent, in words; empty where nothing is missing."""
    lacks = [name for name in reads if name not in inputs]
    return f"the planner reads {', '.join(lacks)}, which this session has not sent" if lacks else ""
