"""A new encoder by its timm name, in each of the four published networks: it runs, and it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from openpair.checkpoints import build_network, from_plain, to_plain
from openpair.errors import OpenPairError
from openpair.nn.backbone import TransfuserBackbone
from openpair.nn.trunk_config import TransfuserBackboneConfig, TrunkConfig
from openpair.policies.diffusion_drive import DiffusionDriveConfig
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.rewards.world_model import RewardWorldModelConfig
from openpair.samplers.parallel_ir import ParallelIRConfig


def config_of(kind: str, encoder: str) -> Any:
    """A published network's configuration with another encoder, and thinner around it."""
    backbone = TransfuserBackboneConfig(
        image_encoder=encoder, lidar_encoder=encoder, fusion_layers=1, image_tokens=(2, 8)
    )
    trunk = TrunkConfig(backbone=backbone, d_model=64, d_ffn=64, layers=1)
    if kind == "rwm":
        return RewardWorldModelConfig(backbone=backbone, d_model=64, d_ffn=64, layers=1)
    if kind == "parallel_ir":
        return ParallelIRConfig(trunk=trunk, layers=1, d_ffn=64, head_hidden=32)
    if kind == "diffusiondrive":
        return DiffusionDriveConfig(trunk=replace(trunk, bev_semantic_weight=14.0), d_ffn=64)
    return TransfuserConfig(trunk=trunk)


def inputs_of(kind: str) -> dict[str, Tensor]:
    features = {
        "camera_feature": torch.rand(2, 3, 64, 256),
        "lidar_feature": torch.rand(2, 1, 256, 256),
        "status_feature": torch.rand(2, 8),
    }
    plan = torch.arange(1, 9)[:, None] * torch.tensor([3.0, 0.0, 0.0])
    extra = {"parallel_ir": ("expert_feature", plan.expand(2, 8, 3))}
    extra["rwm"] = ("agent_trajectory", plan + torch.randn(2, 5, 8, 3))
    return features | ({extra[kind][0]: extra[kind][1]} if kind in extra else {})


MAIN_OUTPUT = {
    "transfuser": ("trajectory", (2, 8, 3)),
    "diffusiondrive": ("best_trajectory", (2, 8, 3)),
    "parallel_ir": ("logits_level0", (2, 1, 4)),
    "rwm": ("sim_logits", (2, 1, 5)),
}


@pytest.mark.parametrize(
    ("kind", "encoder"),
    [
        ("transfuser", "resnet18"),
        ("transfuser", "efficientnet_lite0"),
        ("diffusiondrive", "mobilenetv3_small_050"),
        ("parallel_ir", "mobilenetv3_small_050"),
        ("rwm", "mobilenetv3_small_050"),
    ],
)
def test_another_encoder_runs_and_learns(kind: str, encoder: str) -> None:
    torch.manual_seed(0)
    config = config_of(kind, encoder)
    assert from_plain(type(config), to_plain(config)) == config  # so that its checkpoints open again
    network = build_network(kind, config).train()
    name, shape = MAIN_OUTPUT[kind]
    output = network(**inputs_of(kind))[name]
    assert output.shape == shape and torch.isfinite(output).all()
    output.square().sum().backward()
    backbone = network._backbone
    assert isinstance(backbone, TransfuserBackbone)
    for part in (backbone.image_encoder, backbone.lidar_encoder):
        gradient = next(part.parameters()).grad
        assert gradient is not None and gradient.abs().max() > 0


def test_encoders_that_do_not_fit_are_refused_in_words() -> None:
    def build(**changes: Any) -> TransfuserBackbone:
        return TransfuserBackbone(TransfuserBackboneConfig(**changes))

    with pytest.raises(OpenPairError, match=r"no encoder 'resnet_34'.*did you mean"):
        build(image_encoder="resnet_34")
    with pytest.raises(OpenPairError, match="differ in channels per stage"):
        build(image_encoder="resnet10t", lidar_encoder="mobilenetv3_small_050")
    with pytest.raises(OpenPairError, match="strides 4, 8, 16 and 32"):
        build(image_encoder="vit_tiny_patch16_224", lidar_encoder="vit_tiny_patch16_224")
    with pytest.raises(OpenPairError, match="do not divide into 3 heads"):
        build(image_encoder="mobilenetv3_small_050", lidar_encoder="mobilenetv3_small_050", fusion_heads=3)
