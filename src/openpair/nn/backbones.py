"""All backbones, by the type of their configuration."""

from __future__ import annotations

from openpair.nn.backbone import TransfuserBackbone, TransfuserBackboneConfig

BackboneConfig = TransfuserBackboneConfig


def build_backbone(config: BackboneConfig) -> TransfuserBackbone:
    """The backbone that a configuration describes."""
    return TransfuserBackbone(config)
