"""All backbones, by the type of their configuration."""

from __future__ import annotations

from openpair.nn.backbone import TransfuserBackbone
from openpair.nn.lift_backbone import LiftBackbone
from openpair.nn.trunk_config import BackboneConfig, LiftBackboneConfig, TransfuserBackboneConfig

Backbone = TransfuserBackbone | LiftBackbone


def features_read(config: BackboneConfig) -> frozenset[str]:
    """Names of the features that a network with this backbone reads."""
    latent = isinstance(config, TransfuserBackboneConfig) and config.latent
    return frozenset({"camera_feature", "status_feature"} | (set() if latent else {"lidar_feature"}))


def build_backbone(config: BackboneConfig) -> Backbone:
    """The backbone that a configuration describes."""
    if isinstance(config, LiftBackboneConfig):
        return LiftBackbone(config)
    return TransfuserBackbone(config)
