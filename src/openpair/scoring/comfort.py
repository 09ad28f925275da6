# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
# ruff: noqa: RUF046, UP018
"""C and HC, comfort: six Savitzky-Golay filtered signals against strict bounds; output of each filter in 1e-8 units."""

from enum import IntEnum

import numpy as np
import warp as wp

from openpair.datatypes import vehicle
from openpair.datatypes.columns import Protocol, StateIndex
from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.scoring.arrays import EgoArrays
from openpair.scoring.filters import FilterArrays, FilterDesign, apply_filter, stays_within
from openpair.simulation.reference import NUM_STEPS

wp.set_module_options(MODULE_OPTIONS)


class ComfortIndex(IntEnum):
    """Columns of the comfort flags (N, 6) bool: True where the signal stays within its bounds."""

    LONGITUDINAL_ACCELERATION = 0
    LATERAL_ACCELERATION = 1
    JERK = 2
    LONGITUDINAL_JERK = 3
    YAW_ACCELERATION = 4
    YAW_RATE = 5


class ComfortMode(IntEnum):
    """What the comfort flags are computed over."""

    NOT_SCORED = 0
    """Nothing: comfort counts as 1, as for the proposals of v2.2's planner. The flags are left undefined."""
    PLAN = 1
    """The simulated states (C of v1.1; the human in v2.2's filter)."""
    WITH_PAST = 2
    """The recorded past and then the simulated states (HC of v2.2)."""


class Filter(IntEnum):
    """Rows of the filter table."""

    ACCELERATION = 0
    SMOOTHING = 1
    JERK = 2
    YAW_ACCELERATION = 3
    YAW_RATE = 4


DESIGNS: dict[Protocol, tuple[FilterDesign, ...]] = {
    Protocol.V1_1: (
        FilterDesign(41, 2, 0),
        FilterDesign(8, 2, 0),
        FilterDesign(41, 2, 1),
        FilterDesign(5, 3, 2),
        FilterDesign(5, 2, 1),
    ),
    Protocol.V2_2: (
        FilterDesign(8, 2, 0),
        FilterDesign(8, 2, 0),
        FilterDesign(15, 2, 1),
        FilterDesign(5, 3, 2),
        FilterDesign(5, 2, 1),
    ),
}
"""The filters of each protocol, in the order of :class:`Filter`."""

MIN_LONGITUDINAL = wp.constant(wp.float64(-4.05))
MAX_LONGITUDINAL = wp.constant(wp.float64(2.40))
MAX_LATERAL = wp.constant(wp.float64(4.89))
MAX_JERK = wp.constant(wp.float64(8.37))
MAX_LONGITUDINAL_JERK = wp.constant(wp.float64(4.13))
MAX_YAW_ACCELERATION = wp.constant(wp.float64(1.93))
MAX_YAW_RATE = wp.constant(wp.float64(0.95))

STEPS = wp.constant(NUM_STEPS)
REAR_AXLE_TO_CENTER = wp.constant(wp.float64(vehicle.REAR_AXLE_TO_CENTER_M))
PI = wp.constant(wp.float64(np.pi))
TWO_PI = wp.constant(wp.float64(2.0 * np.pi))

HEADING = wp.constant(int(StateIndex.HEADING))
ACCELERATION_X = wp.constant(int(StateIndex.ACCELERATION_X))
ACCELERATION_Y = wp.constant(int(StateIndex.ACCELERATION_Y))
ANGULAR_VELOCITY = wp.constant(int(StateIndex.ANGULAR_VELOCITY))
ANGULAR_ACCELERATION = wp.constant(int(StateIndex.ANGULAR_ACCELERATION))

ACCELERATION_FILTER = wp.constant(int(Filter.ACCELERATION))
SMOOTHING_FILTER = wp.constant(int(Filter.SMOOTHING))
JERK_FILTER = wp.constant(int(Filter.JERK))
YAW_ACCELERATION_FILTER = wp.constant(int(Filter.YAW_ACCELERATION))
YAW_RATE_FILTER = wp.constant(int(Filter.YAW_RATE))

# Rows of the signal room (N, 6, T).
LON = wp.constant(0)
LAT = wp.constant(1)
ABS = wp.constant(2)
YAW = wp.constant(3)
SMOOTH = wp.constant(4)
ROOM = wp.constant(5)
NUM_SIGNALS = 6


@wp.func
def fill_signals(
    states: wp.array3d(dtype=wp.float64),
    ego: EgoArrays,
    signals: wp.array3d(dtype=wp.float64),
    n: int,
    scene: int,
    at_center: bool,
    use_history: bool,
    strict: bool,
) -> int:
    """Raw signals of plan n, after the scene's recorded past where there is one. Returns their length.

    ``at_center``: longitudinal acceleration of the vehicle's centre instead of the rear axle (v2.2). The original
    shifts neither the lateral acceleration nor the absolute value; ``strict`` shifts both axes as a rigid body moves.
    """
    first = ego.history_range[scene]
    past = int(0)
    if use_history:
        past = ego.history_range[scene + 1] - first
    heading = wp.float64(0.0)
    for i in range(past):
        signals[n, LON, i] = ego.history[first + i, 1]
        signals[n, LAT, i] = ego.history[first + i, 2]
        signals[n, ABS, i] = wp.length(wp.vec2d(ego.history[first + i, 1], ego.history[first + i, 2]))
        raw = ego.history[first + i, 0]
        if i > 0:
            raw = heading + unwrapped_step(raw - heading)
        heading = raw
        signals[n, YAW, i] = heading
    for step in range(STEPS):
        i = past + step
        ax = states[n, step, ACCELERATION_X]
        ay = states[n, step, ACCELERATION_Y]
        signals[n, ABS, i] = wp.length(wp.vec2d(ax, ay))
        if at_center:
            omega = states[n, step, ANGULAR_VELOCITY]
            alpha = states[n, step, ANGULAR_ACCELERATION]
            if strict:
                ax -= REAR_AXLE_TO_CENTER * omega * omega
                if step > 1:
                    ay += REAR_AXLE_TO_CENTER * alpha
            else:
                ax += REAR_AXLE_TO_CENTER * (omega * omega + alpha)
        signals[n, LON, i] = ax
        signals[n, LAT, i] = ay
        raw = states[n, step, HEADING]
        if i > 0:
            raw = heading + unwrapped_step(raw - heading)
        heading = raw
        signals[n, YAW, i] = heading
    return past + STEPS


@wp.func
def unwrapped_step(difference: wp.float64) -> wp.float64:
    """Heading change [rad] brought to [-pi, pi)."""
    return difference - TWO_PI * wp.floor((difference + PI) / TWO_PI)


@wp.func
def jerk_stays_within(
    filters: FilterArrays,
    signal: wp.array(dtype=wp.float64),
    length: int,
    smooth: wp.array(dtype=wp.float64),
    room: wp.array(dtype=wp.float64),
    bound: wp.float64,
) -> bool:
    """True if the derivative of the smoothed acceleration lies strictly within +-bound."""
    apply_filter(filters, SMOOTHING_FILTER, signal, length, smooth)
    return stays_within(filters, JERK_FILTER, smooth, length, room, -bound, bound)


@wp.func
def comfort(
    states: wp.array3d(dtype=wp.float64),
    ego: EgoArrays,
    filters: FilterArrays,
    signals: wp.array3d(dtype=wp.float64),
    flags: wp.array2d(dtype=wp.bool),
    n: int,
    scene: int,
    at_center: bool,
    use_history: bool,
    strict: bool,
) -> bool:
    """Fill the six comfort flags of plan n; True if all hold. ``signals`` (N, 6, T) is room."""
    length = fill_signals(states, ego, signals, n, scene, at_center, use_history, strict)
    lon = signals[n, LON]
    yaw = signals[n, YAW]
    smooth = signals[n, SMOOTH]
    room = signals[n, ROOM]
    flags[n, 0] = stays_within(filters, ACCELERATION_FILTER, lon, length, room, MIN_LONGITUDINAL, MAX_LONGITUDINAL)
    flags[n, 1] = stays_within(filters, ACCELERATION_FILTER, signals[n, LAT], length, room, -MAX_LATERAL, MAX_LATERAL)
    flags[n, 2] = jerk_stays_within(filters, signals[n, ABS], length, smooth, room, MAX_JERK)
    flags[n, 3] = jerk_stays_within(filters, lon, length, smooth, room, MAX_LONGITUDINAL_JERK)
    flags[n, 4] = stays_within(
        filters, YAW_ACCELERATION_FILTER, yaw, length, room, -MAX_YAW_ACCELERATION, MAX_YAW_ACCELERATION
    )
    flags[n, 5] = stays_within(filters, YAW_RATE_FILTER, yaw, length, room, -MAX_YAW_RATE, MAX_YAW_RATE)
    return flags[n, 0] and flags[n, 1] and flags[n, 2] and flags[n, 3] and flags[n, 4] and flags[n, 5]
