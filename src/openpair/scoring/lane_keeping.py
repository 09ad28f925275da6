# mypy: disable-error-code="valid-type"
"""LK, lane keeping (v2.2): not farther than 0.5 m from the centreline for two seconds on end."""

import warp as wp

from openpair.scoring.arrays import PathArrays
from openpair.scoring.ego_areas import AreaIndex
from openpair.scoring.path import nearest_on_path
from openpair.simulation.reference import NUM_STEPS
from openpair.geometry.warp_runtime import MODULE_OPTIONS

wp.set_module_options(MODULE_OPTIONS)

STEPS = wp.constant(NUM_STEPS)
MAX_DEVIATION_M = wp.constant(wp.float64(0.5))
MAX_CONSECUTIVE_STEPS = wp.constant(20)
CENTER_IN_INTERSECTION = wp.constant(int(AreaIndex.CENTER_IN_INTERSECTION))


@wp.func
def lane_keeping(
    path: PathArrays,
    ego_box: wp.array2d(dtype=wp.vec4d),
    areas: wp.array3d(dtype=wp.bool),
    deviation: wp.array2d(dtype=wp.float64),
    n: int,
    scene: int,
) -> wp.float64:
    """1, or 0 once the centre was off for 20 steps on end; fills the deviations [m] of plan n.

    Steps in an intersection are passed over and leave the count as it is.
    """
    count = int(0)
    result = wp.float64(1.0)
    chunk = path.chunk_range[scene]
    for step in range(STEPS):
        box = ego_box[n, step]
        nearest = nearest_on_path(path, scene, box[0], box[1], chunk)
        chunk = nearest.chunk
        off = wp.sqrt(nearest.distance2)
        deviation[n, step] = off
        if not areas[n, step, CENTER_IN_INTERSECTION]:
            if off > MAX_DEVIATION_M:
                count += 1
                if count >= MAX_CONSECUTIVE_STEPS:
                    result = wp.float64(0.0)
            else:
                count = 0
    return result
