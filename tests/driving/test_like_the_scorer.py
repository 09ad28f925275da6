"""Areas, contacts and near misses of a drive agree with what the scorer finds in the same 4 s."""

from __future__ import annotations

import numpy as np
import pytest

from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.columns import Protocol
from openpair.driving.contacts import contacts
from openpair.driving.recording import Recording, read_recording
from openpair.driving.road import road_of
from openpair.preparation.map_index import map_index
from openpair.preparation.prepare import prepare_scene
from openpair.scoring import AreaIndex, score_prepared

LOGS = 3


@pytest.fixture(scope="module")
def world() -> WorldDataset:
    return WorldDataset("val")


def logs_and_frames(world: WorldDataset) -> list[tuple[Recording, int]]:
    names = world.log_names()[:: len(world.log_names()) // LOGS][:LOGS]
    return [(read_recording(world, name), frame) for name in names for frame in (3, 12, 21)]


def some_plans() -> np.ndarray:
    """(12, 8, 3) straight on and round bends, slow and fast."""
    time = 0.5 * np.arange(1, 9)
    plans = []
    for speed in (2.0, 6.0, 12.0):
        for yaw_rate in (-0.25, -0.05, 0.0, 0.2):
            heading = yaw_rate * time
            x = np.cumsum(speed * 0.5 * np.cos(heading))
            y = np.cumsum(speed * 0.5 * np.sin(heading))
            plans.append(np.stack([x, y, heading], axis=1))
    return np.stack(plans)


def test_areas_and_collisions_are_those_of_the_scorer(world: WorldDataset) -> None:
    compared = {"multiple_lanes": 0, "non_drivable": 0, "collisions": 0}
    for recording, frame in logs_and_frames(world):
        scene = world.load_scene(next(k.token for k in world.keys() if k.log_name == recording.log_name))
        frames, _ = world.load_log(recording.log_name)
        scene = type(scene)(scene.dataset, scene.log_name, scene.road_map, frames[frame - 3 : frame + 11], 3)
        prepared = prepare_scene(scene, Protocol.V1_1)
        scores = score_prepared(prepared, some_plans())
        road = road_of(map_index(recording.road_map))
        agents = [recording.agents(5 * frame + step) for step in range(41)]
        for row, states in enumerate(scores.evidence["simulated_states"]):
            places = road.places(states[:, :3])
            areas = scores.evidence["ego_areas"][row]
            np.testing.assert_array_equal(places.multiple_lanes, areas[:, AreaIndex.MULTIPLE_LANES])
            np.testing.assert_array_equal(places.non_drivable, areas[:, AreaIndex.NON_DRIVABLE])
            np.testing.assert_array_equal(places.in_intersection, areas[:, AreaIndex.REAR_AXLE_IN_INTERSECTION])
            at_fault = [contact for contact in contacts(states, agents, places) if contact.at_fault]
            first = scores.evidence["collision_time_idx"][row]
            assert (at_fault[0].step if at_fault else np.inf) == first
            if at_fault:
                assert prepared.tracks.tokens[scores.evidence["collision_track"][row]] in {
                    contact.token for contact in at_fault if contact.step == first
                }
            compared["multiple_lanes"] += int(places.multiple_lanes.any())
            compared["non_drivable"] += int(places.non_drivable.any())
            compared["collisions"] += len(at_fault)
    assert min(compared.values()) > 10, compared  # else nothing was compared


def test_the_ego_sees_what_the_recording_saw_while_it_is_there(world: WorldDataset) -> None:
    """At the start of a drive the scene is the recorded one."""
    from openpair.driving.loop import initial_state
    from openpair.driving.observation import Observer
    from openpair.driving.route_line import RouteLine
    from openpair.driving.traffic import ReplayedTraffic

    recording = read_recording(world, world.log_names()[0])
    frames, _ = world.load_log(recording.log_name)
    line = RouteLine(recording.human_poses[15:, :2])
    scene = Observer(recording, ReplayedTraffic(recording), line).scene(15, initial_state(recording)[None])
    for seen, recorded in zip(scene.history, frames[:4], strict=True):
        np.testing.assert_allclose(seen.ego.pose, recorded.ego.pose, atol=1e-9)
        assert seen.agents.track_tokens == recorded.agents.track_tokens
        np.testing.assert_array_equal(seen.agents.box, recorded.agents.box)
        assert seen.traffic_lights == recorded.traffic_lights
        assert seen.route_roadblock_ids == recorded.route_roadblock_ids
        np.testing.assert_array_equal(seen.driving_command, recorded.driving_command)
    np.testing.assert_allclose(scene.human_trajectory(), recorded_future(frames), atol=1e-9)


def recorded_future(frames: tuple) -> np.ndarray:
    from openpair.geometry.poses import global_to_local

    return global_to_local(np.stack([f.ego.pose for f in frames[4:12]]), frames[3].ego.pose)
