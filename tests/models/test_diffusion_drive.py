"""DiffusionDrive at the demo's size, and its anchors."""

from __future__ import annotations

import pytest
import torch

from openpair.errors import OpenPairError
from openpair.policies.anchors import fit_anchors
from openpair.policies.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from openpair.policies.diffusion_head import focal_loss

BATCH = 2


def plans(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    speed = torch.rand(count, 1, generator=generator) * 12
    time = torch.arange(1, 9) * 0.5
    return torch.stack((speed * time, 0.02 * speed * time**2, 0.04 * time.expand(count, 8)), dim=-1)


def features() -> dict[str, torch.Tensor]:
    return {
        "camera_feature": torch.rand(BATCH, 3, 64, 256),
        "lidar_feature": torch.rand(BATCH, 1, 128, 128),
        "status_feature": torch.rand(BATCH, 8),
    }


@pytest.fixture(scope="module")
def network() -> DiffusionDrive:
    torch.manual_seed(0)
    return DiffusionDrive(DiffusionDriveConfig.small(), anchors=fit_anchors(plans(200)))


def test_anchors_lie_among_the_plans_and_do_not_depend_on_chance() -> None:
    anchors = fit_anchors(plans(200))
    assert anchors.shape == (20, 8, 2)
    assert torch.equal(anchors, fit_anchors(plans(200)))
    distance = (plans(200)[:, None, :, :2] - anchors).norm(dim=-1).mean(dim=-1).amin(dim=1)
    assert distance.max() < 1.5
    assert (anchors[:, -1].norm(dim=-1).diff() >= 0).all()


def test_too_few_plans_for_the_anchors() -> None:
    with pytest.raises(OpenPairError, match="too few"):
        fit_anchors(plans(5))


def test_all_but_the_anchors_learn(network: DiffusionDrive) -> None:
    network.train()
    targets = {
        "trajectory": plans(BATCH),
        "agent_states": torch.rand(BATCH, 30, 5),
        "agent_labels": torch.rand(BATCH, 30) > 0.5,
        "bev_semantic_map": torch.randint(0, 7, (BATCH, 128, 128)),
    }
    terms = network.loss(network(**features()), targets)
    terms["loss"].backward()
    still = [name for name, p in network.named_parameters() if p.grad is None]
    assert still == ["_trajectory_head.plan_anchor"]


@torch.no_grad()
def test_the_plan_is_the_likeliest_mode_and_noise_is_the_only_chance(network: DiffusionDrive) -> None:
    network.eval()
    inputs = features()
    noise = torch.randn(BATCH, 20, 8, 2)
    outputs = network(**inputs, noise=noise)
    assert torch.equal(outputs["mode_logits"].argmax(1), outputs["mode"])
    assert torch.equal(outputs["trajectory"][0, outputs["mode"][0]], outputs["best_trajectory"][0])
    assert torch.equal(network(**inputs, noise=noise)["trajectory"], outputs["trajectory"])
    torch.manual_seed(5)
    first = network.plan(**inputs)
    torch.manual_seed(5)
    assert torch.equal(network.plan(**inputs), first) and first.shape == (BATCH, 8, 3)


def test_focal_loss_by_hand() -> None:
    loss = focal_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx((0.25 + 0.75) * 0.25 * 0.6931472 / 2, rel=1e-6)
