"""The ego vehicle at one instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import StateIndex


@dataclass(frozen=True)
class EgoState:
    """Measured state of the ego vehicle.

    Attributes:
        timestamp_us: time stamp of the log [us].
        pose: (3,) float64 x [m], y [m], heading [rad] of the rear axle, global frame.
        velocity: (2,) [m/s], ego axes (forward, left). NAVSIM rounds it to float32 on reading.
        acceleration: (2,) [m/s^2], ego axes.
    """

    timestamp_us: int
    pose: NDArray[np.float64]
    velocity: NDArray[np.float64]
    acceleration: NDArray[np.float64]

    def state_vector(self) -> NDArray[np.float64]:
        """(11,) float64 in the order of :class:`StateIndex`; steering and yaw rates are 0, as NAVSIM sets them."""
        state = np.zeros(len(StateIndex))
        state[StateIndex.X : StateIndex.HEADING + 1] = self.pose
        state[StateIndex.VELOCITY_X : StateIndex.VELOCITY_Y + 1] = self.velocity
        state[StateIndex.ACCELERATION_X : StateIndex.ACCELERATION_Y + 1] = self.acceleration
        return state
