"""Optimiser, schedule and precision, the same for every branch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch
from torch import Tensor, nn

from openpair.training.config import OptimiserConfig, Precision
from openpair.training.schedule import warmup_cosine


def make_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over the trainable parameters of a network."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def update(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    config: OptimiserConfig,
    loss: Tensor,
    *,
    step: int,
    total_steps: int,
) -> float:
    """One optimiser step on ``loss`` at the scheduled learning rate; returns the gradient norm before clipping."""
    factor = warmup_cosine(step, total_steps, warmup_steps=config.warmup_steps, final_fraction=config.final_fraction)
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * factor
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
    optimiser.step()
    return float(norm)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Context in which a forward pass runs at the configured precision; parameters stay float32.

    A processor that computes bfloat16 by emulation, up to a hundred times slower, takes float32 instead.
    """
    enabled = precision == "bfloat16" and computes_bfloat16(device.type)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@cache
def computes_bfloat16(device_type: str) -> bool:
    """Whether a kind of device has instructions for bfloat16: accelerators do, of processors only some."""
    if device_type != "cpu":
        return True
    # PyTorch has no public question for this; one that is gone counts as a no.
    asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, ask, bool)()) for ask in asks)
