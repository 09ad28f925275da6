"""EC, two-frame extended comfort (v2.2): do plans of two neighbouring frames agree in how the ride feels?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import StateIndex
from openpair.errors import OpenPairError
from openpair.simulation.reference import NUM_STEPS, STEP_S

MAX_GAP_S = 0.55
"""Frames farther apart than this are not neighbours."""

MAX_RMS = np.array([0.7, 0.5, 0.1, 0.1])
"""Greatest allowed RMS differences: magnitude of acceleration [m/s^2], its derivative [m/s^3], yaw rate [rad/s], yaw
acceleration [rad/s^2]."""


def two_frame_rms(
    previous_states: NDArray[np.float64], current_states: NDArray[np.float64], gap_s: float
) -> NDArray[np.float64]:
    """RMS differences between the filtered signals of two simulated plans over the time they share.

    Args:
        previous_states: (..., 41, 11) simulated states of the earlier frame's plan.
        current_states: (..., 41, 11) simulated states of the plan made ``gap_s`` later.
        gap_s: time between the frames [s], at most 0.55.

    Returns:
        (..., 4) in the order of :data:`MAX_RMS`.
    """
    shift = round(gap_s / STEP_S)
    if not 0 < gap_s <= MAX_GAP_S or shift < 1:
        raise OpenPairError(
            f"frames {gap_s:.3f} s apart are not neighbours", fix=f"Compare frames at most {MAX_GAP_S} s apart"
        )
    for name, states in (("previous", previous_states), ("current", current_states)):
        if states.shape[-2:] != (NUM_STEPS, len(StateIndex)):
            raise OpenPairError(f"the {name} plan's simulated states have shape {states.shape}, not (..., 41, 11)")
    # Cut first, filter afterwards: the ends of the filters see the cut pieces.
    current = comfort_signals(current_states[..., :-shift, :])
    previous = comfort_signals(previous_states[..., shift:, :])
    return np.sqrt(np.mean((current - previous) ** 2, axis=-1))


def extended_comfort(
    previous_states: NDArray[np.float64], current_states: NDArray[np.float64], gap_s: float
) -> NDArray[np.float64]:
    """EC (...,): 1 where no RMS difference exceeds its bound, else 0. Arguments as of :func:`two_frame_rms`."""
    within = two_frame_rms(previous_states, current_states, gap_s) <= MAX_RMS
    return np.asarray(within.all(axis=-1), np.float64)


def comfort_signals(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., T, 11) states -> (..., 4, T) filtered: size of acceleration, its derivative, yaw rate, yaw acceleration."""
    acceleration = np.hypot(states[..., StateIndex.ACCELERATION_X], states[..., StateIndex.ACCELERATION_Y])
    heading = np.unwrap(states[..., StateIndex.HEADING], axis=-1)
    smooth = savgol(acceleration, 8, 2, 0)
    return np.stack([smooth, savgol(smooth, 15, 2, 1), savgol(heading, 5, 2, 1), savgol(heading, 5, 2, 2)], axis=-2)


def savgol(values: NDArray[np.float64], window: int, polynomial: int, derivative: int) -> NDArray[np.float64]:
    """Savitzky-Golay filter along the last axis (mode "interp", 0.1 s), rounded to 8 decimals."""
    from scipy.signal import savgol_filter

    return np.round(savgol_filter(values, window, polynomial, deriv=derivative, delta=STEP_S, axis=-1), 8)


def predecessors(log_names: Sequence[str], time_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each evaluated original scene the scene just before it, for one-stage evaluation.

    Args:
        log_names: (S,) log of each scene.
        time_us: (S,) time of its current frame [us].

    Returns:
        (S,) index of the neighbour in time among the given scenes of the same log, -1 where none lies within 0.55 s.
    """
    result = np.full(len(time_us), -1, np.int64)
    order = sorted(range(len(time_us)), key=lambda i: (log_names[i], int(time_us[i])))
    for before, after in pairwise(order):
        gap_s = (int(time_us[after]) - int(time_us[before])) * 1e-6
        if log_names[before] == log_names[after] and 0 < gap_s <= MAX_GAP_S:
            result[after] = before
    return result
