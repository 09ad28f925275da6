"""Lookups at fixed places: what grid_sample gives, and its gradient."""

import torch
import torch.nn.functional as F

from openpair.configs.experiment import preset
from openpair.nn.fixed_lookup import FixedLookup
from openpair.nn.lift_backbone import LiftBackbone
from openpair.nn.trunk_config import LiftBackboneConfig
from openpair.policies.transfuser_config import TransfuserConfig


def test_values_and_gradient_are_those_of_grid_sample() -> None:
    torch.manual_seed(0)
    points = torch.rand(5, 7, 2) * 2.6 - 1.3  # some outside, some between the last pixel and the border
    points[0, 0] = torch.tensor([-1.0, 1.0])
    points[1] = 2.0
    image = torch.randn(3, 4, 6, 8).contiguous(memory_format=torch.channels_last)
    ours, plain = (image.clone().requires_grad_() for _ in range(2))
    found = FixedLookup(points, (6, 8))(ours)
    expected = F.grid_sample(plain, points.expand(3, -1, -1, -1), align_corners=False)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    gradient = torch.randn_like(expected)
    found.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(ours.grad, plain.grad, rtol=0, atol=1e-5)


def test_a_backbone_trains_on_the_maps_it_infers_from() -> None:
    torch.manual_seed(0)
    policy = preset("quick").networks.policy
    assert isinstance(policy, TransfuserConfig)
    config = policy.trunk.backbone
    assert isinstance(config, LiftBackboneConfig)
    backbone = LiftBackbone(config).eval()
    camera, lidar = torch.rand(1, 3, 64, 256), torch.rand(1, 1, 128, 128)
    trained = backbone(camera, lidar)
    with torch.no_grad():
        inferred = backbone(camera, lidar)
    torch.testing.assert_close(trained.fused, inferred.fused, rtol=0, atol=1e-4)
    torch.testing.assert_close(trained.bev, inferred.bev, rtol=0, atol=1e-4)
