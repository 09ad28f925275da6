"""Calibration of the stitched front view, as plain numbers that a configuration holds. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from openpair.datatypes.front_view import FRONT_VIEW_CROPS
from openpair.datatypes.scene import Camera
from openpair.errors import OpenPairError


@dataclass(frozen=True)
class GroundView:
    """Calibration of one part of the stitched front view, as plain numbers that fit a configuration file.

    Attributes:
        camera: name of the camera.
        rotation: (9,) sensor to ego, row by row; columns are right, down, forward in ego axes.
        translation_m: (3,) sensor origin, ego rear-axle frame, z up from the ground.
        focal_px, principal_px: (x, y) at the recorded size.
    """

    camera: str
    rotation: tuple[float, ...]
    translation_m: tuple[float, float, float]
    focal_px: tuple[float, float]
    principal_px: tuple[float, float]


def ground_views(cameras: Mapping[str, Camera]) -> tuple[GroundView, ...]:
    """Calibrations of the front cameras, in the order of the stitched view.

    Raises OpenPairError where a camera of the front view is missing.
    """
    missing = [crop.camera for crop in FRONT_VIEW_CROPS if crop.camera not in cameras]
    if missing:
        raise OpenPairError(
            f"no calibration of {', '.join(missing)}", where="cameras", fix="give all cameras of the front view"
        )
    views = []
    for crop in FRONT_VIEW_CROPS:
        camera = cameras[crop.camera]
        k = np.asarray(camera.intrinsics, np.float64)
        x, y, z = (float(v) for v in camera.translation)
        views.append(
            GroundView(
                camera=crop.camera,
                rotation=tuple(float(v) for v in np.asarray(camera.rotation).ravel()),
                translation_m=(x, y, z),
                focal_px=(float(k[0, 0]), float(k[1, 1])),
                principal_px=(float(k[0, 2]), float(k[1, 2])),
            )
        )
    return tuple(views)
