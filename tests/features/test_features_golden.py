"""Features equal, bit for bit, to those of the original; raw input is made from the golden recipe's seeds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from openpair.datatypes.agents import Agents
from openpair.datatypes.ego import EgoState
from openpair.datatypes.scene import Frame, SensorFrame
from openpair.features.camera import camera_feature, camera_feature_u8, stitch_front_view
from openpair.features.config import CAMERA, LIDAR, FeatureConfig
from openpair.features.lidar import lidar_counts, lidar_feature
from openpair.features.packing import pack, unpack
from openpair.features.status import status_feature

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "models" / "features.npz"
pytestmark = pytest.mark.skipif(not GOLDEN.is_file(), reason="golden features are not at ../shared/golden/models")
CONFIG = FeatureConfig.published()


def raw_image(name: str) -> np.ndarray:
    """(1080, 1920, 3) uint8 image of random 8 x 8 blocks with noise, from the recipe's generator of that name."""
    digest = hashlib.sha256(f"pairdrive-golden-1/x/raw/{name}".encode()).digest()
    rng = np.random.RandomState(int.from_bytes(digest[:4], "big"))
    blocks = rng.randint(0, 256, (135, 240, 3)).repeat(8, 0).repeat(8, 1)
    return np.clip(blocks + rng.randint(-20, 21, (1080, 1920, 3)), 0, 255).astype(np.uint8)


def packed_and_back(name: str, value: np.ndarray) -> np.ndarray:
    """An array out of a store that compresses it."""
    return unpack(name, [np.frombuffer(pack(name, value), np.uint8)], value.shape)[0]


def test_camera_feature() -> None:
    with np.load(GOLDEN, allow_pickle=False) as golden:
        expected = golden["camera_u8_every3"]
    images = {f"cam_{name}": raw_image(name) for name in ("l0", "f0", "r0")}
    sensors = SensorFrame(images, np.zeros((0, 3), np.float32))
    assert stitch_front_view(images).shape == (1024, 4096, 3)
    feature = camera_feature(sensors, CONFIG)
    assert feature.shape == (3, 256, 1024) and feature.dtype == np.float32
    assert np.array_equal(camera_feature_u8(sensors, CONFIG)[:, 1::3, ::3], expected)
    assert np.array_equal(feature[:, 1::3, ::3], expected.astype(np.float32) / np.float32(255))
    assert np.array_equal(packed_and_back(CAMERA, camera_feature_u8(sensors, CONFIG))[:, 1::3, ::3], expected)


def test_lidar_feature() -> None:
    with np.load(GOLDEN, allow_pickle=False) as golden:
        points, expected = golden["lidar_pc"].T, golden["lidar"]
    assert np.array_equal(lidar_counts(points, CONFIG), expected)
    assert np.array_equal(packed_and_back(LIDAR, lidar_counts(points, CONFIG)), expected)
    assert np.array_equal(lidar_feature(points, CONFIG), (expected / 5.0).astype(np.float32))


def test_status_feature() -> None:
    with np.load(GOLDEN, allow_pickle=False) as golden:
        expected = golden["status"]
    ego = EgoState(0, np.zeros(3), np.array([5.5, 0.1]), np.array([0.2, -0.1]))
    frame = Frame("0", ego, Agents.empty(), (), (), np.array([0, 1, 0, 0]), {})
    status = status_feature(frame)
    assert status.dtype == np.float32 and np.array_equal(status, expected)
