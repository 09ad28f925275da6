"""All backbones, by the type of their configuration."""

from __future__ import annotations

from openpair.nn.backbone import TransfuserBackbone, TransfuserBackboneConfig
from openpair.nn.lift_backbone import LiftBackbone, LiftBackboneConfig

BackboneConfig = TransfuserBackboneConfig | LiftBackboneConfig
Backbone = TransfuserBackbone | LiftBackbone


def build_backbone(config: BackboneConfig) -> Backbone:
    """The backbone that a configuration describes."""
    if isinstance(config, LiftBackboneConfig):
        return LiftBackbone(config)
    return TransfuserBackbone(config)
