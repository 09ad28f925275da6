"""Oriented boxes: of the ego vehicle and of other road users."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes import vehicle


def box_corners(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    heading: NDArray[np.float64],
    length: NDArray[np.float64] | float,
    width: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Corners (..., 4, 2) [m] of boxes with centre x, y (...): front left, rear left, rear right, front right."""
    c, s = np.cos(heading), np.sin(heading)
    forward = np.stack([c, s], axis=-1) * np.asarray(length / 2)[..., None]
    left = np.stack([-s, c], axis=-1) * np.asarray(width / 2)[..., None]
    center = np.stack([x, y], axis=-1)
    return np.stack(
        [center + forward + left, center - forward + left, center - forward - left, center + forward - left], axis=-2
    )


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
