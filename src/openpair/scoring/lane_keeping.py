# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
# ruff: noqa: RUF046, UP018
"""LK, lane keeping (v2.2): not farther than 0.5 m from the centreline for two seconds on end; and the raw progress
of EP, which comes from the same projections."""

import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.scoring.arrays import PathArrays
from openpair.scoring.ego_areas import AreaIndex
from openpair.scoring.path import nearest_on_path
from openpair.simulation.reference import NUM_STEPS

wp.set_module_options(MODULE_OPTIONS)

LAST_STEP = wp.constant(NUM_STEPS - 1)
MAX_DEVIATION_M = wp.constant(wp.float64(0.5))
MAX_CONSECUTIVE_STEPS = wp.constant(20)
CENTER_IN_INTERSECTION = wp.constant(int(AreaIndex.CENTER_IN_INTERSECTION))


@wp.func
def follow_path(
    path: PathArrays,
    ego_box: wp.array2d(dtype=wp.vec4d),
    areas: wp.array3d(dtype=wp.bool),
    deviation: wp.array2d(dtype=wp.float64),
    n: int,
    scene: int,
    every_step: bool,
) -> wp.vec2d:
    """Progress of plan n's centre along the centreline [m] from the first to the last step, at least 0, and LK.

    With ``every_step`` LK is 1, or 0 once the centre was off for 20 steps on end; steps in an intersection are passed
    over and leave the count as it is. Fills the deviations [m]. Without it (v1.1) LK is 1.
    """
    count = int(0)
    kept = wp.float64(1.0)
    chunk = path.chunk_range[scene]
    start = wp.float64(0.0)
    end = wp.float64(0.0)
    stride = LAST_STEP
    if every_step:
        stride = 1
    step = int(0)
    while step <= LAST_STEP:
        box = ego_box[n, step]
        nearest = nearest_on_path(path, scene, box[0], box[1], chunk)
        chunk = nearest.chunk
        if step == 0:
            start = nearest.station
        end = nearest.station
        if every_step:
            off = wp.sqrt(nearest.distance2)
            deviation[n, step] = off
            if not areas[n, step, CENTER_IN_INTERSECTION]:
                if off > MAX_DEVIATION_M:
                    count += 1
                    if count >= MAX_CONSECUTIVE_STEPS:
                        kept = wp.float64(0.0)
                else:
                    count = 0
        step += stride
    return wp.vec2d(wp.max(end - start, wp.float64(0.0)), kept)
