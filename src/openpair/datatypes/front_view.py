"""The front view: the three front cameras cropped and stitched side by side, as TransFuser sees the world.

Recorded images are cut and resized to it (``openpair.features``); ray-cast images may be rendered straight into it
(``openpair.sensors``), which spares the large images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FRONT_CAMERAS: Final = ("cam_l0", "cam_f0", "cam_r0")
"""Left to right."""

FRONT_VIEW: Final = "front_view"
"""Name of a stitched image in :class:`~openpair.datatypes.scene.SensorFrame`."""

RECORDED_SIZE: Final = (1920, 1080)
"""(width, height) [px] of NAVSIM's recorded images, to which the crops below refer."""


@dataclass(frozen=True)
class Crop:
    """Part of one recorded image, [left, right) x [top, bottom) in pixels of the recorded size."""

    camera: str
    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left


FRONT_VIEW_CROPS: Final = (
    Crop("cam_l0", 416, 28, 1504, 1052),
    Crop("cam_f0", 0, 28, 1920, 1052),
    Crop("cam_r0", 416, 28, 1504, 1052),
)
"""1088 + 1920 + 1088 columns, 1024 rows: 4096 x 1024 before it is resized."""
