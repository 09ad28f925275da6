"""The ring cameras' calibrations, where a log brings them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from openpair.datasets.argoverse2.log_files import read_table, rotation_matrices
from openpair.datatypes.scene import Camera
from openpair.errors import OpenPairError

REAR_AXLE_HEIGHT_M: Final = 0.33
"""Argoverse's ego frame lies in the rear axle; ours on the ground below it."""


def read_cameras(folder: Path) -> dict[str, Camera]:
    """Calibrations of the ring cameras by their Argoverse names ("ring_front_center", ...); empty without the files.

    They keep those names because their images have another format (portrait, 1550 x 2048) than NAVSIM's: an agent that
    expects NAVSIM's front view is shown that of the standard rig.

    Raises:
        OpenPairError: the files are damaged or do not belong together.
    """
    calibration = folder / "calibration"
    if not calibration.is_dir():
        return {}
    inside = read_table(
        calibration / "intrinsics.feather",
        ("sensor_name", "fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "k3", "width_px", "height_px"),
    )
    outside = read_table(
        calibration / "egovehicle_SE3_sensor.feather",
        ("sensor_name", "qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m"),
    )
    rotation = rotation_matrices(outside)
    row_of = {str(name): row for row, name in enumerate(outside["sensor_name"])}
    cameras = {}
    for row, sensor in enumerate(inside["sensor_name"]):
        name = str(sensor)
        if not name.startswith("ring_"):
            continue
        if name not in row_of:
            raise OpenPairError(f"camera {name} has no pose", where=calibration / "egovehicle_SE3_sensor.feather")
        other = row_of[name]
        fx, fy, cx, cy, k1, k2, k3 = (
            float(inside[key][row]) for key in ("fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "k3")
        )
        position = np.array([outside[key][other] for key in ("tx_m", "ty_m", "tz_m")], dtype=np.float64)
        cameras[name] = Camera(
            name=name,
            image_path=None,
            rotation=rotation[other],
            translation=position + np.array([0.0, 0.0, REAR_AXLE_HEIGHT_M]),
            intrinsics=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
            size=(int(inside["width_px"][row]), int(inside["height_px"][row])),
            distortion=(k1, k2, 0.0, 0.0, k3),
        )
    return cameras
