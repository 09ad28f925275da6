"""The long routes that come with the package: long enough to drive, with turns and lights, in towns of their own."""

from __future__ import annotations

import numpy as np

from openpair.datasets.world.dataset import DATA_DIR, LONG, WorldDataset
from openpair.driving.recording import START_STEP, read_recording
from openpair.geometry.poses import wrap_angle

MAX_BYTES = 1_500_000


def turns_on(line: np.ndarray) -> bool:
    """Whether a connector's baseline (M, 3) changes direction by more than 0.6 rad."""
    return bool(abs(wrap_angle(line[-1, 2] - line[0, 2])) > 0.6)


def test_long_routes_are_what_they_promise() -> None:
    world = WorldDataset(LONG)
    names = world.log_names()
    assert len(names) >= 40
    assert not set(world.town_names()) & set(WorldDataset("all").town_names())
    assert sum(path.stat().st_size for path in (DATA_DIR / LONG).iterdir()) <= MAX_BYTES
    for name in names[:: len(names) // 8]:
        recording = read_recording(world, name)
        assert 0.1 * (recording.last_step - START_STEP) >= 60.0
        lanes = recording.road_map.lanes
        lights = {lane_id for lane_id, _ in recording.frames[0].traffic_lights}
        blocks = [recording.road_map.roadblocks[i] for i in recording.frames[0].route_roadblock_ids]
        connectors = [[lanes[i] for i in block.lane_ids] for block in blocks if block.is_connector]
        assert sum(turns_on(movement[0].baseline) for movement in connectors) >= 2
        assert any(lane.id in lights for movement in connectors for lane in movement)
