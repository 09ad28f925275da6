# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
# ruff: noqa: RUF046, UP018
"""The two kernels of the simulation: plan -> reference poses, reference poses -> simulated states."""

import warp as wp

from openpair.datatypes import vehicle
from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.simulation.bicycle import (
    ACCELERATION_X,
    ACCELERATION_Y,
    ANGULAR_ACCELERATION,
    ANGULAR_VELOCITY,
    HEADING,
    STEERING_ANGLE,
    STEERING_RATE,
    VELOCITY_X,
    BicycleState,
    X,
    Y,
    advance,
    write_state,
)
from openpair.simulation.reference import NUM_STEPS
from openpair.simulation.tracker import (
    HORIZON,
    LAST_MOVE,
    STOP_SPEED,
    fit_curvature,
    fit_velocity,
    longitudinal_command,
    steering_rate_command,
    wrap,
)

wp.set_module_options(MODULE_OPTIONS)

STEPS = wp.constant(NUM_STEPS)
NUM_STATE_COLUMNS = wp.constant(11)
NUM_PLAN_POSES = wp.constant(8)
REAR_AXLE_TO_CENTER = wp.constant(wp.float64(vehicle.REAR_AXLE_TO_CENTER_M))
LOOKAHEAD = wp.constant(wp.float64(0.9))


@wp.kernel
def interpolate_plans(
    plans: wp.array3d(dtype=wp.float64),
    plan_scene: wp.array(dtype=wp.int32),
    ego_state: wp.array2d(dtype=wp.float64),
    knot_index: wp.array2d(dtype=wp.int32),
    knot_weight: wp.array2d(dtype=wp.float64),
    reference: wp.array3d(dtype=wp.float64),
):
    """One plan a thread: (8, 3) poses in the ego frame -> (41, 3) poses in global axes around the ego's rear axle."""
    n = wp.tid()
    scene = plan_scene[n]
    start_heading = ego_state[scene, HEADING]
    c = wp.cos(start_heading)
    s = wp.sin(start_heading)
    # The knots' segment that holds the current sample: from (x0, y0, h0) to (x1, y1, h1), headings unwrapped.
    x0 = wp.float64(0.0)
    y0 = wp.float64(0.0)
    h0 = start_heading
    x1 = c * plans[n, 0, 0] - s * plans[n, 0, 1]
    y1 = s * plans[n, 0, 0] + c * plans[n, 0, 1]
    h1 = h0 + wrap(plans[n, 0, 2])
    segment = int(0)
    for i in range(STEPS):
        while segment < knot_index[scene, i]:
            segment += 1
            x0 = x1
            y0 = y1
            h0 = h1
            x1 = c * plans[n, segment, 0] - s * plans[n, segment, 1]
            y1 = s * plans[n, segment, 0] + c * plans[n, segment, 1]
            h1 = h0 + wrap(start_heading + plans[n, segment, 2] - h0)
        w = knot_weight[scene, i]
        reference[n, i, 0] = x0 + w * (x1 - x0)
        reference[n, i, 1] = y0 + w * (y1 - y0)
        reference[n, i, 2] = wrap(h0 + w * (h1 - h0))


@wp.kernel
def simulate_plans(
    reference: wp.array3d(dtype=wp.float64),
    plan_scene: wp.array(dtype=wp.int32),
    ego_state: wp.array2d(dtype=wp.float64),
    velocity_factors: wp.array2d(dtype=wp.float64),
    profiles: wp.array3d(dtype=wp.float64),
    states: wp.array3d(dtype=wp.float64),
    ego_box: wp.array2d(dtype=wp.vec4d),
    reach: wp.array(dtype=wp.vec4d),
):
    """One plan a thread: follow the reference from the measured ego state for 4 s.

    Writes ``states`` (N, 41, 11) in the global frame, ``ego_box`` (N, 41) centre x, y, cos and sin of the heading
    around the scene's origin, and ``reach`` (N,) min x, min y, max x, max y of the centres and of every centre moved
    straight on for 0.9 s (the time-to-collision horizon). ``profiles`` (5, N, 40) is room.
    """
    n = wp.tid()
    scene = plan_scene[n]
    velocity = profiles[0]
    curvature = profiles[1]
    pivot = profiles[2]
    cos_reference = profiles[3]
    sin_reference = profiles[4]
    for i in range(LAST_MOVE + 1):
        h = reference[n, i, 2]
        c = wp.cos(h)
        s = wp.sin(h)
        cos_reference[n, i] = c
        sin_reference[n, i] = s
        dx = reference[n, i + 1, 0] - reference[n, i, 0]
        dy = reference[n, i + 1, 1] - reference[n, i, 1]
        velocity[n, i] = dx * c + dy * s
        curvature[n, i] = wrap(reference[n, i + 1, 2] - h)
    fit_velocity(velocity_factors, velocity, n)
    fit_curvature(velocity, pivot, curvature, n)

    origin = wp.vec2d(ego_state[scene, X], ego_state[scene, Y])
    state = BicycleState()
    state.heading = ego_state[scene, HEADING]
    state.speed = ego_state[scene, VELOCITY_X]
    state.acceleration = ego_state[scene, ACCELERATION_X]
    state.steering_angle = ego_state[scene, STEERING_ANGLE]
    state.tan_steering = wp.tan(state.steering_angle)
    state.steering_rate = ego_state[scene, STEERING_RATE]
    state.angular_velocity = ego_state[scene, ANGULAR_VELOCITY]
    state.angular_acceleration = ego_state[scene, ANGULAR_ACCELERATION]
    for column in range(NUM_STATE_COLUMNS):
        states[n, 0, column] = ego_state[scene, column]

    bounds = wp.vec4d(wp.float64(1e30), wp.float64(1e30), wp.float64(-1e30), wp.float64(-1e30))
    for step in range(STEPS):
        c = wp.cos(state.heading)
        s = wp.sin(state.heading)
        if step > 0:
            write_state(states, n, step, state, origin)
        center_x = state.x + REAR_AXLE_TO_CENTER * c
        center_y = state.y + REAR_AXLE_TO_CENTER * s
        ego_box[n, step] = wp.vec4d(center_x, center_y, c, s)
        ahead = wp.length(wp.vec2d(states[n, step, VELOCITY_X], states[n, step, VELOCITY_X + 1])) * LOOKAHEAD
        ahead_x = center_x + ahead * c
        ahead_y = center_y + ahead * s
        bounds = wp.vec4d(
            wp.min(bounds[0], wp.min(center_x, ahead_x)),
            wp.min(bounds[1], wp.min(center_y, ahead_y)),
            wp.max(bounds[2], wp.max(center_x, ahead_x)),
            wp.max(bounds[3], wp.max(center_y, ahead_y)),
        )
        if step <= LAST_MOVE:
            reference_speed = velocity[n, wp.min(step + HORIZON, LAST_MOVE)]
            acceleration = longitudinal_command(state.speed, reference_speed)
            rate = wp.float64(0.0)
            if reference_speed > STOP_SPEED or state.speed > STOP_SPEED:
                h = reference[n, step, 2]
                error_x = state.x - reference[n, step, 0]
                error_y = state.y - reference[n, step, 1]
                lateral_error = error_y * cos_reference[n, step] - error_x * sin_reference[n, step]
                rate = steering_rate_command(
                    curvature,
                    n,
                    step,
                    state.speed,
                    acceleration,
                    lateral_error,
                    wrap(state.heading - h),
                    state.steering_angle,
                )
            state = advance(state, c, s, acceleration, rate)
    reach[n] = bounds


@wp.kernel
def write_lateral_acceleration(states: wp.array3d(dtype=wp.float64)):
    """One plan and step a thread: lateral acceleration of the rear axle, speed times yaw rate, in simulated states
    (the strict variant; the original leaves it at 0). State 0 is the measured one and stays."""
    n, step = wp.tid()
    if step > 0:
        states[n, step, ACCELERATION_Y] = states[n, step, VELOCITY_X] * states[n, step, ANGULAR_VELOCITY]
