"""Sizes of features and targets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from openpair.datatypes.bev_grid import BevGrid
from openpair.datatypes.known_input import KNOWN_FEATURES
from openpair.datatypes.settings import later, unused_settings
from openpair.errors import OpenPairError

FEATURES_VERSION = 1
"""Rises when the same scene and configuration give other numbers; part of every cache key."""

CAMERA, LIDAR, STATUS = "camera_feature", "lidar_feature", "status_feature"
"""Names of the features."""

NUM_STATUS = 8
NUM_AGENT_STATES = 5
NUM_BEV_CLASSES = 7


@dataclass(frozen=True)
class FeatureConfig:
    """How scenes become tensors. The defaults are those of the published TransFuser.

    Attributes:
        camera_size: (width, height) [px] of the stitched front view.
        lidar_cells: rows and columns of the LiDAR histogram, over +-lidar_range_m in x and y around its centre.
        lidar_range_m: half the side of the histogram [m].
        lidar_center_x_m: how far ahead of the ego the histogram's centre lies [m].
        lidar_min_z_m: points must lie above it.
        lidar_max_z_m: and below it.
        lidar_max_count: points of a cell beyond it do not count; a full cell is 1.
        num_agents: rows of the agent targets.
        agent_range_m: agents further from the histogram's centre in x or y are no targets [m].
        bev_pixel_m: size of a pixel of the semantic map [m].
        bev_rows: rows of the semantic map.
        bev_x_min_m: where its first row begins, ahead of the ego [m].
        bev_columns: columns, half of them on either side.
        bev_radius_m: map objects further from the ego are not painted [m].
        occupancy_cells: rows and columns of the target ``future_occupancy``, over the LiDAR's square; 0 for none.
        cameras, lidar: sensors that are read; the others are not opened, and their features are absent.
        known: the truth is read (:mod:`openpair.features.known`); then it also gives the targets.
    """

    camera_size: tuple[int, int] = (1024, 256)
    lidar_cells: int = 256
    lidar_range_m: float = 32.0
    lidar_center_x_m: float = 0.0
    lidar_min_z_m: float = 0.2
    lidar_max_z_m: float = 100.0
    lidar_max_count: int = 5
    num_agents: int = 30
    agent_range_m: float = 32.0
    bev_pixel_m: float = 0.25
    bev_rows: int = 128
    bev_x_min_m: float = 0.0
    bev_columns: int = 256
    bev_radius_m: float = 32.0
    occupancy_cells: int = 0
    cameras: bool = later(True)
    lidar: bool = later(True)
    known: bool = later(False)

    def __post_init__(self) -> None:
        if self.lidar_cells < 2 or self.lidar_cells % 2 or min(self.camera_size) < 1 or self.bev_columns % 2:
            raise OpenPairError(
                "sizes must be positive, LiDAR cells and columns of the semantic map even",
                where="FeatureConfig",
                fix="use FeatureConfig.published() or FeatureConfig.demo()",
            )
        if not 1 <= self.lidar_max_count <= 255:
            raise OpenPairError("lidar_max_count must lie in 1..255", where="FeatureConfig")

    @staticmethod
    def published() -> FeatureConfig:
        """Camera 1024 x 256, LiDAR 256 x 256, semantic map 128 x 256: what the released checkpoints were trained on."""
        return FeatureConfig()

    @staticmethod
    def demo() -> FeatureConfig:
        """Camera 256 x 64, LiDAR 128 x 128, semantic map 64 x 128: the same area seen, small enough for a laptop."""
        return FeatureConfig(camera_size=(256, 64), lidar_cells=128, bev_pixel_m=0.5, bev_rows=64, bev_columns=128)

    @staticmethod
    def near() -> FeatureConfig:
        """What OpenPaIR's small networks see: 64 x 64 m, most of it ahead, where the next 4 s take place.

        Camera 256 x 64; LiDAR, semantic map (both 128 x 128) and future occupancy (64 x 64) over the same ground.
        """
        return FeatureConfig(
            camera_size=(256, 64),
            lidar_cells=128,
            lidar_center_x_m=24.0,
            bev_pixel_m=0.5,
            bev_rows=128,
            bev_columns=128,
            bev_x_min_m=-8.0,
            bev_radius_m=64.0,
            occupancy_cells=64,
        )

    @staticmethod
    def truth() -> FeatureConfig:
        """No sensors: the known track."""
        return FeatureConfig(cameras=False, lidar=False, known=True)

    @property
    def lidar_grid(self) -> BevGrid:
        """The cells of the LiDAR histogram."""
        reach, center, cells = self.lidar_range_m, self.lidar_center_x_m, self.lidar_cells
        return BevGrid(center - reach, center + reach, -reach, reach, cells, cells)

    @property
    def map_grid(self) -> BevGrid:
        """The pixels of the semantic map."""
        x_max = self.bev_x_min_m + self.bev_rows * self.bev_pixel_m
        half_width = 0.5 * self.bev_columns * self.bev_pixel_m
        return BevGrid(self.bev_x_min_m, x_max, -half_width, half_width, self.bev_rows, self.bev_columns)

    @property
    def occupancy_grid(self) -> BevGrid:
        """The cells of the future occupancy."""
        return self.lidar_grid.with_shape(self.occupancy_cells, self.occupancy_cells)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the features that networks read, in the order in which batches hold them."""
        sensors = tuple(name for name, read in ((CAMERA, self.cameras), (LIDAR, self.lidar)) if read)
        return sensors + (STATUS,) + (KNOWN_FEATURES if self.known else ())

    def reading(self, names: Collection[str]) -> FeatureConfig:
        """The same sizes with what has its features among ``names``, as far as it is read here."""
        known = self.known and KNOWN_FEATURES[0] in names
        return replace(self, cameras=self.cameras and CAMERA in names, lidar=self.lidar and LIDAR in names, known=known)

    def joined(self, other: FeatureConfig) -> FeatureConfig | None:
        """What both read; None where both read sensors and their sizes differ."""
        known = self.known or other.known
        if not (other.cameras or other.lidar):
            return replace(self, known=known)
        if not (self.cameras or self.lidar):
            return replace(other, known=known)
        if replace(self, cameras=True, lidar=True, known=True) != replace(other, cameras=True, lidar=True, known=True):
            return None
        return replace(self, cameras=self.cameras or other.cameras, lidar=self.lidar or other.lidar, known=known)

    def fingerprint(self) -> str:
        """16 hex characters that change with any setting and with FEATURES_VERSION."""
        settings = {name: value for name, value in asdict(self).items() if name not in unused_settings(self)}
        text = json.dumps({"version": FEATURES_VERSION, **settings}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
