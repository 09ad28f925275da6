# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""The kernels of the scorer, in the order in which they run. Each metric's arithmetic is in its own module."""

import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.scoring.aggregation import (
    COMFORT,
    DAC,
    DDC,
    GAIN,
    LK,
    MULTIPLIER,
    NC,
    PROGRESS,
    TLC,
    TTC,
    aggregate,
)
from openpair.scoring.arrays import EgoArrays, LightArrays, MapArrays, PathArrays, TrackArrays
from openpair.scoring.collisions import (
    AT_FAULT_AGENT,
    AT_FAULT_STATIC,
    NO_STEP,
    TRACK_KEY,
    first_collision,
    first_ttc_infraction,
)
from openpair.scoring.comfort import ComfortMode, comfort
from openpair.scoring.driving_direction import driving_direction
from openpair.scoring.ego_areas import (
    CENTER_CROSSING,
    CORNERS,
    HALF_LENGTH,
    HALF_WIDTH,
    IN_ONE_LANE,
    IN_TWO_LANES,
    ON_ROUTE,
    REAR_AXLE_CROSSING,
    AreaIndex,
    ego_areas,
    on_red_light,
)
from openpair.scoring.filters import FilterArrays
from openpair.scoring.lane_keeping import follow_path
from openpair.simulation.reference import NUM_STEPS

wp.set_module_options(MODULE_OPTIONS)

STEPS = wp.constant(NUM_STEPS)
MULTIPLE_LANES = wp.constant(int(AreaIndex.MULTIPLE_LANES))
NON_DRIVABLE = wp.constant(int(AreaIndex.NON_DRIVABLE))
ONCOMING = wp.constant(int(AreaIndex.ONCOMING))
CENTER_IN_INTERSECTION = wp.constant(int(AreaIndex.CENTER_IN_INTERSECTION))
REAR_AXLE_IN_INTERSECTION = wp.constant(int(AreaIndex.REAR_AXLE_IN_INTERSECTION))
ON_RED_LIGHT = wp.constant(int(AreaIndex.ON_RED_LIGHT))
COMFORT_NOT_SCORED = wp.constant(int(ComfortMode.NOT_SCORED))
COMFORT_WITH_PAST = wp.constant(int(ComfortMode.WITH_PAST))


@wp.kernel
def find_areas(
    area: MapArrays,
    lights: LightArrays,
    plan_scene: wp.array(dtype=wp.int32),
    ego_box: wp.array2d(dtype=wp.vec4d),
    areas: wp.array3d(dtype=wp.bool),
):
    """One plan and step a thread: fill the ego-area table (N, 41, 6)."""
    n, step = wp.tid()
    scene = plan_scene[n]
    box = ego_box[n, step]
    known = ego_areas(area, scene, box)
    areas[n, step, MULTIPLE_LANES] = (known & IN_TWO_LANES) != 0 and (known & IN_ONE_LANE) == 0
    areas[n, step, NON_DRIVABLE] = (known & CORNERS) != CORNERS
    areas[n, step, ONCOMING] = (known & ON_ROUTE) == 0
    areas[n, step, CENTER_IN_INTERSECTION] = (known & CENTER_CROSSING) != 0
    areas[n, step, REAR_AXLE_IN_INTERSECTION] = (known & REAR_AXLE_CROSSING) != 0
    areas[n, step, ON_RED_LIGHT] = on_red_light(lights, scene, step, box)


@wp.kernel
def find_contacts(
    tracks: TrackArrays,
    plan_scene: wp.array(dtype=wp.int32),
    states: wp.array3d(dtype=wp.float64),
    ego_box: wp.array2d(dtype=wp.vec4d),
    reach: wp.array(dtype=wp.vec4d),
    areas: wp.array3d(dtype=wp.bool),
    ttc_steps: int,
    collision_fault: wp.array(dtype=wp.int32),
    collision_key: wp.array(dtype=wp.int32),
    ttc_key: wp.array(dtype=wp.int32),
):
    """One plan and track a thread: the first at-fault collision and the first time-to-collision infraction."""
    n, i = wp.tid()
    scene = plan_scene[n]
    k = tracks.track_range[scene] + i
    if k >= tracks.track_range[scene + 1]:
        return
    ego_reach = reach[n]
    other = tracks.reach[k]
    margin = wp.length(wp.vec2d(HALF_LENGTH, HALF_WIDTH))
    if (
        ego_reach[0] - margin > other[2]
        or ego_reach[2] + margin < other[0]
        or ego_reach[1] - margin > other[3]
        or ego_reach[3] + margin < other[1]
    ):
        return
    # A little more than the half diagonals: the exact test decides on touch.
    radius = (margin + wp.length(tracks.half_size[k])) * wp.float64(1.000001)
    step = first_collision(states, ego_box, areas, tracks, n, k, radius)
    if step < NO_STEP:
        wp.atomic_min(collision_key, n, step * TRACK_KEY + i)
        if tracks.is_agent[k] != 0:
            wp.atomic_max(collision_fault, n, AT_FAULT_AGENT)
        else:
            wp.atomic_max(collision_fault, n, AT_FAULT_STATIC)
    step = first_ttc_infraction(states, ego_box, areas, tracks, n, k, radius, ttc_steps)
    if step < NO_STEP:
        wp.atomic_min(ttc_key, n, step * TRACK_KEY + i)


@wp.kernel
def measure_plans(
    path: PathArrays,
    ego: EgoArrays,
    plan_scene: wp.array(dtype=wp.int32),
    states: wp.array3d(dtype=wp.float64),
    ego_box: wp.array2d(dtype=wp.vec4d),
    areas: wp.array3d(dtype=wp.bool),
    collision_fault: wp.array(dtype=wp.int32),
    ttc_key: wp.array(dtype=wp.int32),
    filters: FilterArrays,
    is_v2: bool,
    comfort_mode: int,
    strict: bool,
    signals: wp.array3d(dtype=wp.float64),
    comfort_flags: wp.array2d(dtype=wp.bool),
    deviation: wp.array2d(dtype=wp.float64),
    best_gain: wp.array(dtype=wp.float64),
    results: wp.array2d(dtype=wp.float64),
):
    """One plan a thread: every sub-metric but EP, which needs the other plans' progress."""
    n = wp.tid()
    scene = plan_scene[n]
    zero = wp.float64(0.0)
    one = wp.float64(1.0)

    nc = one
    if collision_fault[n] == AT_FAULT_AGENT:
        nc = zero
    elif collision_fault[n] == AT_FAULT_STATIC:
        nc = wp.float64(0.5)
    dac = one
    tlc = one
    for step in range(STEPS):
        if areas[n, step, NON_DRIVABLE]:
            dac = zero
        if areas[n, step, ON_RED_LIGHT]:
            tlc = zero
    ttc = one
    if ttc_key[n] < NO_STEP:
        ttc = zero
    ddc = driving_direction(ego_box, areas, n, not is_v2)

    progress_and_lk = follow_path(path, ego_box, areas, deviation, n, scene, is_v2)
    progress = progress_and_lk[0]

    comfortable = one
    if comfort_mode != COMFORT_NOT_SCORED:
        past = comfort_mode == COMFORT_WITH_PAST
        if not comfort(states, ego, filters, signals, comfort_flags, n, scene, is_v2, past, strict):
            comfortable = zero

    multiplier = nc * dac
    if is_v2:
        multiplier = multiplier * ddc * tlc
    results[n, NC] = nc
    results[n, DAC] = dac
    results[n, DDC] = ddc
    results[n, TLC] = tlc
    results[n, TTC] = ttc
    results[n, LK] = progress_and_lk[1]
    results[n, COMFORT] = comfortable
    results[n, PROGRESS] = progress
    results[n, MULTIPLIER] = multiplier
    results[n, GAIN] = progress * multiplier
    wp.atomic_max(best_gain, scene, progress * multiplier)


@wp.kernel
def aggregate_plans(
    ego: EgoArrays,
    plan_scene: wp.array(dtype=wp.int32),
    best_gain: wp.array(dtype=wp.float64),
    within_group: bool,
    is_v2: bool,
    results: wp.array2d(dtype=wp.float64),
):
    """One plan a thread: EP, human filter and scores. Progress is relative to the better of the plan and PDM-Closed,
    or, ``within_group``, to the best of all plans of the scene."""
    n = wp.tid()
    scene = plan_scene[n]
    best = best_gain[scene]
    if not within_group:
        best = wp.max(results[n, GAIN], ego.reference_gain[scene])
    aggregate(results, ego.forgiven, n, scene, best, is_v2)
