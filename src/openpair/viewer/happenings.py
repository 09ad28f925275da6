"""What happens in a scene, by what the human did and what was around: words to filter scenes by."""

from __future__ import annotations

import math

import numpy as np

from openpair.datatypes.columns import NUM_POSES, AgentCategory
from openpair.datatypes.scene import Scene
from openpair.geometry.poses import global_to_local

HAPPENINGS = ("left turn", "right turn", "straight on", "braking", "starting", "standing", "red light", "pedestrians")

TURN_RAD = math.radians(20.0)
BRAKING_MPS, STARTING_MPS = 3.0, 3.0
STANDING_MPS = 0.5
LIGHT_M, PEDESTRIAN_M = 50.0, 20.0


def happenings(scene: Scene) -> tuple[str, ...]:
    """Those of :data:`HAPPENINGS` that hold.

    A turn is a change of heading of 20 degrees or more within the recorded 4 s; braking and starting are a change of
    speed of 3 m/s or more, to or from whatever it is; standing is never faster than 0.5 m/s. A red light counts on the
    route within 50 m ahead, now or within the 4 s; pedestrians within 20 m now.
    """
    frames = [scene.current, *scene.future[:NUM_POSES]]
    speeds = [math.hypot(*frame.ego.velocity) for frame in frames]
    turned = frames[-1].ego.pose[2] - frames[0].ego.pose[2]
    turned = math.atan2(math.sin(turned), math.cos(turned))
    standing = max(speeds) < STANDING_MPS
    found = {
        "left turn": turned >= TURN_RAD,
        "right turn": turned <= -TURN_RAD,
        "straight on": abs(turned) < TURN_RAD and not standing,
        "braking": speeds[0] - min(speeds) >= BRAKING_MPS,
        "starting": speeds[0] < 2.0 and max(speeds) - speeds[0] >= STARTING_MPS,
        "standing": standing,
        "red light": _red_light_ahead(scene),
        "pedestrians": _pedestrians(scene),
    }
    return tuple(name for name in HAPPENINGS if found[name])


def happenings_mask(scene: Scene) -> int:
    """Bits of :data:`HAPPENINGS`."""
    return sum(1 << HAPPENINGS.index(name) for name in happenings(scene))


def _red_light_ahead(scene: Scene) -> bool:
    route = set(scene.current.route_roadblock_ids)
    for frame in (scene.current, *scene.future[:NUM_POSES]):
        for connector, is_red in frame.traffic_lights:
            lane = scene.road_map.lanes.get(connector) if is_red else None
            if lane is None or lane.roadblock_id not in route:
                continue
            ahead, aside, _ = global_to_local(lane.baseline[:1], scene.current.ego.pose)[0]
            if -5.0 < ahead < LIGHT_M and abs(aside) < LIGHT_M:
                return True
    return False


def _pedestrians(scene: Scene) -> bool:
    agents = scene.current.agents
    near = np.hypot(*(agents.box[:, :2] - scene.current.ego.pose[:2]).T) < PEDESTRIAN_M
    return bool((near & (agents.category == int(AgentCategory.PEDESTRIAN))).any())
