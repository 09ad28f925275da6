"""Networks on a CUDA device: the CPU's outputs, and gradients for every parameter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from openpair.benchmarks.networks import example_inputs, fresh_network
from openpair.kinds import network_kinds
from openpair.training.optimiser import autocast

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

TOLERANCE = 2e-3
"""Convolutions on CUDA add up in another order than on the CPU."""


@pytest.fixture(autouse=True)
def whole_float32() -> Iterator[None]:
    """Without TensorFloat-32, whose products keep ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def small(kind: str) -> nn.Module:
    torch.manual_seed(0)
    network = fresh_network(kind, "small")
    if network is None:
        pytest.skip(f"{kind} has no small size")
    return network


@pytest.mark.parametrize("kind", network_kinds())
def test_outputs_are_those_of_the_cpu(kind: str) -> None:
    network = small(kind)
    inputs = example_inputs(network, 3)
    with torch.no_grad():
        here = network(**inputs)
        there = network.cuda()(**{name: value.cuda() for name, value in inputs.items()})
    assert there.keys() == here.keys()
    for name, expected in here.items():
        assert there[name].is_cuda, name
        off = (there[name].cpu() - expected).abs().nan_to_num()
        allowed = TOLERANCE * (1 + expected.abs().nan_to_num())
        assert bool((off <= allowed).all()), f"{name}: off by {float(off.max()):.3g}"


@pytest.mark.parametrize("kind", network_kinds())
def test_bfloat16_is_near_and_gives_finite_gradients(kind: str) -> None:
    network = small(kind).cuda()
    inputs = {name: value.cuda() for name, value in example_inputs(network, 3).items()}
    with autocast(torch.device("cuda"), "bfloat16"):
        outputs = network(**inputs)
    floating = [v.float().square().mean() for v in outputs.values() if v.requires_grad]
    assert floating
    torch.stack(floating).sum().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients and all(bool(g.isfinite().all()) for g in gradients)
