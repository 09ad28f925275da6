# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""The tracker: an LQR that follows 41 reference poses with an acceleration and a steering rate.

Two least-squares fits turn the poses into a velocity and a curvature profile, then each step looks ten steps ahead.
Warp functions are plain Python under a decorator; they compile for CPU and CUDA alike.
"""

from functools import lru_cache

import numpy as np
import warp as wp
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.simulation.reference import NUM_STEPS, STEP_S

wp.set_module_options(MODULE_OPTIONS)

NUM_MOVES = NUM_STEPS - 1
"""Displacements between reference poses."""

DT = wp.constant(wp.float64(STEP_S))
WHEELBASE = wp.constant(wp.float64(vehicle.WHEELBASE_M))
HORIZON = wp.constant(10)
LAST_MOVE = wp.constant(NUM_MOVES - 1)
PI = wp.constant(wp.float64(np.pi))
TWO_PI = wp.constant(wp.float64(2.0 * np.pi))

STOP_SPEED = wp.constant(wp.float64(0.2))
STOP_GAIN = wp.constant(wp.float64(0.5))
SPEED_GAIN = wp.constant(wp.float64(10.0 / 11.0))
LATERAL_WEIGHT = wp.constant(wp.float64(1.0))
HEADING_WEIGHT = wp.constant(wp.float64(10.0))
STEERING_EFFORT = wp.constant(wp.float64(1.0))
CURVATURE_RATE_WEIGHT = wp.constant(wp.float64(1e-2 / STEP_S**2))
INITIAL_CURVATURE_WEIGHT = wp.constant(wp.float64(1e-10))

ACCELERATION_RIDGE = 1e-4


@lru_cache(maxsize=2)
def velocity_factors(strict: bool = False) -> NDArray[np.float64]:
    """(3, 40) factors L D L' of the velocity fit's normal equations: first and second subdiagonal of L, 1 / D.

    The fit is a ridge least squares over an initial speed and 39 accelerations. Its difference matrix carries -1
    twice in each row, a slip of the original evaluator: what was meant to penalise jerk penalises acceleration. It is
    kept, since mending it moves simulated positions by up to 0.9 m; ``strict`` mends it. Written in the velocities
    themselves the equations have only two subdiagonals.
    """
    n = NUM_MOVES
    difference = np.zeros((n - 2, n))
    rows = np.arange(n - 2)
    difference[rows, rows + 1] = -1.0
    if strict:
        difference[rows, rows + 2] = 1.0
    difference[n - 3, n - 1] = 1.0
    accelerations = (np.eye(n) - np.eye(n, k=-1)) / STEP_S  # of velocities; row 0 is the initial speed itself
    accelerations[0] *= STEP_S
    penalty = difference @ accelerations
    lower = np.linalg.cholesky(STEP_S**2 * np.eye(n) + ACCELERATION_RIDGE * penalty.T @ penalty)
    diagonal = np.diag(lower)
    unit = lower / diagonal
    factors = np.zeros((3, n))
    factors[0, 1:] = np.diag(unit, -1)
    factors[1, 2:] = np.diag(unit, -2)
    factors[2] = 1.0 / diagonal**2
    return factors


@wp.func
def wrap(angle: wp.float64) -> wp.float64:
    """Angle [rad] brought to [-pi, pi)."""
    return angle - TWO_PI * wp.floor((angle + PI) / TWO_PI)


@wp.func
def fit_velocity(factors: wp.array2d(dtype=wp.float64), velocity: wp.array2d(dtype=wp.float64), n: int):
    """Velocity profile [m/s] of plan n, in place: on entry ``velocity[n]`` holds the displacements [m]."""
    before = wp.float64(0.0)
    before2 = wp.float64(0.0)
    for i in range(LAST_MOVE + 1):
        value = DT * velocity[n, i] - factors[0, i] * before - factors[1, i] * before2
        velocity[n, i] = value * factors[2, i]
        before2 = before
        before = value
    after = velocity[n, LAST_MOVE]
    after2 = wp.float64(0.0)
    for back in range(1, LAST_MOVE + 1):
        i = LAST_MOVE - back
        value = velocity[n, i] - factors[0, i + 1] * after
        if back > 1:
            value -= factors[1, i + 2] * after2
        velocity[n, i] = value
        after2 = after
        after = value


@wp.func
def fit_curvature(
    velocity: wp.array2d(dtype=wp.float64),
    pivot: wp.array2d(dtype=wp.float64),
    curvature: wp.array2d(dtype=wp.float64),
    n: int,
):
    """Curvature profile [1/m] of plan n, in place: on entry ``curvature[n]`` holds the heading changes [rad].

    Minimises sum (v_i dt k_i - dh_i)^2 + 1e-2 sum rate_i^2 + 1e-10 k_0^2. Written in the k_i the normal equations are
    tridiagonal; eliminating from the last one down to k_0 needs only sums of positive terms, so that nothing cancels
    even at standstill, where the dense equations have a condition number near 1e8.
    """
    c = CURVATURE_RATE_WEIGHT
    below = wp.float64(0.0)  # pivot and right side of the row eliminated before, seen from this row
    right = wp.float64(0.0)
    for back in range(LAST_MOVE + 1):
        i = LAST_MOVE - back
        s = velocity[n, i] * DT
        pivot_i = s * s + below
        right_i = s * curvature[n, i] + right
        pivot[n, i] = pivot_i
        curvature[n, i] = right_i
        pull = c / (pivot_i + c)
        below = pull * pivot_i
        right = pull * right_i
    k = curvature[n, 0] / (pivot[n, 0] + INITIAL_CURVATURE_WEIGHT)
    curvature[n, 0] = k
    for i in range(1, LAST_MOVE + 1):
        k = (c * k + curvature[n, i]) / (pivot[n, i] + c)
        curvature[n, i] = k


@wp.func
def longitudinal_command(speed: wp.float64, reference_speed: wp.float64) -> wp.float64:
    """Acceleration command [m/s^2]."""
    gain = SPEED_GAIN
    if reference_speed <= STOP_SPEED and speed <= STOP_SPEED:
        gain = STOP_GAIN
    return -gain * (speed - reference_speed)


@wp.func
def steering_rate_command(
    curvature: wp.array2d(dtype=wp.float64),
    n: int,
    step: int,
    speed: wp.float64,
    acceleration: wp.float64,
    lateral_error: wp.float64,
    heading_error: wp.float64,
    steering_angle: wp.float64,
) -> wp.float64:
    """Steering rate [rad/s] that minimises the lateral and heading error ten steps ahead.

    Args:
        curvature: (N, 40) profile [1/m].
        n: plan.
        step: current step.
        speed: longitudinal speed [m/s].
        acceleration: command for this step [m/s^2].
        lateral_error: left of the reference pose is positive [m].
        heading_error: in [-pi, pi) [rad].
        steering_angle: [rad].
    """
    last = wp.min(step + HORIZON, LAST_MOVE)
    # z: the error state after the horizon without steering; b: what a unit of steering rate adds to it.
    z_lateral = lateral_error
    z_heading = heading_error
    b_lateral = wp.float64(0.0)
    b_heading = wp.float64(0.0)
    b_steering = wp.float64(0.0)
    for j in range(HORIZON):
        kappa = curvature[n, wp.min(step + j, last)]
        move = (speed + acceleration * b_steering) * DT  # b_steering: time since the first step
        turn = move / WHEELBASE
        b_lateral = b_lateral + move * b_heading
        b_heading = b_heading + turn * b_steering
        b_steering = b_steering + DT
        z_lateral = z_lateral + move * z_heading
        z_heading = z_heading + turn * steering_angle - move * kappa
    z_heading = wrap(z_heading)
    numerator = LATERAL_WEIGHT * b_lateral * z_lateral + HEADING_WEIGHT * b_heading * z_heading
    effort = LATERAL_WEIGHT * b_lateral * b_lateral + HEADING_WEIGHT * b_heading * b_heading + STEERING_EFFORT
    return -numerator / effort
