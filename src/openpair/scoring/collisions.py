# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""NC, no at-fault collision, and TTC, time to collision: one ego plan against one track.

Both look for the first contact that counts. In the original a track that was touched without fault is ignored from
then on, and one touched with fault has already set the score; so for each plan and track only the first contact
matters, and all tracks can be tested side by side.
"""

import warp as wp

from openpair.datatypes.columns import StateIndex
from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.scoring.arrays import TrackArrays
from openpair.scoring.boxes import boxes_touch
from openpair.scoring.ego_areas import HALF_LENGTH, HALF_WIDTH, REAR_AXLE_TO_CENTER, AreaIndex
from openpair.simulation.reference import NUM_STEPS, STEP_S

wp.set_module_options(MODULE_OPTIONS)

NO_STEP = wp.constant(1 << 30)
"""Key of "no contact"; a contact's key is step * TRACK_KEY + track, so that the least key is the first contact."""
TRACK_KEY = wp.constant(1 << 20)

STEPS = wp.constant(NUM_STEPS)
DT = wp.constant(wp.float64(STEP_S))
VELOCITY_X = wp.constant(int(StateIndex.VELOCITY_X))
VELOCITY_Y = wp.constant(int(StateIndex.VELOCITY_Y))
MULTIPLE_LANES = wp.constant(int(AreaIndex.MULTIPLE_LANES))
NON_DRIVABLE = wp.constant(int(AreaIndex.NON_DRIVABLE))
REAR_AXLE_IN_INTERSECTION = wp.constant(int(AreaIndex.REAR_AXLE_IN_INTERSECTION))

STOPPED_SPEED = wp.constant(wp.float64(0.05))
TTC_MIN_SPEED = wp.constant(wp.float64(5e-3))
COS_BEHIND = wp.constant(wp.float64(-0.8660254037844386))
"""cos 150 deg: farther round than this a track is behind the rear axle."""
COS_AHEAD = wp.constant(wp.float64(0.8660254037844387))
"""cos 30 deg."""
TTC_STRIDE = wp.constant(3)
"""Steps between the looks ahead: 0, 0.3, 0.6, 0.9 s."""

NOT_AT_FAULT = wp.constant(0)
AT_FAULT_STATIC = wp.constant(1)
AT_FAULT_AGENT = wp.constant(2)


@wp.func
def cos_bearing(box: wp.vec4d, other: wp.vec4d) -> wp.float64:
    """Cosine of the angle between the ego's heading and the line from its rear axle to another centre; NaN at it."""
    dx = other[0] - (box[0] - REAR_AXLE_TO_CENTER * box[2])
    dy = other[1] - (box[1] - REAR_AXLE_TO_CENTER * box[3])
    return (dx * box[2] + dy * box[3]) / wp.sqrt(dx * dx + dy * dy)


@wp.func
def ego_speed(states: wp.array3d(dtype=wp.float64), n: int, step: int) -> wp.float64:
    """Speed [m/s]."""
    return wp.length(wp.vec2d(states[n, step, VELOCITY_X], states[n, step, VELOCITY_Y]))


@wp.func
def contact_is_at_fault(
    speed: wp.float64, box: wp.vec4d, other: wp.vec4d, half: wp.vec2d, is_stopped: int, in_bad_area: bool
) -> bool:
    """Is the ego at fault for touching this track? Decided in the order of the original."""
    if speed <= STOPPED_SPEED:
        return False
    if is_stopped != 0:
        return True
    if cos_bearing(box, other) < COS_BEHIND:
        return False
    front = wp.vec4d(box[0] + HALF_LENGTH * box[2], box[1] + HALF_LENGTH * box[3], box[2], box[3])
    if boxes_touch(front, wp.float64(0.0), HALF_WIDTH, other, half):
        return True
    return in_bad_area


@wp.func
def near(dx: wp.float64, dy: wp.float64, radius: wp.float64) -> bool:
    """Can boxes whose centres are (dx, dy) apart touch? ``radius``: sum of their half diagonals. False for NaN."""
    return dx * dx + dy * dy <= radius * radius


@wp.func
def first_collision(
    states: wp.array3d(dtype=wp.float64),
    ego_box: wp.array2d(dtype=wp.vec4d),
    areas: wp.array3d(dtype=wp.bool),
    tracks: TrackArrays,
    n: int,
    k: int,
    radius: wp.float64,
) -> int:
    """Step at which plan n first touches track k, if that contact is its fault; NO_STEP otherwise."""
    for step in range(STEPS):
        box = ego_box[n, step]
        other = tracks.pose[k, step]
        if near(other[0] - box[0], other[1] - box[1], radius):
            half = tracks.half_size[k]
            if boxes_touch(box, HALF_LENGTH, HALF_WIDTH, other, half):
                bad_area = areas[n, step, MULTIPLE_LANES] or areas[n, step, NON_DRIVABLE]
                speed = ego_speed(states, n, step)
                if contact_is_at_fault(speed, box, other, half, tracks.is_stopped[k], bad_area):
                    return step
                return NO_STEP
    return NO_STEP


@wp.func
def first_ttc_infraction(
    states: wp.array3d(dtype=wp.float64),
    ego_box: wp.array2d(dtype=wp.vec4d),
    areas: wp.array3d(dtype=wp.bool),
    tracks: TrackArrays,
    n: int,
    k: int,
    radius: wp.float64,
    steps: int,
) -> int:
    """Step at which plan n, going straight on for 0, 0.3, 0.6 or 0.9 s, first meets track k ahead of it (or beside it
    while in a bad area or an intersection); NO_STEP if the first meeting is neither."""
    for step in range(steps):
        speed = ego_speed(states, n, step)
        if speed >= TTC_MIN_SPEED:
            box = ego_box[n, step]
            for look in range(4):
                ahead = speed * DT * wp.float64(look * TTC_STRIDE)
                other = tracks.pose[k, step + look * TTC_STRIDE]
                x = box[0] + ahead * box[2]
                y = box[1] + ahead * box[3]
                if near(other[0] - x, other[1] - y, radius):
                    moved = wp.vec4d(x, y, box[2], box[3])
                    if boxes_touch(moved, HALF_LENGTH, HALF_WIDTH, other, tracks.half_size[k]):
                        bearing = cos_bearing(box, other)
                        if bearing > COS_AHEAD:
                            return step
                        beside_counts = (
                            areas[n, step, MULTIPLE_LANES]
                            or areas[n, step, NON_DRIVABLE]
                            or areas[n, step, REAR_AXLE_IN_INTERSECTION]
                        )
                        if beside_counts and not (bearing < COS_BEHIND):
                            return step
                        return NO_STEP
    return NO_STEP
