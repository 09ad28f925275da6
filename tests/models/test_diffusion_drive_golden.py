"""The published DiffusionDrive, against golden outputs, losses and gradients."""

from __future__ import annotations

import statistics

import model_goldens as golden
import numpy as np
import pytest
import torch

from openpair.policies.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from openpair.policies.truncated_diffusion import alphas_cumprod, denormalise, normalise

pytestmark = golden.needs_goldens


@pytest.fixture(scope="module")
def network() -> DiffusionDrive:
    module = DiffusionDrive(DiffusionDriveConfig.published()).eval()
    module.load_state_dict(golden.seeded_state("diffusiondrive"), strict=True)
    return module


def test_parameters_have_the_published_names_and_shapes(network: DiffusionDrive) -> None:
    golden.assert_same_state_names(network, "diffusiondrive")


def test_noise_schedule() -> None:
    signal = alphas_cumprod()
    for step, value in {0: 0.9998999834, 8: 0.9990021586, 9: 0.9988772273, 10: 0.9987493157, 49: 0.9911162257}.items():
        assert signal[step].item() == pytest.approx(value, abs=1e-9)


def test_normalisation_round_trip() -> None:
    points = torch.tensor([[-1.2, -20.0], [55.7, 26.0], [10.0, 0.0]])
    assert torch.allclose(normalise(points[:2]), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-6)
    assert torch.allclose(denormalise(normalise(points)), points, atol=1e-5)


@torch.no_grad()
def test_plans_and_choice_are_the_golden_ones(network: DiffusionDrive) -> None:
    expected = golden.arrays("diffusiondrive.npz")
    steps = []
    handle = network._trajectory_head.diff_decoder.register_forward_hook(
        lambda _module, inputs, output: steps.append((inputs, output))
    )
    outputs = network(**golden.inputs(), noise=torch.from_numpy(expected["noise"]))
    handle.remove()
    for i, ((modes, points, _, queries, time, _), layers) in enumerate(steps):
        golden.assert_close("diffusiondrive", "query_out", queries)
        golden.assert_close("diffusiondrive", f"step{i}_noisy_points", points)
        golden.assert_close("diffusiondrive", f"step{i}_traj_feature", modes[:, :, ::4])
        golden.assert_close("diffusiondrive", f"step{i}_time_embed", time)
        for j, (plans, logits) in enumerate(layers):
            golden.assert_close("diffusiondrive", f"step{i}_layer{j}_reg", plans)
            golden.assert_close("diffusiondrive", f"step{i}_layer{j}_cls", logits)
    for key in ("trajectory", "best_trajectory", "agent_states", "agent_labels"):
        golden.assert_close("diffusiondrive", key, outputs[key])
    golden.assert_close("diffusiondrive", "bev_semantic_map", outputs["bev_semantic_map"][:, :, ::8, ::8])
    assert np.array_equal(outputs["mode"].numpy(), expected["mode"])


def test_losses_and_gradients_are_the_golden_ones(network: DiffusionDrive) -> None:
    expected = golden.read_json("diffusiondrive_train.json")
    targets = golden.targets()
    network.train()
    for module in network.modules():
        if isinstance(module, (torch.nn.Dropout, torch.nn.BatchNorm2d)):
            module.eval()
    dropouts = {m: m.dropout for m in network.modules() if isinstance(getattr(m, "dropout", None), float)}
    for module in dropouts:
        module.dropout = 0.0
    outputs = network(**golden.inputs(), noise=targets["noise"], timesteps=targets["timesteps"])
    terms = network.loss(outputs, targets)
    network.zero_grad()
    terms["loss"].backward()
    for module, dropout in dropouts.items():
        module.dropout = dropout
    network.eval()

    losses = expected["losses"]
    for i in range(2):
        assert terms[f"trajectory_loss_{i}"].item() == pytest.approx(losses[f"trajectory_loss_{i}"], rel=1e-5)
    assert 10 * terms["agent_class"].item() == pytest.approx(losses["agent_class_loss"], rel=1e-5)
    assert 14 * terms["bev_ce"].item() == pytest.approx(losses["bev_semantic_loss"], rel=1e-5)
    # Tied matchings move the box loss, see test_transfuser_golden.py.
    assert terms["agent_box"].item() == pytest.approx(losses["agent_box_loss"], rel=2e-3)
    assert terms["loss"].item() == pytest.approx(losses["loss"], rel=4e-4)

    norms = {k: p.grad.norm().item() for k, p in network.named_parameters() if p.grad is not None}
    assert set(norms) == set(expected["grad_norm"])
    deviation = {k: abs(norms[k] - v) / max(v, 1e-3) for k, v in expected["grad_norm"].items()}
    independent_of_matching = [k for k in norms if k.startswith(("_trajectory_head", "_bev_semantic_head"))]
    assert max(deviation[k] for k in independent_of_matching) < 2e-3
    assert statistics.median(deviation.values()) < 5e-3
