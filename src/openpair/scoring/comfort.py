# mypy: disable-error-code="valid-type"
"""C and HC, comfort: six Savitzky-Golay filtered signals against strict bounds; output of each filter in 1e-8 units."""

from enum import IntEnum
from functools import lru_cache

import numpy as np
import warp as wp
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import Protocol, StateIndex
from openpair.scoring.arrays import EgoArrays
from openpair.simulation.reference import NUM_STEPS, STEP_S
from openpair.geometry.warp_runtime import MODULE_OPTIONS

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


MAX_WINDOW = 41


DESIGNS: dict[Protocol, tuple[tuple[int, int, int], ...]] = {
    # (window, polynomial order, derivative) in the order of Filter
    Protocol.V1_1: ((41, 2, 0), (8, 2, 0), (41, 2, 1), (5, 3, 2), (5, 2, 1)),
    Protocol.V2_2: ((8, 2, 0), (8, 2, 0), (15, 2, 1), (5, 3, 2), (5, 2, 1)),
}

MIN_LONGITUDINAL = wp.constant(wp.float64(-4.05))
MAX_LONGITUDINAL = wp.constant(wp.float64(2.40))
MAX_LATERAL = wp.constant(wp.float64(4.89))
MAX_JERK = wp.constant(wp.float64(8.37))
MAX_LONGITUDINAL_JERK = wp.constant(wp.float64(4.13))
MAX_YAW_ACCELERATION = wp.constant(wp.float64(1.93))
MAX_YAW_RATE = wp.constant(wp.float64(0.95))

STEPS = wp.constant(NUM_STEPS)
REAR_AXLE_TO_CENTER = wp.constant(wp.float64(vehicle.REAR_AXLE_TO_CENTER_M))
ROUNDING = wp.constant(wp.float64(1e8))
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

# Rows of the signal room (N, 5, T).
LON = wp.constant(0)
LAT = wp.constant(1)
ABS = wp.constant(2)
YAW = wp.constant(3)
SMOOTH = wp.constant(4)
NUM_SIGNALS = 5


@lru_cache(maxsize=32)
def filter_rows(window: int, polynomial: int, derivative: int) -> NDArray[np.float64]:
    """Savitzky-Golay filter (mode "interp", 0.1 s) as rows of weights.

    Returns:
        (2h + 1, window), h = window // 2: rows 0 .. h-1 give the first h outputs from the first ``window`` samples,
        row h any inner output from ``window`` samples around it (:func:`inner_start`), rows h+1 .. 2h the last h outputs.
    """
    from scipy.signal import savgol_filter

    half = window // 2
    length = 2 * window
    response = savgol_filter(np.eye(length), window, polynomial, deriv=derivative, delta=STEP_S, axis=0)
    start = inner_start(window)
    rows = [response[i, :window] for i in range(half)]
    rows.append(response[window, window + start : 2 * window + start])
    rows += [response[length - half + i, length - window :] for i in range(half)]
    return np.array(rows)


def inner_start(window: int) -> int:
    """First sample of an inner window, relative to the output."""
    return -((window - 1) // 2)


@lru_cache(maxsize=4)
def filter_table(protocol: Protocol) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """All filters of a protocol: weights (5, 41, 41) padded with 0, and windows (5,)."""
    table = np.zeros((len(Filter), MAX_WINDOW, MAX_WINDOW))
    windows = np.zeros(len(Filter), np.int32)
    for index, design in enumerate(DESIGNS[protocol]):
        rows = filter_rows(*design)
        table[index, : rows.shape[0], : rows.shape[1]] = rows
        windows[index] = design[0]
    return table, windows


@wp.func
def round8(value: wp.float64) -> wp.float64:
    """Rounded to 8 decimals."""
    return wp.rint(value * ROUNDING) / ROUNDING


@wp.func
def filtered(
    table: wp.array3d(dtype=wp.float64),
    windows: wp.array(dtype=wp.int32),
    which: int,
    signals: wp.array3d(dtype=wp.float64),
    n: int,
    signal: int,
    length: int,
    i: int,
) -> wp.float64:
    """Sample i of a filtered signal of the given length, rounded."""
    window = windows[which]
    half = window // 2
    row = half
    start = i - (window - 1) // 2
    if i < half:
        row = i
        start = 0
    elif i >= length - half:
        row = 2 * half + 1 - (length - i)
        start = length - window
    value = wp.float64(0.0)
    for j in range(window):
        value += table[which, row, j] * signals[n, signal, start + j]
    return round8(value)


@wp.func
def fill_signals(
    states: wp.array3d(dtype=wp.float64),
    ego: EgoArrays,
    signals: wp.array3d(dtype=wp.float64),
    n: int,
    scene: int,
    at_center: bool,
    use_history: bool,
) -> int:
    """Raw signals of plan n, after the scene's recorded past where there is one. Returns their length.

    ``at_center``: longitudinal acceleration of the vehicle's centre instead of the rear axle (v2.2). The original
    shifts neither the lateral acceleration nor the absolute value.
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
            ax += REAR_AXLE_TO_CENTER * (omega * omega + states[n, step, ANGULAR_ACCELERATION])
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
def stays_within(
    table: wp.array3d(dtype=wp.float64),
    windows: wp.array(dtype=wp.int32),
    which: int,
    signals: wp.array3d(dtype=wp.float64),
    n: int,
    signal: int,
    length: int,
    low: wp.float64,
    high: wp.float64,
) -> bool:
    """True if the filtered signal lies strictly between the bounds at every sample."""
    for i in range(length):
        value = filtered(table, windows, which, signals, n, signal, length, i)
        if not (value > low and value < high):
            return False
    return True


@wp.func
def jerk_stays_within(
    table: wp.array3d(dtype=wp.float64),
    windows: wp.array(dtype=wp.int32),
    signals: wp.array3d(dtype=wp.float64),
    n: int,
    signal: int,
    length: int,
    bound: wp.float64,
) -> bool:
    """True if the derivative of the smoothed acceleration lies strictly within +-bound."""
    for i in range(length):
        signals[n, SMOOTH, i] = filtered(table, windows, SMOOTHING_FILTER, signals, n, signal, length, i)
    return stays_within(table, windows, JERK_FILTER, signals, n, SMOOTH, length, -bound, bound)


@wp.func
def comfort(
    states: wp.array3d(dtype=wp.float64),
    ego: EgoArrays,
    table: wp.array3d(dtype=wp.float64),
    windows: wp.array(dtype=wp.int32),
    signals: wp.array3d(dtype=wp.float64),
    flags: wp.array2d(dtype=wp.bool),
    n: int,
    scene: int,
    at_center: bool,
    use_history: bool,
) -> bool:
    """Fill the six comfort flags of plan n; True if all hold. ``signals`` (N, 5, T) is room."""
    length = fill_signals(states, ego, signals, n, scene, at_center, use_history)
    flags[n, 0] = stays_within(
        table, windows, ACCELERATION_FILTER, signals, n, LON, length, MIN_LONGITUDINAL, MAX_LONGITUDINAL
    )
    flags[n, 1] = stays_within(table, windows, ACCELERATION_FILTER, signals, n, LAT, length, -MAX_LATERAL, MAX_LATERAL)
    flags[n, 2] = jerk_stays_within(table, windows, signals, n, ABS, length, MAX_JERK)
    flags[n, 3] = jerk_stays_within(table, windows, signals, n, LON, length, MAX_LONGITUDINAL_JERK)
    flags[n, 4] = stays_within(
        table,
        windows,
        YAW_ACCELERATION_FILTER,
        signals,
        n,
        YAW,
        length,
        -MAX_YAW_ACCELERATION,
        MAX_YAW_ACCELERATION,
    )
    flags[n, 5] = stays_within(table, windows, YAW_RATE_FILTER, signals, n, YAW, length, -MAX_YAW_RATE, MAX_YAW_RATE)
    return flags[n, 0] and flags[n, 1] and flags[n, 2] and flags[n, 3] and flags[n, 4] and flags[n, 5]
