"""The box of the ego vehicle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.geometry.boxes import box_corners


def ego_center(rear_axle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rear-axle poses (..., 3) -> poses of the vehicle's centre (..., 3)."""
    center = np.array(rear_axle, dtype=np.float64)
    center[..., 0] += vehicle.REAR_AXLE_TO_CENTER_M * np.cos(rear_axle[..., 2])
    center[..., 1] += vehicle.REAR_AXLE_TO_CENTER_M * np.sin(rear_axle[..., 2])
    return center


def ego_corners(rear_axle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rear-axle poses (..., 3) -> corners (..., 4, 2) of the ego box."""
    center = ego_center(rear_axle)
    return box_corners(center[..., 0], center[..., 1], center[..., 2], vehicle.LENGTH_M, vehicle.WIDTH_M)
