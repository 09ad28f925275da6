"""Networks with random parameters, inputs for them, and the count of their operations: what benchmarks run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from openpair.checkpoints import build_network, network_class
from openpair.datatypes.bev_grid import BevGrid
from openpair.policies.base import ImitationPolicy
from openpair.rewards.base import RewardModel
from openpair.samplers.base import Sampler
from openpair.samplers.corrector import Corrector

NUM_CANDIDATES = 16


def fresh_network(kind: str, size: str) -> torch.nn.Module | None:
    """A network with random parameters in eval mode; None where a kind has no such size."""
    preset = getattr(network_class(kind).config_class, size, None)
    return None if preset is None else build_network(kind, preset()).eval()


def example_inputs(network: torch.nn.Module, batch: int) -> dict[str, Tensor]:
    """Random inputs of the right shapes, by name; whatever a network would draw itself is among them."""
    config: Any = network.config
    backbone = config.trunk.backbone if hasattr(config, "trunk") else config.backbone
    grid: BevGrid = backbone.lidar_grid
    height = {1: 64, 2: 128}[backbone.stem_stride] if hasattr(backbone, "stem_stride") else 256
    inputs = {
        "camera_feature": torch.rand(batch, 3, height, 4 * height),
        "lidar_feature": torch.rand(batch, backbone.lidar_channels, grid.rows, grid.columns),
        "status_feature": torch.rand(batch, 8),
    }
    plan = torch.stack((torch.arange(1, 9) * 3.0, torch.zeros(8), torch.zeros(8)), dim=-1)
    if isinstance(network, Sampler):
        inputs["expert_feature"] = plan.expand(batch, -1, -1)
        if isinstance(network, Corrector):
            inputs["judged"] = torch.randn(batch, network.config.judged)
    elif isinstance(network, RewardModel):
        sideways = torch.linspace(-8.0, 8.0, NUM_CANDIDATES)[:, None] * torch.linspace(0.0, 1.0, 8) ** 2
        candidates = torch.stack((plan[:, 0].expand_as(sideways), sideways, sideways / 20), dim=-1)
        inputs["agent_trajectory"] = candidates.expand(batch, -1, -1, -1)
    else:
        assert isinstance(network, ImitationPolicy)
        inputs |= network.draw(batch, torch.default_generator)
    return inputs


class OperationCounter(TorchDispatchMode):
    """Counts floating-point operations, two per multiplication and addition, by torch's own formulas.

    Torch's ``FlopCounterMode`` follows modules through their gradients and does not work everywhere without them; it
    also leaves out attention on a CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            query, key, value = args[:3]
            self.total += 2 * query.shape[:-1].numel() * key.shape[-2] * (key.shape[-1] + value.shape[-1])
        elif packet in flop_registry:
            self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        return out


@torch.no_grad()
def count_operations(call: Callable[[], Any]) -> tuple[float, Any]:
    """Floating-point operations of a call, and what it returned. Layers with kernels of their own are taken apart."""
    counter = OperationCounter()
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with counter:
            result = call()
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    return float(counter.total), result
