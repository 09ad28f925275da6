"""Names for the columns of every array and the numbers of every category."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final

NUM_POSES: Final = 8
"""Poses of a plan: 0.5 s, 1.0 s, ... 4.0 s after the current frame."""

POSE_INTERVAL_S: Final = 0.5
"""Time between two poses of a plan and between two frames of a log [s]."""

NUM_HISTORY_FRAMES: Final = 4
"""Frames of a scene up to and including the current one (1.5 s of past)."""

NUM_FUTURE_FRAMES: Final = 10
"""Frames of a scene after the current one (5 s)."""


class PoseIndex(IntEnum):
    """Columns of a pose (..., 3)."""

    X = 0
    Y = 1
    HEADING = 2


class StateIndex(IntEnum):
    """Columns of a simulated ego state (..., 11): rear axle, global frame; velocities and accelerations in ego axes.

    Units: m, rad, m/s, m/s^2, rad/s, rad/s^2.
    """

    X = 0
    Y = 1
    HEADING = 2
    VELOCITY_X = 3
    VELOCITY_Y = 4
    ACCELERATION_X = 5
    ACCELERATION_Y = 6
    STEERING_ANGLE = 7
    STEERING_RATE = 8
    ANGULAR_VELOCITY = 9
    ANGULAR_ACCELERATION = 10


class BoxIndex(IntEnum):
    """Columns of an agent box (..., 6): centre [m], heading [rad], size [m]."""

    X = 0
    Y = 1
    HEADING = 2
    LENGTH = 3
    WIDTH = 4
    HEIGHT = 5


class AgentCategory(IntEnum):
    """What an agent is. The order is the order in which the original evaluator lists objects."""

    VEHICLE = 0
    PEDESTRIAN = 1
    BICYCLE = 2
    TRAFFIC_CONE = 3
    BARRIER = 4
    CZONE_SIGN = 5
    GENERIC_OBJECT = 6

    @property
    def is_static(self) -> bool:
        """True for objects that never move: cones, barriers, signs, generic objects."""
        return self >= AgentCategory.TRAFFIC_CONE

    @property
    def navsim_name(self) -> str:
        """The word that NAVSIM's log files use: ``"vehicle"`` ... ``"generic_object"``."""
        return self.name.lower()


class MapLayer(IntEnum):
    """Map layers with the numbers nuPlan gives them (used by the golden cases and metric caches)."""

    LANE = 0
    INTERSECTION = 1
    CROSSWALK = 4
    DRIVABLE_AREA = 5
    LANE_CONNECTOR = 11
    WALKWAY = 14
    CARPARK_AREA = 15
    ROADBLOCK = 17
    ROADBLOCK_CONNECTOR = 18


class DrivingCommand(IntEnum):
    """Position of the 1 in NAVSIM's one-hot driving command (4,)."""

    LEFT = 0
    FORWARD = 1
    RIGHT = 2
    UNKNOWN = 3


class Protocol(str, Enum):
    """Which NAVSIM score: v1.1 gives PDMS, v2.2 gives EPDMS."""

    V1_1 = "v1.1"
    V2_2 = "v2.2"
