# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""DDC, driving direction compliance: how far the centre travels in oncoming lanes within a second."""

import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.scoring.ego_areas import AreaIndex
from openpair.simulation.reference import NUM_STEPS

wp.set_module_options(MODULE_OPTIONS)

STEPS = wp.constant(NUM_STEPS)
WINDOW = wp.constant(11)
"""Increments summed: those that end at steps t-10 .. t."""
COMPLIANT_M = wp.constant(wp.float64(2.0))
VIOLATION_M = wp.constant(wp.float64(6.0))
ONCOMING = wp.constant(int(AreaIndex.ONCOMING))
CENTER_IN_INTERSECTION = wp.constant(int(AreaIndex.CENTER_IN_INTERSECTION))


@wp.func
def oncoming_increment(
    ego_box: wp.array2d(dtype=wp.vec4d),
    areas: wp.array3d(dtype=wp.bool),
    n: int,
    step: int,
    intersections_count: bool,
) -> wp.float64:
    """Way of the centre [m] from the step before, if it ends in oncoming lanes; else 0."""
    if step < 1:
        return wp.float64(0.0)
    if not areas[n, step, ONCOMING]:
        return wp.float64(0.0)
    if areas[n, step, CENTER_IN_INTERSECTION] and not intersections_count:
        return wp.float64(0.0)
    now = ego_box[n, step]
    before = ego_box[n, step - 1]
    return wp.length(wp.vec2d(now[0] - before[0], now[1] - before[1]))


@wp.func
def driving_direction(
    ego_box: wp.array2d(dtype=wp.vec4d), areas: wp.array3d(dtype=wp.bool), n: int, intersections_count: bool
) -> wp.float64:
    """1, 0.5 or 0 by the greatest sum of 11 increments. v2.2 leaves out steps whose centre is in an intersection."""
    worst = wp.float64(0.0)
    for step in range(STEPS):
        if oncoming_increment(ego_box, areas, n, step, intersections_count) > wp.float64(0.0):
            total = wp.float64(0.0)
            for i in range(wp.max(step - WINDOW + 1, 1), step + 1):
                total += oncoming_increment(ego_box, areas, n, i, intersections_count)
            worst = wp.max(worst, total)
    if worst < COMPLIANT_M:
        return wp.float64(1.0)
    if worst < VIOLATION_M:
        return wp.float64(0.5)
    return wp.float64(0.0)
