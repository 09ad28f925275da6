"""Optimiser, schedule and precision, the same for every branch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch
from torch import nn

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


def schedule_rate(optimiser: torch.optim.Optimizer, config: OptimiserConfig, *, step: int, total_steps: int) -> None:
    """Set the learning rate of a step."""
    factor = warmup_cosine(step, total_steps, warmup_steps=config.warmup_steps, final_fraction=config.final_fraction)
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * factor


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
