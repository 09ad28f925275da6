"""Status feature: driving command, velocity and acceleration of the ego."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.scene import Frame


def status_feature(frame: Frame) -> NDArray[np.float32]:
    """(8,) float32: driving command one-hot (4), velocity x, y [m/s], acceleration x, y [m/s^2], ego axes."""
    return np.concatenate([frame.driving_command, frame.ego.velocity, frame.ego.acceleration]).astype(np.float32)
