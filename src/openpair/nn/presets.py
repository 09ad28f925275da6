"""Sizes below the published one."""

from __future__ import annotations

from collections.abc import Mapping

from openpair.datatypes.scene import Camera
from openpair.nn.ground_lift import ground_views
from openpair.nn.lift_backbone import NEAR_GRID, LiftBackboneConfig
from openpair.nn.trunk import TrunkConfig


def small_trunk(cameras: Mapping[str, Camera], *, lidar_channels: int = 1, stem_stride: int = 1) -> TrunkConfig:
    """The trunk of the demo networks: trains on a laptop's CPU.

    Args:
        cameras: calibration of the front cameras.
        lidar_channels: channels of the LiDAR raster.
        stem_stride: 1 for a front view 64 rows high, 2 for 128.
    """
    backbone = LiftBackboneConfig(views=ground_views(cameras), lidar_channels=lidar_channels, stem_stride=stem_stride)
    return TrunkConfig(
        backbone=backbone,
        d_model=128,
        d_ffn=256,
        layers=2,
        heads=4,
        agent_range_m=56.0,
        map_grid=NEAR_GRID,
    )
