"""The world that comes with the package: opens fast, gives whole scenes, keeps its promises."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

from openpair.datasets.base import Dataset
from openpair.datasets.world.dataset import WorldDataset
from openpair.errors import OpenPairError

SPLITS = ("train", "val", "test")


@pytest.mark.parametrize("split", SPLITS)
def test_scenes_are_whole(split: str) -> None:
    world = WorldDataset(split, max_scenes=12)
    assert isinstance(world, Dataset)
    for key in world.keys():
        scene = world.load_scene(key.token)
        assert scene.token == key.token and scene.log_name == key.log_name
        assert len(scene.history) == 4 and len(scene.future) == 10
        steps = np.diff([frame.ego.timestamp_us for frame in scene.frames])
        assert np.all(steps == 500_000)
        route = scene.current.route_roadblock_ids
        assert len(set(route)) == len(route) >= 3
        for before, after in pairwise(route):
            assert after in scene.road_map.roadblocks[before].outgoing
        for token, _ in scene.current.traffic_lights:
            assert scene.road_map.lanes[token].is_connector and scene.road_map.lanes[token].stop_line_ids


def test_towns_belong_to_one_split() -> None:
    logs = [{key.log_name.rsplit("-", 1)[0] for key in WorldDataset(split).keys()} for split in SPLITS]
    assert not (logs[0] & logs[1] or logs[0] & logs[2] or logs[1] & logs[2])


def test_travels_to_worker_processes() -> None:
    world = WorldDataset("val", max_scenes=3)
    world.load_scene(world.keys()[0].token)
    copy = pickle.loads(pickle.dumps(world))
    token = world.keys()[1].token
    assert np.array_equal(copy.load_scene(token).current.ego.pose, world.load_scene(token).current.ego.pose)


def test_bad_input_is_said_clearly(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OpenPairError, match="no split 'dev'"):
        WorldDataset("dev")
    with pytest.raises(OpenPairError, match="no world here"):
        WorldDataset("train", root=tmp_path)
    with pytest.raises(OpenPairError, match="no scene has the token"):
        WorldDataset("val").load_scene("0" * 16)


def test_predecessors_lie_half_a_second_earlier_and_change_no_choice() -> None:
    plain = WorldDataset("test", max_scenes=20)
    world = WorldDataset("test", max_scenes=20, predecessors=True)
    assert world.chosen_keys() == plain.keys() == plain.chosen_keys()
    tokens = [key.token for key in world.keys()]
    added = set(tokens) - {key.token for key in plain.keys()}
    assert added and len(set(tokens)) == len(tokens)
    for key in plain.keys():
        earlier = world.predecessor(key.token)
        assert earlier == plain.predecessor(key.token)
        if earlier is None:
            continue
        added.remove(earlier)
        assert tokens.index(earlier) == tokens.index(key.token) - 1
        scenes = [world.load_scene(token) for token in (earlier, key.token)]
        assert scenes[0].token == earlier and {scene.log_name for scene in scenes} == {key.log_name}
        assert np.diff([scene.current.ego.timestamp_us for scene in scenes]) == [500_000]
    assert not added


def test_the_first_scene_of_a_log_has_no_predecessor() -> None:
    world = WorldDataset("test", predecessors=True)
    first = world.chosen_keys()[0]
    assert world.predecessor(first.token) is None and world.keys()[0] == first
    assert world.fingerprint() != WorldDataset("test").fingerprint()
    with pytest.raises(OpenPairError, match="no scene has the token"):
        world.predecessor("0" * 16)
