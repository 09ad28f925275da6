"""Pictures and points are where geometry says they are."""

from __future__ import annotations

import numpy as np
import pytest
from toy_scene import agents_at, scene_at, street

from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.front_view import FRONT_VIEW, FRONT_VIEW_CROPS
from openpair.datatypes.scene import Camera, Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.features.camera import camera_feature_u8
from openpair.features.config import FeatureConfig
from openpair.sensors.render import Renderer, render_front_view, render_scene
from openpair.sensors.rig import STANDARD_LIDAR, front_cameras, standard_cameras

EGO = (0.0, -1.75, 0.0)
TOWN = street()
WALL = (AgentCategory.GENERIC_OBJECT, (14.0, -1.75, 0.0, 2.0, 4.0, 4.0))
"""Its near face lies 13 m ahead of the rear axle."""


def difference(a: SensorFrame, b: SensorFrame, camera: str) -> np.ndarray:
    """(H, W) bool: where two pictures differ clearly."""
    return np.abs(a.images[camera].astype(int) - b.images[camera].astype(int)).max(axis=2) > 12


def with_agents(*rows: tuple) -> Scene:
    return scene_at(EGO, agents_at(list(rows)), TOWN)


def test_sizes_types_and_names() -> None:
    frame = render_scene(with_agents(), size=(96, 54), depth=True)
    assert set(frame.images) == {"cam_l0", "cam_f0", "cam_r0"}
    assert all(image.shape == (54, 96, 3) and image.dtype == np.uint8 for image in frame.images.values())
    assert frame.depth is not None and all(d.dtype == np.float32 for d in frame.depth.values())
    assert frame.lidar_points.dtype == np.float32 and frame.lidar_points.shape[1] == 3
    assert render_scene(with_agents(), size=(96, 54)).depth is None


def test_a_box_ahead_shows_at_the_right_pixels_and_depth() -> None:
    frame = render_scene(with_agents(WALL), size=(480, 270), depth=True)
    assert frame.depth is not None
    camera = standard_cameras()["cam_f0"]
    distance = 13.0 - camera.translation[0]
    focal = camera.intrinsics[0, 0] / 4
    cx = (camera.intrinsics[0, 2] + 0.5) / 4 - 0.5
    cy = (camera.intrinsics[1, 2] + 0.5) / 4 - 0.5
    near = np.abs(frame.depth["cam_f0"] - distance) < 0.01
    rows, columns = np.nonzero(near)
    assert columns.min() == np.ceil(cx - focal * 2.0 / distance)
    assert columns.max() == np.floor(cx + focal * 2.0 / distance)
    assert rows.min() == np.ceil(cy - focal * (4.0 - camera.translation[2]) / distance)
    assert rows.max() == np.floor(cy + focal * camera.translation[2] / distance)
    assert near[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_ground_depth_follows_from_the_camera_height() -> None:
    frame = render_scene(with_agents(), size=(480, 270), depth=True)
    assert frame.depth is not None
    camera = standard_cameras()["cam_f0"]
    row = 260
    v = (row + 0.5) * 4 - 0.5
    expected = camera.translation[2] * camera.intrinsics[1, 1] / (v - camera.intrinsics[1, 2])
    np.testing.assert_allclose(frame.depth["cam_f0"][row, 200:280], expected, rtol=1e-5)
    assert np.isinf(frame.depth["cam_f0"][0, 240])


def test_left_camera_sees_left_and_right_camera_sees_right() -> None:
    empty = render_scene(with_agents())
    for side, camera in ((1.0, "cam_l0"), (-1.0, "cam_r0")):
        car = (AgentCategory.VEHICLE, (9.0, -1.75 + side * 9.0, 0.0, 4.5, 1.9, 1.6))
        seen = render_scene(with_agents(car))
        for name in ("cam_l0", "cam_f0", "cam_r0"):
            assert difference(seen, empty, name).any() == (name == camera)


def test_lidar_ranges_to_a_box_the_ground_and_behind() -> None:
    behind = (AgentCategory.VEHICLE, (-12.0, -1.75, 0.0, 4.0, 2.0, 1.6))
    points = render_scene(with_agents(WALL, behind), size=(16, 9)).lidar_points
    ahead = points[(np.abs(points[:, 1]) < 1.8) & (points[:, 0] > 5) & (points[:, 0] < 14) & (points[:, 2] > 0.05)]
    np.testing.assert_allclose(ahead[:, 0], 13.0, atol=1e-4)
    highest = STANDARD_LIDAR.position[2] + (13.0 - STANDARD_LIDAR.position[0]) * np.tan(np.deg2rad(2.0))
    assert ahead[:, 2].max() == pytest.approx(highest, abs=0.02) and len(ahead) > 100
    rear = points[(np.abs(points[:, 1]) < 0.9) & (points[:, 0] < -5) & (points[:, 0] > -15) & (points[:, 2] > 0.2)]
    assert len(rear) > 50 and (rear[:, 0] >= -14.0 - 1e-4).all() and (rear[:, 0] <= -10.0 + 1e-4).all()
    steepest = np.deg2rad(-STANDARD_LIDAR.elevation_deg[0])
    ring = np.hypot(points[:, 0] - STANDARD_LIDAR.position[0], points[:, 1] - STANDARD_LIDAR.position[1])
    assert ring[points[:, 2] == 0].min() == pytest.approx(STANDARD_LIDAR.position[2] / np.tan(steepest), rel=1e-5)
    assert points[:, 2].min() == 0.0
    distance = np.linalg.norm(points - np.array(STANDARD_LIDAR.position, np.float32), axis=1)
    assert distance.max() < STANDARD_LIDAR.max_range_m


@pytest.mark.parametrize("category", list(AgentCategory))
def test_every_kind_of_agent_is_seen_inside_its_box(category: AgentCategory) -> None:
    sizes = {AgentCategory.VEHICLE: (4.6, 1.9, 1.7), AgentCategory.BICYCLE: (1.8, 0.6, 1.7)}
    size = sizes.get(category, (0.6, 0.6, 1.4))
    row = (category, (12.0, 0.0, 0.6, *size))
    seen, empty = render_scene(with_agents(row), size=(480, 270)), render_scene(with_agents(), size=(480, 270))
    assert difference(seen, empty, "cam_f0").sum() > 20
    before = {tuple(p) for p in empty.lidar_points}
    new = np.array([p for p in seen.lidar_points if tuple(p) not in before])
    solid = new[new[:, 2] > 0] - [12.0, 1.75, 0.0]
    c, s = np.cos(0.6), np.sin(0.6)
    local = np.stack([c * solid[:, 0] + s * solid[:, 1], c * solid[:, 1] - s * solid[:, 0], solid[:, 2]], axis=1)
    assert len(local) > 3
    assert (np.abs(local[:, 0]) <= size[0] / 2 + 1e-3).all() and (np.abs(local[:, 1]) <= size[1] / 2 + 1e-3).all()
    assert (local[:, 2] <= size[2] + 1e-3).all()


def test_red_and_green_lights_differ_and_face_the_lane_they_speak_to() -> None:
    def near_junction(red: bool | None, heading: float = 0.0, x: float = 48.0) -> SensorFrame:
        lights = () if red is None else (("go", red),)
        return render_scene(scene_at((x, -1.75, heading), agents_at([]), TOWN, lights))

    red, green, dark = near_junction(True), near_junction(False), near_junction(None)
    for frame, channel in ((red, 0), (green, 1)):
        lamp = difference(frame, dark, "cam_f0")
        assert 4 < lamp.sum() < 800
        colors = frame.images["cam_f0"][lamp].astype(int)
        others = [c for c in range(3) if c != channel]
        assert (colors[:, channel] > colors[:, others].max(axis=1) + 40).mean() > 0.6
    from_behind = [near_junction(state, np.pi, 100.0) for state in (True, False)]
    assert np.array_equal(from_behind[0].images["cam_f0"], from_behind[1].images["cam_f0"])


def test_lane_markings_and_road_edge_can_be_told_apart() -> None:
    image = render_scene(with_agents(), size=(480, 270)).images["cam_f0"].astype(int)
    row = image[190]
    yellow = (row[:, 0] - row[:, 2] > 60) & (row[:, 0] > 120)
    far = image[162]
    grass = (far[:, 1] - far[:, 2] > 15) & (far[:, 1] > far[:, 0])
    white = row.min(axis=1) > 175
    # the ego drives right of the middle: the yellow line on its left, the right edge nearer than the left one
    assert yellow.any() and np.nonzero(yellow)[0].max() < 240
    assert white[240:].any()
    assert grass.any() and not grass[180:290].any()


def test_a_far_away_origin_gives_the_same_picture() -> None:
    near = render_scene(with_agents(WALL), size=(480, 270))
    shift = (331_234.567, 4_690_321.125)
    x, y, *rest = WALL[1]
    far_wall = (WALL[0], (x + shift[0], y + shift[1], *rest))
    pose = (EGO[0] + shift[0], EGO[1] + shift[1], EGO[2])
    far = render_scene(scene_at(pose, agents_at([far_wall]), street(shift)), size=(480, 270))
    for name, image in near.images.items():
        off = np.abs(image.astype(int) - far.images[name].astype(int)).max(axis=2)
        assert (off > 8).mean() < 1e-3
    assert abs(len(near.lidar_points) - len(far.lidar_points)) < 10
    if len(near.lidar_points) == len(far.lidar_points):
        assert np.percentile(np.abs(near.lidar_points - far.lidar_points), 99) < 1e-3


def test_the_same_scene_gives_the_same_bytes_whatever_was_rendered_before() -> None:
    scene = with_agents(WALL)
    first = render_scene(scene, renderer=Renderer())
    small = Renderer(max_towns=1, max_tiles=17)  # so small that towns and tiles are thrown out all the time
    for shift in (30.0, 300.0):
        render_scene(scene_at((shift, shift, 0.3), agents_at([]), street((shift, shift))), renderer=small)
    again = render_scene(scene, renderer=small)
    for name in first.images:
        assert np.array_equal(first.images[name], again.images[name])
    assert np.array_equal(first.lidar_points, again.lidar_points)


def test_the_frames_own_calibration_is_used() -> None:
    scene = with_agents(WALL)
    standard = standard_cameras()["cam_f0"]
    higher = Camera(
        "cam_f0", None, standard.rotation, standard.translation + np.array([0, 0, 1.0]), standard.intrinsics
    )
    frames = list(scene.frames)
    frames[3] = type(frames[3])(**{**frames[3].__dict__, "cameras": {"cam_f0": higher}})
    moved = Scene(scene.dataset, scene.log_name, scene.road_map, tuple(frames))
    a = render_scene(scene, depth=True)
    b = render_scene(moved, depth=True)
    assert a.depth is not None and b.depth is not None
    np.testing.assert_allclose(b.depth["cam_f0"][265, 240] / a.depth["cam_f0"][265, 240], 2.55 / 1.55, rtol=1e-4)
    assert np.array_equal(a.images["cam_l0"], b.images["cam_l0"])
    assert front_cameras(moved.current)["cam_f0"] is higher


def test_front_view_looks_along_the_same_rays_as_the_resized_images() -> None:
    scene = scene_at((46.0, -1.75, 0.1), agents_at([WALL]), TOWN, (("go", True),))
    config = FeatureConfig(camera_size=(1024, 256))
    direct = camera_feature_u8(render_front_view(scene, size=(1024, 256)), config).astype(int)
    resized = camera_feature_u8(render_scene(scene, size=(1920, 1080)), config).astype(int)
    assert direct.shape == resized.shape == (3, 256, 1024)
    assert np.abs(direct - resized).mean() < 2.0
    shifted = np.roll(direct, 1, axis=2)
    assert np.abs(direct - resized).mean() < 0.6 * np.abs(shifted - resized).mean()


def test_front_view_takes_any_size() -> None:
    scene = with_agents(WALL)
    for size in ((256, 64), (100, 30), (7, 3)):
        view = render_front_view(scene, size=size).images[FRONT_VIEW]
        assert view.shape == (size[1], size[0], 3)
        assert (view.reshape(-1, 3).sum(axis=1) > 0).all()  # no column without a camera
    assert sum(crop.width for crop in FRONT_VIEW_CROPS) == 4096


def test_a_size_that_is_not_positive_is_refused() -> None:
    with pytest.raises(OpenPairError, match="positive"):
        render_scene(with_agents(), size=(0, 10))


def test_brake_lights_of_a_car_that_slows_down() -> None:
    lit = []
    for speeds in ((8.0, 8.0), (8.0, 6.0)):
        car = agents_at([(AgentCategory.VEHICLE, (12.0, -1.75, 0.0, 4.5, 1.9, 1.6))])
        scene = scene_at(EGO, car, TOWN)
        frames = list(scene.frames)
        for i in range(4):
            speed = speeds[0] if i < 3 else speeds[1]
            moving = type(car)(car.track_tokens, car.category, car.box, np.array([[speed, 0.0]]), car.center_z)
            frames[i] = type(frames[i])(**{**frames[i].__dict__, "agents": moving})
        image = render_scene(Scene("toy", "log", TOWN, tuple(frames))).images["cam_f0"].astype(int)
        lit.append(int(((image[..., 0] > 150) & (image[..., 1] < 90)).sum()))
    assert lit[0] == 0 and lit[1] > 10


def test_a_map_without_anything_and_agents_without_a_map() -> None:
    from openpair.datatypes.road_map import RoadMap

    scene = scene_at((5.0, 5.0, 0.4), agents_at([WALL]), RoadMap("nowhere", {}, {}))
    frame = render_scene(scene, size=(64, 36))
    assert frame.images["cam_f0"].shape == (36, 64, 3) and len(frame.lidar_points) > 1000


@pytest.mark.parametrize("x", [20.0, 30.0, 44.0, 50.0, 56.0, 58.0])
def test_the_light_can_be_read_in_the_small_front_view_from_far_away_to_the_stop_line(x: float) -> None:
    views = [
        render_front_view(scene_at((x, -1.75, 0.0), agents_at([]), TOWN, (("go", red),)), size=(256, 64))
        for red in (True, False)
    ]
    red, green = (view.images[FRONT_VIEW].astype(int) for view in views)
    apart = (red[..., 0] - red[..., 1]) - (green[..., 0] - green[..., 1])
    assert (apart > 80).sum() >= 3
