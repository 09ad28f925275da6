"""SE(2) poses: x [m], y [m], heading [rad]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def wrap_angle(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles [rad] of any shape, brought to [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def local_to_global(poses: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poses (..., 3) in the frame of ``origin`` (3,) -> global frame. Headings are added, not wrapped."""
    c, s = np.cos(origin[2]), np.sin(origin[2])
    x, y = poses[..., 0], poses[..., 1]
    return np.stack([origin[0] + c * x - s * y, origin[1] + s * x + c * y, origin[2] + poses[..., 2]], axis=-1)


def global_to_local(poses: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Global poses (..., 3) -> frame of ``origin`` (3,), headings wrapped to [-pi, pi)."""
    c, s = np.cos(origin[2]), np.sin(origin[2])
    dx, dy = poses[..., 0] - origin[0], poses[..., 1] - origin[1]
    return np.stack([c * dx + s * dy, -s * dx + c * dy, wrap_angle(poses[..., 2] - origin[2])], axis=-1)
