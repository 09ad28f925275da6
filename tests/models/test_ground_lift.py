"""Putting the image onto the ground, against projections worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openpair.datatypes.bev_grid import BevGrid
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.nn.bev_lookup import lookup
from openpair.nn.ground import BevGround, beside
from openpair.nn.ground_lift import ground_in_front_view, lift
from openpair.nn.ground_view import ground_views
from openpair.nn.lift_backbone import LiftBackbone
from openpair.nn.presets import InputLayout
from openpair.nn.trunk import crop
from openpair.nn.trunk_config import LiftBackboneConfig
from openpair.sensors.rig import standard_cameras

VIEWS = ground_views(standard_cameras())


def one_cell(x: float, y: float) -> BevGrid:
    return BevGrid(x - 0.5, x + 0.5, y - 0.5, y + 0.5, 1, 1)


def test_ground_straight_ahead_lies_in_the_middle_of_the_front_camera() -> None:
    column, row = ground_in_front_view(VIEWS, one_cell(21.70, 0.0))[0, 0]
    # 20 m from the front camera, 1.55 m high: 1545 * 1.55 / 20 = 119.7 px below the principal point (960, 560)
    assert column == pytest.approx(2 * (1088 + 960.5) / 4096 - 1, abs=1e-5)
    assert row == pytest.approx(2 * (560.5 + 119.7375 - 28) / 1024 - 1, abs=1e-5)


def test_ground_to_the_left_lies_left_in_the_front_camera() -> None:
    column, _ = ground_in_front_view(VIEWS, one_cell(21.70, 5.0))[0, 0]
    assert column == pytest.approx(2 * (1088 + 960.5 - 1545 * 5 / 20) / 4096 - 1, abs=1e-5)


def test_ground_beside_the_ego_lies_in_the_side_cameras() -> None:
    left, right = (ground_in_front_view(VIEWS, one_cell(9.0, y))[0, 0, 0] for y in (12.0, -12.0))
    assert -1 < left < 2 * 1088 / 4096 - 1 and 2 * 3008 / 4096 - 1 < right < 1
    assert left == pytest.approx(-right, abs=1e-3)


def test_ground_behind_is_not_seen() -> None:
    assert (ground_in_front_view(VIEWS, one_cell(-5.0, 0.0)) == 2.0).all()


@pytest.mark.parametrize("size", [(256, 64), (512, 128), (1024, 256)])
def test_a_mark_in_the_image_comes_out_on_the_ground_at_every_size(size: tuple[int, int]) -> None:
    grid = BevGrid(2.0, 34.0, -16.0, 16.0, 128, 128)
    sampling = torch.from_numpy(ground_in_front_view(VIEWS, grid))
    target = (12.125, -2.125)
    column, row = ground_in_front_view(VIEWS, one_cell(*target))[0, 0]
    width, height = size
    x = (torch.arange(width) + 0.5) * 2 / width - 1
    y = (torch.arange(height) + 0.5) * 2 / height - 1
    near = torch.exp(-(((x - column) * 40) ** 2)[None] - (((y - row) * 20) ** 2)[:, None])
    lifted = lift(near[None, None], sampling)[0, 0]
    at = np.unravel_index(int(lifted.argmax()), lifted.shape)
    assert grid.centers()[at] == pytest.approx(target, abs=0.3)


def test_missing_camera_is_named() -> None:
    cameras = standard_cameras()
    del cameras["cam_r0"]
    with pytest.raises(OpenPairError, match="cam_r0"):
        ground_views(cameras)


def test_lookup_finds_each_cell_at_its_centre_and_nothing_outside() -> None:
    grid = BevGrid(-8.0, 56.0, -32.0, 32.0, 16, 8)
    bev = torch.arange(16 * 8, dtype=torch.float32).view(1, 1, 16, 8)
    centers = torch.from_numpy(grid.centers()).float().view(1, -1, 2)
    assert torch.allclose(lookup(bev, centers, grid).flatten(), bev.flatten(), atol=1e-4)
    assert lookup(bev, torch.tensor([[[100.0, 0.0]]]), grid).item() == 0.0


def test_a_look_beside_a_plan_adds_gradients_up_pose_by_pose() -> None:
    """Trained weights hang on that order to the last bit; a look distance by distance adds up in another."""
    torch.manual_seed(0)
    grid, sides = BevGrid(-8.0, 56.0, -32.0, 32.0, 64, 64), (-2.0, 0.0, 2.0)
    plan = torch.randn(2, 8, 3).cumsum(1)
    weight = torch.randn(2, 8, 3, 4)
    maps = [torch.randn(2, 4, 64, 64, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2)]
    seen = BevGround(maps[0], grid).look_beside(plan, sides)
    points = torch.stack([beside(plan, (side,))[:, 0, :, :2] for side in sides], dim=2)
    expected = lookup(maps[1], points.flatten(1, 2), grid).unflatten(1, (8, 3))
    for values in (seen, expected):
        (values * weight).sum().backward()
    assert torch.equal(seen, expected)
    assert maps[0].grad is not None and maps[1].grad is not None
    assert torch.equal(maps[0].grad, maps[1].grad)


def test_crop_takes_the_cells_of_the_part_and_refuses_half_cells() -> None:
    grid = BevGrid(-32.0, 32.0, -32.0, 32.0, 64, 64)
    rows = torch.arange(64.0).view(1, 1, 64, 1).expand(1, 1, 64, 64)
    front = crop(rows, grid, BevGrid(0.0, 32.0, -32.0, 32.0, 64, 128))
    assert front.shape == (1, 1, 32, 64) and front[0, 0, 0, 0] == 32.0
    with pytest.raises(OpenPairError, match="whole number of cells"):
        crop(rows, grid, BevGrid(0.5, 32.0, -32.0, 32.0))
    with pytest.raises(OpenPairError, match="whole number of cells"):
        crop(rows, grid, BevGrid(0.0, 40.0, -32.0, 32.0))


def test_small_networks_see_what_the_near_features_show() -> None:
    features = FeatureConfig.near()
    layout = InputLayout(VIEWS)
    assert features.lidar_grid == layout.lidar_grid and features.map_grid == layout.map_grid
    assert features.camera_size == layout.camera_size
    backbone = LiftBackbone(LiftBackboneConfig(VIEWS))
    bev = backbone(torch.rand(1, 3, 64, 256), torch.rand(1, 1, 128, 128)).bev
    assert bev.shape[-2:] == (features.occupancy_grid.rows, features.occupancy_grid.columns)
