"""The world in NAVSIM's format is the same world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from openpair.datasets.navsim.dataset import NavsimDataset
from openpair.datasets.navsim.scene_filter import SceneFilter, read_scene_filter
from openpair.datasets.navsim.sensor_files import read_pcd
from openpair.datasets.world.dataset import WorldDataset
from openpair.datasets.world.materialise import materialise_world, pcd_bytes
from openpair.datasets.world.unpack import unpack_world
from openpair.datatypes.columns import BoxIndex
from openpair.geometry.poses import wrap_angle


@pytest.fixture(scope="module")
def unpacked(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unpacked")
    (part,) = unpack_world(out, root=small_world, splits=("val",))
    return out / part.folder


def test_same_scenes(small_world: Path, unpacked: Path, tmp_path: Path) -> None:
    world = WorldDataset("val", small_world)
    scene_filter = read_scene_filter(unpacked / "scene_filter.yaml")
    navsim = NavsimDataset(unpacked, split="val", scene_filter=scene_filter, index_folder=tmp_path)
    assert {key.token for key in navsim.keys()} == {key.token for key in world.keys()}
    for key in world.keys():
        ours, theirs = world.load_scene(key.token), navsim.load_scene(key.token)
        assert ours.log_name == theirs.log_name
        assert np.allclose(ours.human_trajectory(), theirs.human_trajectory(), atol=1e-9)
        for a, b in zip(ours.frames, theirs.frames, strict=True):
            assert (a.token, a.ego.timestamp_us, a.traffic_lights) == (b.token, b.ego.timestamp_us, b.traffic_lights)
            assert a.route_roadblock_ids == b.route_roadblock_ids
            assert np.array_equal(a.driving_command, b.driving_command)
            assert np.allclose(a.ego.pose, b.ego.pose, atol=1e-9)
            assert np.array_equal(a.ego.velocity, b.ego.velocity)
            assert np.array_equal(a.ego.acceleration, b.ego.acceleration)
            assert a.agents.track_tokens == b.agents.track_tokens
            assert np.array_equal(a.agents.category, b.agents.category)
            difference = a.agents.box - b.agents.box
            difference[:, BoxIndex.HEADING] = wrap_angle(difference[:, BoxIndex.HEADING])
            assert np.abs(difference).max(initial=0) < 1e-6
            assert np.allclose(a.agents.velocity, b.agents.velocity, atol=1e-9)
            assert np.allclose(a.agents.center_z, b.agents.center_z, atol=1e-9)


def test_navsims_scripts_find_split_and_filter_by_name(unpacked: Path) -> None:
    hydra = unpacked / "hydra" / "train_test_split"
    split = yaml.safe_load((hydra / "world_val_00.yaml").read_text())
    assert split["data_split"] == "val" and (unpacked / "navsim_logs" / "val").is_dir()
    ((_, name),) = split["defaults"][0].items()
    assert read_scene_filter(hydra / "scene_filter" / f"{name}.yaml") == read_scene_filter(
        unpacked / "scene_filter.yaml"
    )


def test_same_map(small_world: Path, unpacked: Path, tmp_path: Path) -> None:
    world = WorldDataset("val", small_world)
    token = world.keys()[0].token
    filter_ = read_scene_filter(unpacked / "scene_filter.yaml")
    navsim = NavsimDataset(unpacked, split="val", scene_filter=filter_, index_folder=tmp_path)
    ours, theirs = world.load_scene(token).road_map, navsim.load_scene(token).road_map
    assert list(ours.lanes) == list(theirs.lanes) and list(ours.roadblocks) == list(theirs.roadblocks)
    for name, lane in ours.lanes.items():
        other = theirs.lanes[name]
        for field in ("is_connector", "roadblock_id", "incoming", "outgoing", "speed_limit_mps", "index"):
            assert getattr(lane, field) == getattr(other, field), field
        assert lane.stop_line_ids == other.stop_line_ids
        assert np.allclose(lane.baseline, other.baseline, atol=1e-9)
        assert lane.polygon.equals(other.polygon)
    for name, block in ours.roadblocks.items():
        other_block = theirs.roadblocks[name]
        for field in ("is_connector", "lane_ids", "incoming", "outgoing", "intersection_id"):
            assert getattr(block, field) == getattr(other_block, field), field
        assert block.polygon is not None and other_block.polygon is not None
        assert block.polygon.equals(other_block.polygon)
    for layer in ("intersections", "carparks", "crosswalks", "walkways", "stop_lines"):
        mine, others = getattr(ours, layer), getattr(theirs, layer)
        assert list(mine) == list(others), layer
        assert all(mine[name].equals(others[name]) for name in mine), layer


def test_unpacking_again_changes_nothing(small_world: Path, unpacked: Path) -> None:
    logs = sorted((unpacked / "navsim_logs" / "val").glob("*.pkl"))
    before = {path: path.stat().st_mtime_ns for path in logs}
    unpack_world(unpacked.parent, root=small_world, splits=("val",))
    assert before == {path: path.stat().st_mtime_ns for path in logs}


def test_materialised_sensors_are_read_back(small_world: Path, unpacked: Path, tmp_path: Path) -> None:
    size = (192, 108)
    written = materialise_world(unpacked.parent, "val", root=small_world, max_scenes=2, size=size)
    assert written == 3  # two scenes, and the one half a second before the later one
    assert materialise_world(unpacked.parent, "val", root=small_world, max_scenes=2, size=size) == 0
    world = WorldDataset("val", small_world, max_scenes=2, predecessors=True)
    splits = unpacked / "hydra" / "train_test_split" / "scene_filter"
    with_sensors = read_scene_filter(splits / "world_val_00_with_sensors.yaml").tokens
    assert with_sensors == tuple(key.token for key in world.keys())
    filter_ = SceneFilter.of_tokens(with_sensors)
    navsim = NavsimDataset(unpacked, split="val", scene_filter=filter_, index_folder=tmp_path)
    for key in world.keys():
        cast = world.load_sensors(world.load_scene(key.token), size=size)
        read = navsim.load_sensors(navsim.load_scene(key.token), size=size)
        assert np.array_equal(cast.lidar_points, read.lidar_points[:, :3])
        for name, image in cast.images.items():
            assert read.images[name].shape == image.shape
            error = np.abs(read.images[name].astype(float) - image.astype(float)).mean()
            assert error < 6.0, "JPEG loses little"


def test_point_cloud_file(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    path = tmp_path / "points.pcd"
    path.write_bytes(pcd_bytes(points))
    assert np.array_equal(read_pcd(path)[:, :3], points)
