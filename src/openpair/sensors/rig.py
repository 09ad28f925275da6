"""The standard sensor rig: where cameras and LiDAR sit when a log brings no calibration of its own.

Modelled on the nuPlan vehicle: 1920 x 1080 pinhole cameras behind the windscreen, a LiDAR on the roof. All positions
in the ego rear-axle frame (x forward, y left, z up), z = 0 on the ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.front_view import FRONT_CAMERAS, RECORDED_SIZE
from openpair.datatypes.scene import Camera, Frame

FOCAL_LENGTH_PX: Final = 1545.0
PRINCIPAL_POINT_PX: Final = (960.0, 560.0)
SIDE_CAMERA_YAW_DEG: Final = 55.0

_MOUNTS: Final = {
    "cam_l0": ((1.57, 0.22, 1.55), SIDE_CAMERA_YAW_DEG),
    "cam_f0": ((1.70, 0.00, 1.55), 0.0),
    "cam_r0": ((1.57, -0.22, 1.55), -SIDE_CAMERA_YAW_DEG),
}
"""Position [m] and yaw [deg] of each camera."""


def optical_rotation(yaw_rad: float) -> NDArray[np.float64]:
    """(3, 3) sensor to ego for a level camera that looks along ``yaw_rad``; columns are right, down, forward."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[s, 0.0, c], [-c, 0.0, s], [0.0, -1.0, 0.0]])


def standard_cameras() -> dict[str, Camera]:
    """The three front cameras of the standard rig, by name, without image files."""
    intrinsics = np.array(
        [
            [FOCAL_LENGTH_PX, 0.0, PRINCIPAL_POINT_PX[0]],
            [0.0, FOCAL_LENGTH_PX, PRINCIPAL_POINT_PX[1]],
            [0.0, 0.0, 1.0],
        ]
    )
    return {
        name: Camera(
            name=name,
            image_path=None,
            rotation=optical_rotation(np.deg2rad(yaw_deg)),
            translation=np.array(position),
            intrinsics=intrinsics,
            size=RECORDED_SIZE,
        )
        for name, (position, yaw_deg) in _MOUNTS.items()
    }


_STANDARD_CAMERAS: Final = standard_cameras()


def front_cameras(frame: Frame) -> dict[str, Camera]:
    """The frame's own calibrations of the front cameras, each replaced by the standard one where missing."""
    return {name: frame.cameras.get(name, _STANDARD_CAMERAS[name]) for name in FRONT_CAMERAS}


@dataclass(frozen=True)
class LidarSpec:
    """A spinning LiDAR.

    Attributes:
        position: (x, y, z) [m], ego rear-axle frame.
        num_beams: rows, evenly spaced in elevation.
        num_azimuths: columns, evenly spaced over the full circle, the first one straight ahead.
        elevation_deg: lowest and highest beam.
        max_range_m: returns beyond it are lost.

    The highest beam passes below traffic lights for 45 m: what hangs over a lane is no obstacle on it.
    """

    position: tuple[float, float, float] = (0.94, 0.0, 1.95)
    num_beams: int = 64
    num_azimuths: int = 1024
    elevation_deg: tuple[float, float] = (-25.0, 2.0)
    max_range_m: float = 100.0


STANDARD_LIDAR: Final = LidarSpec()
