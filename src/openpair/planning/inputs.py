"""From a dataset's scenes to what networks see of them: sensors are read or ray-cast, then made into features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from openpair.datasets.base import Dataset
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.features.build import FEATURES_OF_BATCH, build_features
from openpair.features.config import FeatureConfig
from openpair.sensors.render import render_front_view

RECORDED_SIZE = (1920, 1080)


def see(dataset: Dataset, scene: Scene, config: FeatureConfig) -> SensorFrame:
    """What the ego sees: ray-cast straight at the features' size, or recorded images at their own size."""
    if dataset.ray_cast:
        return render_front_view(scene, size=config.camera_size)
    return dataset.load_sensors(scene, size=RECORDED_SIZE)


def features_of(dataset: Dataset, scenes: Sequence[Scene], config: FeatureConfig) -> dict[str, torch.Tensor]:
    """Features of some scenes by name (B, ...), as training saw them."""
    rows = [build_features(scene, see(dataset, scene, config), config) for scene in scenes]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in FEATURES_OF_BATCH}
