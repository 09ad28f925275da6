"""Truncated diffusion over plans: noise schedule, normalisation and denoising step, as pure functions.

Source: DiffusionDrive (arXiv 2411.15139): anchors instead of pure noise, few noise levels, two denoising steps; the
step is DDIM (arXiv 2010.02502) with eta 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

NUM_TRAIN_STEPS = 1000
BETA_START, BETA_END = 1e-4, 0.02

X_OFFSET_M, X_SPAN_M = 1.2, 56.9
Y_OFFSET_M, Y_SPAN_M = 20.0, 46.0
"""Points x in [-1.2, 55.7] m and y in [-20, 26] m are brought to [-1, 1]."""


def alphas_cumprod() -> Tensor:
    """(1000,) float32 share of signal left at each step: betas linear in their square roots."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, NUM_TRAIN_STEPS, dtype=torch.float32) ** 2
    return torch.cumprod(1.0 - betas, dim=0)


def normalise(points: Tensor) -> Tensor:
    """(..., 2) x, y [m] -> about [-1, 1]."""
    x = 2 * (points[..., 0] + X_OFFSET_M) / X_SPAN_M - 1
    y = 2 * (points[..., 1] + Y_OFFSET_M) / Y_SPAN_M - 1
    return torch.stack((x, y), dim=-1)


def denormalise(points: Tensor) -> Tensor:
    """The reverse of :func:`normalise`."""
    x = (points[..., 0] + 1) / 2 * X_SPAN_M - X_OFFSET_M
    y = (points[..., 1] + 1) / 2 * Y_SPAN_M - Y_OFFSET_M
    return torch.stack((x, y), dim=-1)


def add_noise(clean: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Noised points; ``signal`` is the share of signal left, broadcastable to the points."""
    return signal.sqrt() * clean + (1 - signal).sqrt() * noise


def ddim_step(noised: Tensor, predicted: Tensor, signal: Tensor, next_signal: Tensor) -> Tensor:
    """Points at the next, less noisy level.

    Args:
        noised: (..., 2) points at this level, normalised.
        predicted: (..., 2) predicted clean points, normalised; clipped for the result, not for the noise estimate.
        signal, next_signal: share of signal at this level and at the next.
    """
    noise = (noised - signal.sqrt() * predicted) / (1 - signal).sqrt()
    return add_noise(predicted.clamp(-1, 1), noise, next_signal)
