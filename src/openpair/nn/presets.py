"""Sizes below the published one."""

from __future__ import annotations

from dataclasses import dataclass

from openpair.datatypes.bev_grid import BevGrid
from openpair.errors import OpenPairError
from openpair.nn.ground_view import GroundView
from openpair.nn.trunk_config import NEAR_GRID, LiftBackboneConfig, TrunkConfig


@dataclass(frozen=True)
class InputLayout:
    """What small networks have to know of the features they get.

    Attributes:
        views: calibration of the stitched front view (:func:`openpair.nn.ground_lift.ground_views`).
        camera_size: (width, height) [px] of ``camera_feature``: 256 x 64 or 512 x 128.
        lidar_grid: raster of ``lidar_feature``.
        lidar_channels: its channels.
        map_grid: raster of ``bev_semantic_map``; a part of the LiDAR's rectangle.
    """

    views: tuple[GroundView, ...]
    camera_size: tuple[int, int] = (256, 64)
    lidar_grid: BevGrid = NEAR_GRID
    lidar_channels: int = 1
    map_grid: BevGrid = NEAR_GRID


def small_trunk(layout: InputLayout) -> TrunkConfig:
    """The trunk of the demo networks, 1.2 million parameters: trains on a laptop's CPU.

    Raises OpenPairError for an image height other than 64 or 128.
    """
    stem_strides = {64: 1, 128: 2}
    if layout.camera_size[1] not in stem_strides:
        raise OpenPairError(
            f"small networks do not take images {layout.camera_size[1]} px high",
            where="camera_size",
            fix="use 256 x 64 or 512 x 128",
        )
    grid = layout.lidar_grid
    backbone = LiftBackboneConfig(
        views=layout.views,
        lidar_grid=grid,
        lidar_channels=layout.lidar_channels,
        stem_stride=stem_strides[layout.camera_size[1]],
    )
    return TrunkConfig(
        backbone=backbone,
        d_model=128,
        d_ffn=256,
        layers=2,
        heads=4,
        agent_range_m=max(abs(v) for v in (grid.x_min_m, grid.x_max_m, grid.y_min_m, grid.y_max_m)),
        map_grid=layout.map_grid,
        align_map=True,
    )
