"""Features on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from toy_scene import agents_at, scene_at, street

from openpair.datatypes.bev_grid import FRONT_MAP_GRID, LIDAR_GRID
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.scene import SensorFrame
from openpair.errors import OpenPairError
from openpair.features import FeatureConfig, build_features, build_targets
from openpair.features.camera import camera_feature_u8
from openpair.features.lidar import lidar_counts
from openpair.features.targets import (
    CENTERLINE,
    PEDESTRIAN,
    ROAD,
    STATIC_OBJECT,
    VEHICLE,
    agent_targets,
    bev_semantic_map,
)
from openpair.sensors.render import render_front_view

PUBLISHED = FeatureConfig.published()
DEMO = FeatureConfig.demo()


@pytest.mark.parametrize("cells", [256, 128, 100])
def test_lidar_counts_equal_numpys_histogram_on_every_edge(cells: int) -> None:
    config = FeatureConfig(lidar_cells=cells)
    edges = np.linspace(-32, 32, cells + 1)
    rng = np.random.default_rng(0)
    beside = [np.nextafter(edges, -99), np.nextafter(edges, 99)]
    x = np.concatenate([edges, *beside, [-1e-30, 1e-30], rng.uniform(-40, 40, 5000)])
    points = np.stack([x, rng.permutation(x), np.full_like(x, 1.0)], axis=1)
    for kind in (np.float32, np.float64):
        p = points.astype(kind)
        expected, _ = np.histogramdd(p[:, :2].astype(np.float64), bins=(edges, edges))
        assert np.array_equal(lidar_counts(p, config)[0], np.minimum(expected, 5))


def test_lidar_counts_only_between_the_heights() -> None:
    z = np.array([0.2, 0.2001, 99.9, 100.0, np.nan, np.inf])
    points = np.stack([np.zeros(6), np.zeros(6), z], axis=1).astype(np.float32)
    counts = lidar_counts(points, PUBLISHED)
    assert counts.sum() == 2 and counts[0, 128, 128] == 2
    with pytest.raises(OpenPairError, match=r"not \(P, 3\)"):
        lidar_counts(points.T, PUBLISHED)


def test_camera_feature_scales_the_crop_with_the_image() -> None:
    images = {}
    for name, value in (("cam_l0", 50), ("cam_f0", 100), ("cam_r0", 150)):
        image = np.zeros((270, 480, 3), np.uint8)
        inner = image[7:263, 104:376] if name != "cam_f0" else image[7:263]
        inner[:] = value  # what is cut away stays black
        images[name] = image
    sensors = SensorFrame(images, np.zeros((0, 3), np.float32))
    feature = camera_feature_u8(sensors, PUBLISHED)
    left, front, right = feature[:, :, :272], feature[:, :, 272:752], feature[:, :, 752:]
    assert (left == 50).all() and (front == 100).all() and (right == 150).all()
    assert camera_feature_u8(sensors, DEMO).shape == (3, 64, 256)


def test_missing_camera_is_named() -> None:
    image = np.zeros((270, 480, 3), np.uint8)
    with pytest.raises(OpenPairError, match="cam_r0"):
        camera_feature_u8(SensorFrame({"cam_l0": image, "cam_f0": image}, np.zeros((0, 3), np.float32)), DEMO)


def test_agent_targets_are_the_nearest_vehicles() -> None:
    rows = [(AgentCategory.VEHICLE, (10.0 + i, 4.0, 0.5, 4.0, 2.0, 1.5)) for i in range(40)]
    rows += [(AgentCategory.PEDESTRIAN, (1.0, 4.0, 0.0, 0.5, 0.5, 1.7))]
    scene = scene_at((8.0, 4.0, 0.5), agents_at(rows), street())
    states, labels = agent_targets(scene.current, FeatureConfig(num_agents=20))
    assert labels.all() and states.shape == (20, 5) and states.dtype == np.float32
    distance = np.hypot(states[:, 0], states[:, 1])
    np.testing.assert_allclose(distance, 2.0 + np.arange(20), atol=1e-5)
    np.testing.assert_allclose(states[:, 2], 0.0, atol=1e-6)
    np.testing.assert_allclose(states[:, 1], -np.sin(0.5) * distance, atol=1e-5)
    states, labels = agent_targets(scene_at((8.0, 4.0, 0.0), agents_at(rows), street()).current, PUBLISHED)
    assert labels.sum() == 30
    states, labels = agent_targets(scene_at((-20.0, 4.0, 0.0), agents_at(rows), street()).current, PUBLISHED)
    assert labels.sum() == 3 and (states[3:] == 0).all()  # x = 30, 31, 32


def test_semantic_map_by_hand() -> None:
    rows = [
        (AgentCategory.VEHICLE, (10.0, -1.75, 0.0, 4.0, 2.0, 1.5)),
        (AgentCategory.TRAFFIC_CONE, (20.1, 3.1, 0.0, 1.0, 1.0, 0.8)),
        (AgentCategory.PEDESTRIAN, (10.1, -1.85, 0.0, 0.6, 0.6, 1.8)),
        (AgentCategory.BICYCLE, (15.0, 9.0, 0.0, 1.8, 0.6, 1.7)),
    ]
    scene = scene_at((0.0, 0.0, 0.0), agents_at(rows), street())
    bev = bev_semantic_map(scene, PUBLISHED)
    assert bev.shape == (128, 256) and bev.dtype == np.uint8

    def at(x: float, y: float) -> int:
        return int(bev[int(x / 0.25), int(y / 0.25) + 128])

    assert at(5.0, 3.6) == ROAD and at(5.0, -6.0) == ROAD
    assert at(5.0, 8.0) == 0 and at(15.0, 9.0) == 0  # off the road; bicycles are not painted
    assert at(5.0, -1.75) == CENTERLINE and at(25.0, 5.25) == CENTERLINE
    assert at(8.5, -1.0) == VEHICLE and at(10.1, -1.85) == PEDESTRIAN and at(20.1, 3.1) == STATIC_OBJECT
    assert at(7.5, -1.0) == ROAD and at(12.6, -1.0) == ROAD
    assert (bev == VEHICLE).sum() == pytest.approx(4.0 * 2.0 * 16, rel=0.25)


def test_semantic_map_turns_with_the_ego_and_scales_with_its_pixels() -> None:
    rows = [(AgentCategory.VEHICLE, (0.0, 12.0, np.pi / 2, 6.0, 3.0, 1.5))]
    scene = scene_at((0.0, 0.0, np.pi / 2), agents_at(rows), street())
    fine, coarse = bev_semantic_map(scene, PUBLISHED), bev_semantic_map(scene, DEMO)
    assert coarse.shape == (64, 128)
    assert fine[48, 128] == VEHICLE and coarse[24, 64] == VEHICLE
    x, y = np.nonzero(fine == VEHICLE)
    assert x.min() * 0.25 == pytest.approx(9.0, abs=0.3) and x.max() * 0.25 == pytest.approx(15.0, abs=0.3)
    assert (y.min() - 128) * 0.25 == pytest.approx(-1.5, abs=0.3)
    same = (np.repeat(np.repeat(coarse, 2, 0), 2, 1) == fine).mean()
    assert same > 0.9


def test_shapes_types_and_ranges() -> None:
    car = agents_at([(AgentCategory.VEHICLE, (12.0, -1.75, 0.0, 4.5, 1.9, 1.6))])
    scene = scene_at((0.0, -1.75, 0.0), car, street())
    features = build_features(scene, render_front_view(scene, size=DEMO.camera_size), DEMO)
    assert {k: (v.shape, v.dtype) for k, v in features.items()} == {
        "camera_feature": ((3, 64, 256), np.float32),
        "lidar_feature": ((1, 128, 128), np.float32),
        "status_feature": ((8,), np.float32),
    }
    assert features["camera_feature"].min() >= 0 and features["camera_feature"].max() <= 1
    assert features["lidar_feature"].max() == 1.0
    ahead = features["lidar_feature"][0, 64 + 18 : 64 + 22, 62:66]  # 9 .. 11 m ahead, +-1 m: the car's rear
    assert ahead.any()
    targets = build_targets(scene, DEMO)
    assert targets["bev_semantic_map"].dtype == np.int64 and targets["agent_labels"].sum() == 1
    np.testing.assert_allclose(targets["trajectory"][:, 0], 2.5 * np.arange(1, 9))
    np.testing.assert_allclose(targets["agent_states"][0], [12.0, 0.0, 0.0, 4.5, 1.9], atol=1e-6)


def test_bad_sizes_are_refused_and_fingerprints_differ() -> None:
    with pytest.raises(OpenPairError, match="even"):
        FeatureConfig(lidar_cells=127)
    assert FeatureConfig.published().fingerprint() == FeatureConfig().fingerprint() != DEMO.fingerprint()


def test_near_features_and_targets_cover_the_same_ground() -> None:
    config = FeatureConfig.near()
    car = agents_at([(AgentCategory.VEHICLE, (40.0, 1.75, 0.0, 4.0, 2.0, 1.6))])
    scene = scene_at((0.0, -1.75, 0.0), car, street())
    points = np.array([[40.25, 3.75, 1.0], [-7.9, 0.1, 1.0], [-8.1, 0.1, 1.0], [56.1, 0.1, 1.0]], np.float32)
    counts = lidar_counts(points, config)[0]
    assert counts.sum() == 2 and counts[96, 71] == 1 and counts[0, 64] == 1
    targets = build_targets(scene, config)
    bev, occupancy = targets["bev_semantic_map"], targets["future_occupancy"]
    assert bev.shape == (128, 128) and occupancy.shape == (8, 64, 64)
    assert bev[97, 72] == VEHICLE and bev[0, 67] == ROAD
    np.testing.assert_allclose(targets["agent_states"][0, :2], [40.0, 3.5], atol=1e-5)
    assert config.map_grid == config.lidar_grid


def test_published_grids_are_the_named_ones() -> None:
    assert PUBLISHED.lidar_grid == LIDAR_GRID and PUBLISHED.map_grid == FRONT_MAP_GRID
