"""Oriented boxes seen from above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
