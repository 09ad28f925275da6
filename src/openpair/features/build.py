"""Scenes to tensors: everything a network reads and everything it is trained to give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.known_input import KnownConfig
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.features.camera import camera_feature_u8
from openpair.features.config import CAMERA, LIDAR, STATUS, FeatureConfig
from openpair.features.forecast import future_occupancy
from openpair.features.known import decode_known, encode_known, future_targets
from openpair.features.lidar import counts_to_feature, lidar_counts
from openpair.features.status import status_feature
from openpair.features.targets import agent_targets, bev_semantic_map, trajectory_target

Arrays = dict[str, NDArray[Any]]

TARGETS = (
    *("trajectory", "agent_states", "agent_labels", "bev_semantic_map", "future_occupancy"),
    *KnownConfig().stored_targets(),
)
"""Names of all targets."""


def build_features(scene: Scene, sensors: SensorFrame, config: FeatureConfig) -> Arrays:
    """What the networks read of the scene's current frame.

    Args:
        scene: the scene.
        sensors: its cameras (three front images, or the stitched front view) and LiDAR.
        config: sizes.

    Returns:
        Those of ``config.inputs``: camera_feature (3, H, W) float32 RGB in [0, 1]; lidar_feature (1, cells, cells)
        float32 in [0, 1]; status_feature (8,) float32; those of :mod:`openpair.features.known`.

    Raises:
        OpenPairError: sensors that the configuration reads are missing or malformed.
    """
    return decode_features(encode_features(scene, sensors, config), config)


def build_targets(scene: Scene, config: FeatureConfig) -> Arrays:
    """What the networks are trained to give.

    Returns:
        trajectory (8, 3) float32; agent_states (num_agents, 5) float32; agent_labels (num_agents,) bool;
        bev_semantic_map (bev_rows, bev_columns) int64; where configured, future_occupancy (8, cells, cells) uint8,
        0 .. 255. Where the truth is the input: trajectory, and those of :func:`openpair.features.known.future_targets`.
    """
    return decode_targets(encode_targets(scene, config))


def encode_features(scene: Scene, sensors: SensorFrame, config: FeatureConfig) -> Arrays:
    """Features in the compact form that is stored: bytes for camera and LiDAR counts."""
    features: Arrays = {STATUS: status_feature(scene.current)}
    if config.cameras:
        features[CAMERA] = camera_feature_u8(sensors, config)
    if config.lidar:
        features[LIDAR] = lidar_counts(sensors.lidar_points, config)
    if config.known:
        features |= encode_known(scene, KnownConfig())
    return features


def encode_targets(scene: Scene, config: FeatureConfig) -> Arrays:
    """Targets in the compact form that is stored: bytes for the semantic map."""
    if config.known:
        return {"trajectory": trajectory_target(scene), **future_targets(scene, KnownConfig())}
    states, labels = agent_targets(scene.current, config)
    targets = {
        "trajectory": trajectory_target(scene),
        "agent_states": states,
        "agent_labels": labels,
        "bev_semantic_map": bev_semantic_map(scene, config),
    }
    if config.occupancy_cells:
        targets["future_occupancy"] = future_occupancy(scene, config.occupancy_grid)
    return targets


def decode_features(stored: Arrays, config: FeatureConfig) -> Arrays:
    """Stored features of one or many scenes -> float32, as :func:`build_features` gives them."""
    features = {STATUS: np.asarray(stored[STATUS])}
    if config.cameras:
        features[CAMERA] = stored[CAMERA].astype(np.float32) / np.float32(255)
    if config.lidar:
        features[LIDAR] = counts_to_feature(stored[LIDAR], config)
    if config.known:
        features |= decode_known(stored, KnownConfig())
    return features


def decode_targets(stored: Arrays) -> Arrays:
    """Stored targets of one or many scenes, as :func:`build_targets` gives them."""
    targets = {name: np.asarray(stored[name]) for name in TARGETS if name in stored}
    if "bev_semantic_map" in targets:
        targets["bev_semantic_map"] = targets["bev_semantic_map"].astype(np.int64)
    return targets
