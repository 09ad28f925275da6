"""From a dataset's scenes to what networks see of them: sensors are read or ray-cast, then made into features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from openpair.datasets.base import Dataset
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.features.build import build_features
from openpair.features.config import FeatureConfig
from openpair.sensors.render import render_front_view

RECORDED_SIZE = (1920, 1080)


def see(dataset: Dataset, scene: Scene, config: FeatureConfig) -> SensorFrame:
    """What the ego sees of what ``config`` reads: ray-cast straight at the features' size, or recorded images at their
    own size. Nothing else is opened."""
    if not (config.cameras or config.lidar):
        return SensorFrame(None, None)
    if dataset.ray_cast:
        return render_front_view(scene, size=config.camera_size, cameras=config.cameras, lidar=config.lidar)
    return dataset.load_sensors(scene, size=RECORDED_SIZE, cameras=config.cameras, lidar=config.lidar)


def features_of(dataset: Dataset, scenes: Sequence[Scene], config: FeatureConfig) -> dict[str, torch.Tensor]:
    """Features of some scenes by name (B, ...), as training saw them."""
    rows = [build_features(scene, see(dataset, scene, config), config) for scene in scenes]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in config.inputs}
