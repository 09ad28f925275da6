# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""Kinematic bicycle with first-order lag in acceleration and steering, one Euler step of 0.1 s."""

import warp as wp

from openpair.datatypes import vehicle
from openpair.datatypes.columns import StateIndex
from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.simulation.reference import STEP_S
from openpair.simulation.tracker import wrap

wp.set_module_options(MODULE_OPTIONS)

DT = wp.constant(wp.float64(STEP_S))
WHEELBASE = wp.constant(wp.float64(vehicle.WHEELBASE_M))
ACCELERATION_LAG = wp.constant(wp.float64(STEP_S / (STEP_S + 0.2)))
STEERING_LAG = wp.constant(wp.float64(STEP_S / (STEP_S + 0.05)))
MAX_STEERING_ANGLE = wp.constant(wp.float64(3.141592653589793 / 3.0))

X = wp.constant(int(StateIndex.X))
Y = wp.constant(int(StateIndex.Y))
HEADING = wp.constant(int(StateIndex.HEADING))
VELOCITY_X = wp.constant(int(StateIndex.VELOCITY_X))
VELOCITY_Y = wp.constant(int(StateIndex.VELOCITY_Y))
ACCELERATION_X = wp.constant(int(StateIndex.ACCELERATION_X))
ACCELERATION_Y = wp.constant(int(StateIndex.ACCELERATION_Y))
STEERING_ANGLE = wp.constant(int(StateIndex.STEERING_ANGLE))
STEERING_RATE = wp.constant(int(StateIndex.STEERING_RATE))
ANGULAR_VELOCITY = wp.constant(int(StateIndex.ANGULAR_VELOCITY))
ANGULAR_ACCELERATION = wp.constant(int(StateIndex.ANGULAR_ACCELERATION))


@wp.struct
class BicycleState:
    """The part of the ego state that evolves; x and y in the frame of the scene's origin."""

    x: wp.float64
    y: wp.float64
    heading: wp.float64
    speed: wp.float64
    acceleration: wp.float64
    steering_angle: wp.float64
    tan_steering: wp.float64
    steering_rate: wp.float64
    angular_velocity: wp.float64
    angular_acceleration: wp.float64


@wp.func
def advance(
    state: BicycleState,
    cos_heading: wp.float64,
    sin_heading: wp.float64,
    acceleration_command: wp.float64,
    steering_rate_command: wp.float64,
) -> BicycleState:
    """The state 0.1 s later. Position and heading use the old speed, heading and steering angle."""
    after = BicycleState()
    after.x = state.x + state.speed * cos_heading * DT
    after.y = state.y + state.speed * sin_heading * DT
    turn_rate = state.speed * state.tan_steering / WHEELBASE
    after.heading = wrap(state.heading + turn_rate * DT)
    after.acceleration = state.acceleration + ACCELERATION_LAG * (acceleration_command - state.acceleration)
    after.speed = state.speed + after.acceleration * DT
    # The rate is that before the angle is clipped.
    after.steering_rate = STEERING_LAG * steering_rate_command
    steering = state.steering_angle + after.steering_rate * DT
    after.steering_angle = wp.clamp(steering, -MAX_STEERING_ANGLE, MAX_STEERING_ANGLE)
    after.tan_steering = wp.tan(after.steering_angle)
    after.angular_velocity = after.speed * after.tan_steering / WHEELBASE
    after.angular_acceleration = (after.angular_velocity - state.angular_velocity) / DT
    return after


@wp.func
def write_state(states: wp.array3d(dtype=wp.float64), n: int, step: int, state: BicycleState, origin: wp.vec2d):
    """Row (n, step) of the state table, global frame; lateral velocity and acceleration are 0."""
    states[n, step, X] = state.x + origin[0]
    states[n, step, Y] = state.y + origin[1]
    states[n, step, HEADING] = state.heading
    states[n, step, VELOCITY_X] = state.speed
    states[n, step, VELOCITY_Y] = wp.float64(0.0)
    states[n, step, ACCELERATION_X] = state.acceleration
    states[n, step, ACCELERATION_Y] = wp.float64(0.0)
    states[n, step, STEERING_ANGLE] = state.steering_angle
    states[n, step, STEERING_RATE] = state.steering_rate
    states[n, step, ANGULAR_VELOCITY] = state.angular_velocity
    states[n, step, ANGULAR_ACCELERATION] = state.angular_acceleration
