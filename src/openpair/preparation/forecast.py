"""What PDM-Closed believes about the next seconds: every mover keeps its speed and heading, red lights stay red."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex
from openpair.geometry.poses import wrap_angle
from openpair.preparation.boxes import box_corners, ego_center, ego_corners

FORECAST_RADIUS_M = 100.0
STEP_S = 0.1
STEPS_PER_UPDATE = 2
"""Boxes of step t are those of time 0.2 floor(t/2) s."""

RED_LIGHT_PREFIX = "red_light_"

NEAREST = {
    None: 50,  # all static categories together
    AgentCategory.VEHICLE: 50,
    AgentCategory.PEDESTRIAN: 25,
    AgentCategory.BICYCLE: 10,
}
"""How many objects of a kind are kept, nearest first; the keys' order is the order of the list."""


@dataclass(frozen=True)
class Forecast:
    """n objects (static, vehicles, pedestrians, bicycles, each nearest first), then m red lane connectors.

    Attributes:
        tokens: (n + m,) track tokens, then lane connector ids behind ``RED_LIGHT_PREFIX``.
        category: (n,) int64 :class:`AgentCategory`.
        box: (n, 6) float64 at t = 0, centre.
        speed_along: (n, 2) float64 [m/s] the boxes' motion, global axes; 0 for static objects.
        velocity: (n, 2) float64 [m/s] as measured, global axes; 0 for static objects.
        corners: (n, 4, 2) float64 box corners at t = 0.
        red_polygons: (m,) shapely surfaces of the red connectors.
        exempt: (n + m,) bool: overlaps the ego at t = 0; ignored as leader and in collisions.
    """

    tokens: tuple[str, ...]
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    speed_along: NDArray[np.float64]
    velocity: NDArray[np.float64]
    corners: NDArray[np.float64]
    red_polygons: NDArray[np.object_]
    exempt: NDArray[np.bool_]

    @property
    def num_objects(self) -> int:
        return len(self.category)

    @property
    def num_red(self) -> int:
        return len(self.red_polygons)

    def displacement(self, step: int) -> NDArray[np.float64]:
        """(n, 2) [m] how far each box has moved at a 0.1 s step."""
        return self.speed_along * (STEPS_PER_UPDATE * STEP_S * (step // STEPS_PER_UPDATE))


def make_forecast(
    agents: Agents,
    rear_axle: NDArray[np.float64],
    red_ids: Sequence[str],
    red_polygons: NDArray[np.object_],
    *,
    carried_exemptions: Collection[str] = (),
) -> Forecast:
    """Forecast of the current frame.

    Args:
        agents: of the current frame, global frame.
        rear_axle: (3,) ego pose.
        red_ids, red_polygons: (m,) red lane connectors of the corrected route.
        carried_exemptions: tokens that are left out altogether, as the original does with what overlapped the ego
            in scenes it prepared before (parity only).
    """
    center = ego_center(rear_axle)
    distance = np.hypot(agents.box[:, BoxIndex.X] - center[0], agents.box[:, BoxIndex.Y] - center[1])
    usable = distance <= FORECAST_RADIUS_M
    if carried_exemptions:
        usable &= np.array([token not in carried_exemptions for token in agents.track_tokens], bool)
    is_static = agents.category >= AgentCategory.TRAFFIC_CONE
    chosen = []
    for category, limit in NEAREST.items():
        of_kind = np.flatnonzero(usable & (is_static if category is None else agents.category == category))
        chosen.append(of_kind[np.argsort(distance[of_kind], kind="stable")[:limit]])
    rows = np.concatenate(chosen)

    box, static = agents.box[rows], is_static[rows]
    velocity = np.where(static[:, None], 0.0, agents.velocity[rows])
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    heading = box[:, BoxIndex.HEADING]
    course = np.arctan2(velocity[:, 1], velocity[:, 0])
    signed_speed = np.where(np.abs(wrap_angle(heading - course)) < np.pi / 2, speed, -speed)
    speed_along = signed_speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    corners = box_corners(box[:, 0], box[:, 1], heading, box[:, BoxIndex.LENGTH], box[:, BoxIndex.WIDTH])

    ego_box = shapely.polygons(ego_corners(rear_axle))
    overlaps = shapely.intersects(ego_box, shapely.polygons(corners))
    holds_ego = shapely.within(ego_box, red_polygons)
    red_tokens = [RED_LIGHT_PREFIX + lane_id for lane_id in red_ids]
    red_exempt = holds_ego | np.array([token in carried_exemptions for token in red_tokens], bool)
    return Forecast(
        tokens=(*(agents.track_tokens[row] for row in rows), *red_tokens),
        category=agents.category[rows],
        box=box,
        speed_along=speed_along,
        velocity=velocity,
        corners=corners,
        red_polygons=red_polygons,
        exempt=np.concatenate([overlaps, red_exempt]),
    )
