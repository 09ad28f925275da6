"""Camera feature: three front images cropped, stitched and resized."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.front_view import FRONT_VIEW, FRONT_VIEW_CROPS, RECORDED_SIZE
from openpair.datatypes.scene import SensorFrame
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig


def stitch_front_view(images: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Crops the three front images and puts them side by side.

    Args:
        images: (H, W, 3) uint8 RGB by camera name, of one height; crops are scaled to their size.

    Returns:
        (1024, 4096, 3) uint8 for recorded images of 1920 x 1080, else in proportion.

    Raises:
        OpenPairError: a camera is missing or is no RGB image, or the heights differ.
    """
    parts = []
    for crop in FRONT_VIEW_CROPS:
        image = images.get(crop.camera)
        if image is None:
            raise OpenPairError(
                f"there is no image of {crop.camera}",
                where="camera feature",
                fix="give the sensors cam_l0, cam_f0 and cam_r0",
            )
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise OpenPairError(
                f"the image of {crop.camera} is {image.shape} {image.dtype}, not (H, W, 3) uint8",
                where="camera feature",
            )
        height, width = image.shape[:2]
        across, down = width / RECORDED_SIZE[0], height / RECORDED_SIZE[1]
        rows = slice(round(crop.top * down), round(crop.bottom * down))
        parts.append(image[rows, round(crop.left * across) : round(crop.right * across)])
    if len({part.shape[0] for part in parts}) > 1:
        raise OpenPairError("the front images differ in height", where="camera feature")
    return np.concatenate(parts, axis=1)


def camera_feature_u8(sensors: SensorFrame, config: FeatureConfig) -> NDArray[np.uint8]:
    """(3, H, W) uint8 RGB of the stitched front view at ``config.camera_size``.

    A frame that brings the stitched view already (ray-cast straight at its final size) is taken as it is.

    Raises:
        OpenPairError: as :func:`stitch_front_view`.
    """
    images = sensors.images or {}
    view = images.get(FRONT_VIEW)
    if view is None:
        view = stitch_front_view(images)
    width, height = config.camera_size
    if view.shape[:2] != (height, width):
        import cv2

        view = np.asarray(cv2.resize(view, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.ascontiguousarray(view.transpose(2, 0, 1))


def camera_feature(sensors: SensorFrame, config: FeatureConfig) -> NDArray[np.float32]:
    """(3, H, W) float32 in [0, 1]: :func:`camera_feature_u8` divided by 255."""
    return camera_feature_u8(sensors, config).astype(np.float32) / np.float32(255)
