"""Scenes to tensors: what the networks read, what they are trained to give, and a store for both."""

from openpair.features.build import build_features, build_targets
from openpair.features.config import FeatureConfig

__all__ = ["FeatureConfig", "build_features", "build_targets"]
