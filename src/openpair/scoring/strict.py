"""The strict variant: the original's arithmetic with its slips mended. Never the default, never to be compared with
published numbers; to ask what a slip is worth, or to train on what was meant.

What it changes, each in the module named:

- the tracker's velocity fit penalises jerk, as was meant, instead of acceleration (``simulation/tracker.py``);
- a simulated plan has lateral acceleration, speed times yaw rate; and v2.2's shift of accelerations from the rear axle
  to the centre is that of a rigid body: x - L omega^2, y + L alpha (``simulation/kernels.py``,
  ``scoring/comfort.py``). The original adds L (omega^2 + alpha) to x and leaves y at 0. Alpha is left out in the first
  step: NAVSIM's measured state has no yaw rate to compare with;
- the recorded past of v2.2's comfort reaches up to 0.1 s before now; the original lacks that sample
  (``scoring/history.py``);
- a red connector that the ego stands on already is not held against it (TLC of v2.2; ``without_stood_on`` below).

What it leaves as it is, though odd: the windows of the yaw filters, jerk from the unsigned acceleration, EP of a plan
whose product is 0, red lights of the uncorrected route, the footprint of reactive traffic. PDM-Closed's trajectory is
that of the scene, chosen by the original's scorer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import StateIndex
from openpair.datatypes.scoring_scene import PolygonSet, RedLights
from openpair.geometry.boxes import box_corners


def without_stood_on(lights: RedLights, ego_state: NDArray[np.float64]) -> RedLights:
    """The red connectors that the ego's box does not touch at t = 0.

    Args:
        lights: red connectors, global frame.
        ego_state: (11,) measured state, global frame.
    """
    import shapely

    x, y, heading = ego_state[: StateIndex.VELOCITY_X]
    center_x = np.asarray(x + vehicle.REAR_AXLE_TO_CENTER_M * np.cos(heading))
    center_y = np.asarray(y + vehicle.REAR_AXLE_TO_CENTER_M * np.sin(heading))
    corners = box_corners(center_x, center_y, np.asarray(heading), vehicle.LENGTH_M, vehicle.WIDTH_M)
    ego = shapely.Polygon(corners)
    areas = lights.polygons
    kept = [
        i
        for i, ring in enumerate(areas.polygon_offset[:-1])
        if not shapely.Polygon(areas.xy[areas.ring_offset[ring] : areas.ring_offset[ring + 1]]).intersects(ego)
    ]
    return RedLights(tuple(lights.tokens[i] for i in kept), _chosen(areas, kept), lights.active[:, kept])


def _chosen(areas: PolygonSet, kept: list[int]) -> PolygonSet:
    """Some of the polygons, each with its holes."""
    rings = [ring for p in kept for ring in range(areas.polygon_offset[p], areas.polygon_offset[p + 1])]
    points = [areas.xy[areas.ring_offset[ring] : areas.ring_offset[ring + 1]] for ring in rings]
    return PolygonSet(
        xy=np.concatenate(points) if points else np.zeros((0, 2)),
        ring_offset=np.cumsum([0, *map(len, points)]),
        polygon_offset=np.cumsum([0, *(areas.polygon_offset[p + 1] - areas.polygon_offset[p] for p in kept)]),
    )
