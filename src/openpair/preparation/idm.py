"""Intelligent Driver Model along a path, with the parameters of PDM-Closed.

Treiber, Hennecke, Helbing: Congested traffic states in empirical observations and microscopic simulations (2000).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_GAP_M: Final = 1.0
HEADWAY_S: Final = 1.5
MAX_ACCELERATION: Final = 1.5
MAX_DECELERATION: Final = 3.0
EXPONENT: Final = 10


def idm_acceleration(
    speed: NDArray[np.float64],
    target_speed: NDArray[np.float64],
    gap_m: NDArray[np.float64],
    leader_speed: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Acceleration [m/s^2], any shape, clipped to [-3, 1.5].

    Args:
        speed: own speed [m/s].
        target_speed: speed on a free road [m/s].
        gap_m: distance to the leader; gaps below the minimum count as the minimum.
        leader_speed: speed of the leader along the own heading [m/s].
    """
    wanted = (
        MIN_GAP_M
        + speed * HEADWAY_S
        + speed * (speed - leader_speed) / (2 * np.sqrt(MAX_ACCELERATION * MAX_DECELERATION))
    )
    gap = np.maximum(gap_m, MIN_GAP_M)
    acceleration = MAX_ACCELERATION * (1 - (speed / target_speed) ** EXPONENT - (wanted / gap) ** 2)
    return np.clip(acceleration, -MAX_DECELERATION, MAX_ACCELERATION)
