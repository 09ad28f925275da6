"""Hash of what a scene says, so that results can be known to be of the same data."""

from __future__ import annotations

import hashlib

import numpy as np

from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Scene


class SceneDigests:
    """Digests of scenes; that of the last map, which neighbouring scenes share, is kept."""

    def __init__(self) -> None:
        self._last_map: tuple[RoadMap, bytes] | None = None

    def of(self, scene: Scene) -> str:
        """Hash of ego, agents, lights, route and map."""
        digest = hashlib.sha256(f"{scene.log_name}/{scene.token}".encode())
        for frame in scene.frames:
            ego, agents = frame.ego, frame.agents
            names = f"{ego.timestamp_us}{agents.track_tokens}{frame.traffic_lights}{frame.route_roadblock_ids}"
            digest.update(names.encode())
            for array in (ego.pose, ego.velocity, ego.acceleration, agents.category, agents.box, agents.velocity):
                digest.update(np.ascontiguousarray(array).tobytes())
        if self._last_map is None or self._last_map[0] is not scene.road_map:
            self._last_map = (scene.road_map, map_digest(scene.road_map))
        digest.update(self._last_map[1])
        return digest.hexdigest()


def map_digest(road_map: RoadMap) -> bytes:
    """Hash of lanes and surfaces."""
    digest = hashlib.sha256(road_map.name.encode())
    for lane in road_map.lanes.values():
        digest.update(f"{lane.id}{lane.roadblock_id}{lane.outgoing}{lane.speed_limit_mps}".encode())
        digest.update(np.ascontiguousarray(lane.baseline).tobytes())
    areas = [block.polygon for block in road_map.roadblocks.values() if block.polygon is not None]
    for polygon in (*areas, *road_map.intersections.values(), *road_map.carparks.values()):
        digest.update(polygon.wkb)
    return digest.digest()
