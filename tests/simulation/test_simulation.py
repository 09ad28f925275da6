"""Reference interpolation, tracker and bicycle against formulas written out densely and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp

from openpair.datatypes.columns import StateIndex
from openpair.geometry.poses import local_to_global
from openpair.geometry.warp_runtime import MODULE_OPTIONS, start_warp
from openpair.simulation import NUM_STEPS, interpolate_states, plan_weights, simulate
from openpair.simulation.tracker import NUM_MOVES, fit_curvature, fit_velocity, velocity_factors

wp.set_module_options(MODULE_OPTIONS)

TIME_US = 1_600_588_014_555_708


@wp.kernel
def fit_kernel(
    factors: wp.array2d(dtype=wp.float64),
    velocity: wp.array2d(dtype=wp.float64),
    pivot: wp.array2d(dtype=wp.float64),
    curvature: wp.array2d(dtype=wp.float64),
):
    n = wp.tid()
    fit_velocity(factors, velocity, n)
    fit_curvature(velocity, pivot, curvature, n)


def fit(moves: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Velocity and curvature profiles (40,) of displacements and heading changes (40,)."""
    start_warp()
    views = [wp.array(x, dtype=wp.float64, device="cpu") for x in (velocity_factors(), moves[None], np.zeros((1, 40)))]
    curvature = wp.array(turns[None], dtype=wp.float64, device="cpu")
    wp.launch(fit_kernel, dim=1, inputs=[*views, curvature], device="cpu")
    return views[1].numpy()[0], curvature.numpy()[0]


def dense_fit(moves: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by dense normal equations, as the specification writes them (with its faulty difference matrix)."""
    n, dt = NUM_MOVES, 0.1
    design = np.tril(np.full((n, n), dt**2))
    design[:, 0] = dt
    difference = np.zeros((n - 2, n))
    for row in range(n - 2):
        difference[row, [row, row + 1]] = 0.0
        difference[row, row + 1] = -1.0
    difference[n - 3, n - 1] = 1.0
    solution = np.linalg.solve(design.T @ design + 1e-4 * difference.T @ difference, design.T @ moves)
    velocity = solution[0] + np.concatenate([[0.0], np.cumsum(solution[1:] * dt)])
    design = np.tril(np.ones((n, n))) * velocity[:, None] * dt**2
    design[:, 0] = velocity * dt
    weight = np.full(n, 1e-2)
    weight[0] = 1e-10
    solution = np.linalg.solve(design.T @ design + np.diag(weight), design.T @ turns)
    return velocity, solution[0] + np.concatenate([[0.0], np.cumsum(solution[1:] * dt)])


@pytest.mark.parametrize("seed", range(4))
def test_fitted_profiles_solve_the_least_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    moves, turns = rng.uniform(0.0, 1.5, NUM_MOVES), rng.normal(0.0, 0.05, NUM_MOVES)
    velocity, curvature = fit(moves, turns)
    dense_velocity, dense_curvature = dense_fit(moves, turns)
    np.testing.assert_allclose(velocity, dense_velocity, atol=1e-9)
    np.testing.assert_allclose(curvature, dense_curvature, atol=1e-6)


def test_curvature_of_a_standing_vehicle_is_finite() -> None:
    velocity, curvature = fit(np.zeros(NUM_MOVES), np.zeros(NUM_MOVES))
    assert (velocity == 0.0).all()
    assert (curvature == 0.0).all()


def test_plan_samples_lie_between_their_knots() -> None:
    weights = plan_weights(TIME_US)
    times = 0.5 * (weights.index + weights.weight)
    np.testing.assert_allclose(times, 0.1 * np.arange(NUM_STEPS), atol=3e-6)  # truncation to whole microseconds
    assert weights.weight.min() >= 0.0
    assert weights.weight.max() <= 1.0


def test_states_are_interpolated_the_short_way_round() -> None:
    states = np.zeros((3, 11))
    states[:, 0] = [0.0, 2.0, 4.0]
    states[:, 2] = [3.1, -3.1, -3.0]  # crosses pi
    times = TIME_US + 2_000_000 * np.arange(3)
    sampled = interpolate_states(states, times, TIME_US)
    np.testing.assert_allclose(sampled[:, 0], 0.1 * np.arange(NUM_STEPS), atol=3e-6)
    assert np.abs(sampled[:20, 2]).min() > 3.09
    assert np.abs(sampled[:, 2]).max() <= np.pi


def straight(speed: float) -> np.ndarray:
    reference = np.zeros((1, NUM_STEPS, 3))
    reference[0, :, 0] = speed * 0.1 * np.arange(NUM_STEPS)
    return reference


def test_straight_reference_is_followed_exactly() -> None:
    state = np.zeros(11)
    state[StateIndex.VELOCITY_X] = 8.0
    states = simulate(straight(8.0), state)[0]
    np.testing.assert_allclose(states[:, 0], 0.8 * np.arange(NUM_STEPS), atol=1e-9)
    assert np.abs(states[:, [1, 2, 7, 8, 9, 10]]).max() < 1e-12


def test_first_step_by_hand() -> None:
    # At rest, reference at 2 m/s throughout: command 10/11 * 2, acceleration follows with a lag of 1/3.
    states = simulate(straight(2.0), np.zeros(11))[0]
    command = 10 / 11 * 2.0
    assert states[1, StateIndex.ACCELERATION_X] == pytest.approx(command / 3, abs=1e-6)
    assert states[1, StateIndex.VELOCITY_X] == pytest.approx(command / 30, abs=1e-7)
    assert states[1, StateIndex.X] == 0.0  # the old speed was 0
    second = command - 10 / 11 * command / 30
    expected = command / 3 + (second - command / 3) / 3
    assert states[2, StateIndex.ACCELERATION_X] == pytest.approx(expected, abs=1e-6)


def test_stop_mode_brakes_gently_and_does_not_steer() -> None:
    state = np.zeros(11)
    state[StateIndex.VELOCITY_X] = 0.2
    reference = np.zeros((1, NUM_STEPS, 3))
    reference[0, :, 1] = 0.5  # beside the vehicle
    states = simulate(reference, state)[0]
    assert states[1, StateIndex.ACCELERATION_X] == pytest.approx(-0.5 * 0.2 / 3, abs=1e-9)
    assert (states[:, StateIndex.STEERING_ANGLE] == 0.0).all()


def test_steering_is_clipped_but_its_rate_is_not() -> None:
    state = np.zeros(11)
    state[StateIndex.VELOCITY_X] = 3.0
    reference = np.zeros((1, NUM_STEPS, 3))
    arc = 0.3 * np.arange(NUM_STEPS)
    reference[0] = np.stack([np.sin(arc / 1.2) * 1.2, (1 - np.cos(arc / 1.2)) * 1.2, arc / 1.2], axis=1)
    states = simulate(reference, state)[0]
    steering = states[:, StateIndex.STEERING_ANGLE]
    assert steering.max() == pytest.approx(np.pi / 3)
    clipped = np.flatnonzero(steering[1:] == steering.max()) + 1
    assert (states[clipped, StateIndex.STEERING_RATE] > 0.0).any()


@pytest.mark.parametrize("seed", range(3))
def test_simulation_moves_and_turns_with_the_world(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plan = np.cumsum(rng.normal([1.0, 0.0, 0.0], [0.3, 0.02, 0.02], (5, NUM_STEPS, 3)), axis=1)
    plan[:, 0] = 0.0
    state = np.zeros(11)
    state[StateIndex.VELOCITY_X : StateIndex.STEERING_ANGLE] = [9.0, 0.1, 0.4, 0.1]
    origin = np.array([664_000.25, 3_998_000.75, 2.2])
    moved = state.copy()
    moved[:3] = origin
    here = simulate(plan, state)
    there = simulate(local_to_global(plan, origin), moved)
    expected = local_to_global(here[..., :3], origin)
    np.testing.assert_allclose(there[..., :2], expected[..., :2], atol=1e-7)
    np.testing.assert_allclose(np.cos(there[..., 2] - expected[..., 2]), 1.0, atol=1e-12)
    np.testing.assert_allclose(there[..., 3:], here[..., 3:], atol=1e-6)


def test_plans_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(5)
    plan = np.cumsum(rng.normal([1.0, 0.0, 0.0], [0.3, 0.02, 0.02], (40, NUM_STEPS, 3)), axis=1)
    state = np.zeros(11)
    state[StateIndex.VELOCITY_X] = 10.0
    together = simulate(plan, state)
    np.testing.assert_array_equal(together[::-1], simulate(plan[::-1], state))
    np.testing.assert_array_equal(together[7:8], simulate(plan[7:8], state))
