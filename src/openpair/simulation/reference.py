"""The reference that the tracker follows: 41 poses at 0.1 s, interpolated from a plan or a reference trajectory.

The original evaluator keeps time in whole microseconds and truncates, so samples fall 0 or 1 us before their nominal
time. The weights below reproduce that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S, StateIndex
from openpair.geometry.poses import local_to_global, wrap_angle

NUM_STEPS = 41
"""Simulated states: 0 .. 4 s."""

STEP_S = 0.1
"""Time between two simulated states [s]."""


@dataclass(frozen=True)
class SampleWeights:
    """Sample i lies at ``(1 - weight[i]) * knot[index[i]] + weight[i] * knot[index[i] + 1]``.

    Attributes:
        index: (41,) int32 knot before the sample.
        weight: (41,) float64 in [0, 1].
    """

    index: NDArray[np.int32]
    weight: NDArray[np.float64]


def truncated_us(offsets_s: NDArray[np.floating], time_us: int) -> NDArray[np.int64]:
    """Times ``time_us`` + offsets [us], through float seconds and truncation as in the original."""
    return ((offsets_s + time_us * 1e-6) * 1e6).astype(np.int64)


def sample_weights(knot_time_us: NDArray[np.int64], time_us: int) -> SampleWeights:
    """Where the 41 samples lie between the knots.

    Args:
        knot_time_us: (M,) strictly increasing [us].
        time_us: current time [us].
    """
    samples = truncated_us(np.arange(NUM_STEPS) * STEP_S, time_us)
    samples = np.clip(samples, knot_time_us[0], knot_time_us[-1])
    index = np.clip(np.searchsorted(knot_time_us, samples, side="right") - 1, 0, len(knot_time_us) - 2)
    start = knot_time_us[index]
    weight = (samples - start) / (knot_time_us[index + 1] - start)
    return SampleWeights(index.astype(np.int32), weight)


def plan_weights(time_us: int) -> SampleWeights:
    """Weights for a plan: knots are the ego pose (t = 0) and the plan's 8 poses (0.5 .. 4.0 s)."""
    knots = truncated_us(np.arange(NUM_POSES + 1) * POSE_INTERVAL_S, time_us)
    knots[0] = time_us
    return sample_weights(knots, time_us)


def plan_reference(plan: NDArray[np.float64], rear_axle: NDArray[np.float64], time_us: int) -> NDArray[np.float64]:
    """Reference poses of a plan.

    Args:
        plan: (8, 3) x [m], y [m], heading [rad] at 0.5 s .. 4.0 s, ego rear-axle frame.
        rear_axle: (3,) pose of the ego now, global frame.
        time_us: current time [us].

    Returns:
        (41, 3) x [m], y [m], heading [rad, -pi .. pi), global frame.
    """
    knots = np.concatenate([rear_axle[None], local_to_global(plan, rear_axle)])
    return _sampled(knots, plan_weights(time_us))


def interpolate_states(
    states: NDArray[np.float64], knot_time_us: NDArray[np.int64], time_us: int
) -> NDArray[np.float64]:
    """Reference poses of a trajectory of states.

    Args:
        states: (M, 11) global frame; only x, y, heading are used.
        knot_time_us: (M,) their times [us].
        time_us: current time [us].

    Returns:
        (41, 3) x [m], y [m], heading [rad, -pi .. pi), global frame.
    """
    return _sampled(states[:, StateIndex.X : StateIndex.HEADING + 1].copy(), sample_weights(knot_time_us, time_us))


def _sampled(knots: NDArray[np.float64], weights: SampleWeights) -> NDArray[np.float64]:
    """(41, 3) samples between knots (M, 3); headings take the shorter way round."""
    knots[:, 2] = np.unwrap(knots[:, 2])
    before, after = knots[weights.index], knots[weights.index + 1]
    sampled = before + weights.weight[:, None] * (after - before)
    sampled[:, 2] = wrap_angle(sampled[:, 2])
    return sampled
