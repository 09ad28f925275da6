"""The three front cameras side by side, as a small JPEG inside the page."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.scene import SensorFrame

STRIP_CAMERAS = ("cam_l0", "cam_f0", "cam_r0")
STRIP_HEIGHT_PX = 170
JPEG_QUALITY = 78


def camera_strip(sensors: SensorFrame, height: int = STRIP_HEIGHT_PX) -> NDArray[np.uint8] | None:
    """(height, W, 3) RGB: left, front and right camera side by side; None where none of them is there."""
    seen = sensors.images or {}
    images = [seen[name] for name in STRIP_CAMERAS if name in seen]
    if not images:
        return None
    scaled = [_resized(image, height) for image in images]
    gap = np.full((height, 3, 3), 255, np.uint8)
    strip = [scaled[0]]
    for image in scaled[1:]:
        strip += [gap, image]
    return np.concatenate(strip, axis=1)


def _resized(image: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    method = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def jpeg_data_uri(image: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> str:
    """``data:`` address of an RGB image (H, W, 3)."""
    done, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
