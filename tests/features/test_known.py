"""The truth as vectors: what is in it, in which frame, and that nothing of the future is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely.affinity
from shapely.geometry import Polygon

from openpair.datasets.registry import open_dataset
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.known_input import GREEN, KNOWN_FEATURES, RED, KnownConfig
from openpair.datatypes.road_map import Lane, RoadMap
from openpair.datatypes.scene import Frame, Scene
from openpair.features import FeatureConfig, build_features, build_targets
from openpair.features.known import decode_known, encode_known, future_targets, pieces_of
from openpair.geometry.poses import local_to_global
from openpair.planning.inputs import see

CONFIG = KnownConfig()
TURN, SHIFT = 0.7, np.array([300.0, -120.0])


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Scenes of the embedded world, one to a town."""
    dataset = open_dataset("world", None, split="val", max_scenes=6)
    return [dataset.load_scene(key.token) for key in dataset.keys()]


def moved_pose(pose: np.ndarray) -> np.ndarray:
    return local_to_global(pose, np.array([*SHIFT, TURN]))


def moved_polygon(polygon: Polygon) -> Polygon:
    turned = shapely.affinity.rotate(polygon, TURN, origin=(0.0, 0.0), use_radians=True)
    return shapely.affinity.translate(turned, *SHIFT)


def moved_frame(frame: Frame) -> Frame:
    c, s = np.cos(TURN), np.sin(TURN)
    box = frame.agents.box.copy()
    box[:, :3] = moved_pose(box[:, :3])
    velocity = frame.agents.velocity @ np.array([[c, s], [-s, c]])
    agents = replace(frame.agents, box=box, velocity=velocity)
    return replace(frame, ego=replace(frame.ego, pose=moved_pose(frame.ego.pose)), agents=agents)


def moved(scene: Scene) -> Scene:
    """The same scene in a world that is turned and shifted."""

    def lane(old: Lane) -> Lane:
        return replace(old, polygon=moved_polygon(old.polygon), baseline=moved_pose(old.baseline))

    def polygons(old: dict[str, Polygon]) -> dict[str, Polygon]:
        return {name: moved_polygon(polygon) for name, polygon in old.items()}

    town: RoadMap = scene.road_map
    blocks = {
        name: replace(block, polygon=None if block.polygon is None else moved_polygon(block.polygon))
        for name, block in town.roadblocks.items()
    }
    there = replace(
        town,
        lanes={name: lane(old) for name, old in town.lanes.items()},
        roadblocks=blocks,
        intersections=polygons(town.intersections),
        carparks=polygons(town.carparks),
    )
    return replace(scene, road_map=there, frames=tuple(moved_frame(frame) for frame in scene.frames))


def known(scene: Scene) -> dict[str, Any]:
    return decode_known(encode_known(scene, CONFIG), CONFIG)


def test_shapes_and_padding(scenes: list[Scene]) -> None:
    for scene in scenes:
        stored, arrays = encode_known(scene, CONFIG), known(scene)
        assert tuple(arrays) == KNOWN_FEATURES
        for name, (shape, dtype) in CONFIG.stored().items():
            assert stored[name].shape == shape and stored[name].dtype == dtype, name
        assert sum(array.nbytes for array in stored.values()) < 20_000
        assert arrays["known_lane_there"].any() and arrays["known_edge_there"].any()
        assert not arrays["known_lanes"][~arrays["known_lane_there"]].any()
        assert not arrays["known_edges"][~arrays["known_edge_there"]].any()
        assert not arrays["known_agents"][~arrays["known_agent_seen"]].any()


def test_agents_are_where_they_were(scenes: list[Scene]) -> None:
    scene = scenes[0]
    arrays, current = known(scene), scene.current
    count = int(arrays["known_agent_seen"][:, 3].sum())
    apart = np.linalg.norm(current.agents.box[:, :2] - current.ego.pose[:2], axis=1)
    assert count == min(CONFIG.agents, int((apart <= CONFIG.ahead_m + CONFIG.radius_m).sum())) > 5
    back = local_to_global(arrays["known_agents"][:count, 3, :3].astype(float), current.ego.pose)
    kinds = arrays["known_agent_kinds"]
    for row in range(count):
        away = np.abs(current.agents.box[:, :2] - back[row, :2]).sum(axis=1)
        found = int(away.argmin())
        assert away[found] < 1e-3
        assert kinds[row, 2] == current.agents.category[found]
        assert np.allclose(kinds[row, :2], current.agents.box[found, 3:5])
        moving = np.linalg.norm(arrays["known_agents"][row, 3, 3:])
        assert np.isclose(moving, np.linalg.norm(current.agents.velocity[found]), atol=1e-3)
        token = current.agents.track_tokens[found]
        before = scene.history[0].agents.track_tokens
        assert bool(arrays["known_agent_seen"][row, 0]) == (token in before)
    assert set(kinds[:count, 2].astype(int)) <= {int(category) for category in AgentCategory}


def test_a_turned_world_looks_the_same(scenes: list[Scene]) -> None:
    for scene in scenes:
        here, there = known(scene), known(moved(scene))
        for name in KNOWN_FEATURES:
            tolerance = 0.025 if name in ("known_lanes", "known_edges") else 2e-3
            # pieces at the same distance may change places: as sets they are the same
            if here[name].ndim == 3 and name in ("known_lanes", "known_edges"):
                apart = np.abs(here[name][:, None] - there[name][None]).max(axis=(2, 3)).min(axis=1)
                assert (apart < tolerance).mean() > 0.97, name
            elif name.startswith("known_agent"):
                assert np.allclose(here[name], there[name], atol=tolerance), name
            else:
                assert np.array_equal(here[name].sum(axis=0), there[name].sum(axis=0)), name


def test_the_future_changes_no_input(scenes: list[Scene]) -> None:
    scene = scenes[1]
    ahead = tuple(moved_frame(frame) for frame in scene.future)
    other = replace(scene, frames=(*scene.history, *ahead))
    without = replace(scene, frames=scene.history)
    config = FeatureConfig.truth()
    nothing = see(open_dataset("world", None, split="val", max_scenes=1), scene, config)
    expected = build_features(scene, nothing, config)
    assert set(expected) == {"status_feature", *KNOWN_FEATURES}
    for changed in (other, without):
        got = build_features(changed, nothing, config)
        assert all(np.array_equal(expected[name], got[name]) for name in expected)
    assert not np.array_equal(build_targets(scene, config)["trajectory"], build_targets(other, config)["trajectory"])


def test_the_forecast_to_learn_is_what_agents_did(scenes: list[Scene]) -> None:
    scene = scenes[2]
    arrays, targets = known(scene), future_targets(scene, CONFIG)
    seen = targets["agent_future_seen"]
    assert seen.any() and not seen[~arrays["known_agent_seen"][:, 3]].any()
    tokens = scene.current.agents.track_tokens
    away = np.linalg.norm(scene.current.agents.box[:, :2] - scene.current.ego.pose[:2], axis=1)
    nearest = tokens[int(away.argmin())]
    frame = scene.future[3]
    row = frame.agents.track_tokens.index(nearest)
    back = local_to_global(targets["agent_future"][0, 3].astype(float), scene.current.ego.pose)
    assert np.allclose(back[:2], frame.agents.box[row, :2], atol=1e-3)


def test_lights_of_connectors_are_seen(scenes: list[Scene]) -> None:
    lit = next(scene for scene in scenes if scene.current.traffic_lights)
    lane = next(iter(known_lanes_with(lit, GREEN) or known_lanes_with(lit, RED)))
    dark = replace(lit, frames=tuple(replace(frame, traffic_lights=()) for frame in lit.frames))
    assert lane[0] == 1.0  # a connector
    assert not known_lanes_with(dark, GREEN) and not known_lanes_with(dark, RED)


def known_lanes_with(scene: Scene, light: float) -> list[np.ndarray]:
    arrays = known(scene)
    return [kind for kind in arrays["known_lane_kinds"] if kind[2] == light]


def test_pieces_cover_a_line() -> None:
    line = np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 10.0]])
    pieces = pieces_of(line, CONFIG)
    assert pieces.shape == (3, CONFIG.points, 2)
    assert np.allclose(pieces[0, 0], line[0]) and np.allclose(pieces[-1, -1], line[-1])
    assert np.allclose(pieces[:-1, -1], pieces[1:, 0])
    assert pieces_of(line[:1].repeat(2, axis=0), CONFIG).shape == (0, CONFIG.points, 2)


def test_drivable_lies_to_the_left_of_edges(scenes: list[Scene]) -> None:
    for scene in scenes:
        arrays = known(scene)
        edges = arrays["known_edges"][arrays["known_edge_there"]].astype(float)
        middle = 0.5 * (edges[:, 2] + edges[:, 3])
        along = edges[:, 3] - edges[:, 2]
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        left = np.stack([-along[:, 1], along[:, 0]], axis=1)
        town = scene.road_map
        surfaces = [*(lane.polygon for lane in town.lanes.values()), *town.intersections.values()]
        surfaces += list(town.carparks.values())
        surfaces += [block.polygon for block in town.roadblocks.values() if block.polygon is not None]
        road = shapely.union_all(surfaces)

        def is_road(points: np.ndarray, scene: Scene = scene, road: Polygon = road) -> np.ndarray:
            poses = np.concatenate([points, np.zeros((len(points), 1))], axis=1)
            xy = local_to_global(poses, scene.current.ego.pose)[:, :2]
            return np.asarray(shapely.contains_xy(road, xy[:, 0], xy[:, 1]))

        assert is_road(middle + 0.5 * left).mean() > 0.95
        assert is_road(middle - 0.5 * left).mean() < 0.05
