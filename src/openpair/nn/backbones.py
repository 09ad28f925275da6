"""All backbones, by the type of their configuration."""

from __future__ import annotations

from openpair.nn.backbone import TransfuserBackbone
from openpair.nn.lift_backbone import LiftBackbone
from openpair.nn.trunk_config import BackboneConfig, LiftBackboneConfig, TransfuserBackboneConfig

Backbone = TransfuserBackbone | LiftBackbone


def features_read(config: BackboneConfig) -> frozenset[str]:
    """Names of the features that a network with this backbone reads."""
    blind = config.latent if isinstance(config, TransfuserBackboneConfig) else config.lidar_channels == 0
    return frozenset({"camera_feature", "status_feature"} | (set() if blind else {"lidar_feature"}))


def build_backbone(config: BackboneConfig) -> Backbone:
    """The backbone that a configuration describes."""
    if isinstance(config, LiftBackboneConfig):
        return LiftBackbone(config)
    return TransfuserBackbone(config)
