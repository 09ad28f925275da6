"""Networks made ready for inference compute what they computed before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from openpair.benchmarks.models_figures import difference
from openpair.benchmarks.networks import example_inputs
from openpair.checkpoints import build_network
from openpair.errors import OpenPairError
from openpair.nn.encoders import build_encoder
from openpair.nn.inference import FastEncoderLayer, fold, optimised_for_inference, prepared_for_inference
from openpair.nn.trunk_config import TransfuserBackboneConfig, TrunkConfig
from openpair.policies.diffusion_drive import DiffusionDriveConfig
from openpair.policies.transfuser import Transfuser
from openpair.policies.transfuser_config import TransfuserConfig
from openpair.rewards.world_model import RewardWorldModelConfig
from openpair.samplers.parallel_ir import ParallelIRConfig

NARROW = TransfuserBackboneConfig(image_encoder="resnet10t", lidar_encoder="resnet10t")


def with_statistics(network: nn.Module) -> nn.Module:
    """Batch norms as after a training: a fresh one hardly does anything."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_a_folded_batch_norm_is_in_the_convolution(bias: bool) -> None:
    torch.manual_seed(0)
    pair = with_statistics(nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, bias=bias), nn.BatchNorm2d(5)))
    x = torch.rand(2, 3, 9, 9)
    expected = pair(x)
    convolution, norm = pair
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    fold(convolution, norm)
    torch.testing.assert_close(convolution(x), expected)


@torch.no_grad()
def test_an_encoder_layer_is_torchs() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    x = torch.randn(3, 20, 32)
    torch.testing.assert_close(FastEncoderLayer(layer)(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "efficientnet_lite0", "regnetx_002"])
@torch.no_grad()
def test_batch_norms_of_timm_encoders_fold(name: str) -> None:
    torch.manual_seed(0)
    encoder = with_statistics(build_encoder(name, 3))
    x = torch.rand(1, 3, 64, 96)
    fast = optimised_for_inference(encoder)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    for ours, expected in zip(fast(x), encoder(x), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("transfuser", TransfuserConfig(trunk=TrunkConfig(backbone=NARROW))),
        ("diffusiondrive", DiffusionDriveConfig(trunk=TrunkConfig(backbone=NARROW))),
        ("parallel_ir", ParallelIRConfig(trunk=TrunkConfig(backbone=NARROW))),
        ("rwm", RewardWorldModelConfig(backbone=NARROW)),
    ],
)
@torch.no_grad()
def test_every_published_network_is_the_same_when_optimised(kind: str, config: object) -> None:
    torch.manual_seed(0)
    network = with_statistics(build_network(kind, config))
    inputs = example_inputs(network, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    expected = network(**inputs)
    assert difference(optimised_for_inference(network)(**inputs), expected) < 1e-4
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@torch.no_grad()
def test_bfloat16_is_close_and_float32_outside() -> None:
    torch.manual_seed(0)
    network = with_statistics(Transfuser(TransfuserConfig(trunk=TrunkConfig(backbone=NARROW))))
    inputs = example_inputs(network, 1)
    expected = network(**inputs)
    outputs = prepared_for_inference(network, "bfloat16")(**inputs)
    assert all(value.dtype == torch.float32 for value in outputs.values())
    assert 0 < difference(outputs, expected) < 0.1
    assert prepared_for_inference(network, "plain") is network
    with pytest.raises(OpenPairError, match="for the published backbone"):
        prepared_for_inference(Transfuser(TransfuserConfig.small()), "bfloat16")


@torch.no_grad()
def test_a_plan_does_not_need_the_perception_heads() -> None:
    torch.manual_seed(0)
    network = with_statistics(Transfuser(TransfuserConfig(trunk=TrunkConfig(backbone=NARROW))))
    inputs = example_inputs(network, 1)
    expected = network(**inputs)["trajectory"]
    network._bev_semantic_head = nn.Identity()
    network._agent_head = nn.Identity()  # type: ignore[assignment]
    assert torch.equal(network.plan(**inputs), expected)
