"""Two scenes and roots in them, as samplers get them."""

from __future__ import annotations

import torch
from torch import Tensor

BATCH = 2
ROOT = torch.stack(
    (
        torch.stack((torch.arange(1, 9) * 4.0, torch.zeros(8), torch.zeros(8)), dim=-1),
        torch.stack((torch.arange(1, 9) * 2.0, torch.arange(1, 9) * 0.1, torch.full((8,), 0.05)), dim=-1),
    )
)
SPEED = torch.tensor([8.0, 0.0])


def features() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    status = torch.zeros(BATCH, 8)
    status[:, 4] = SPEED
    return {
        "camera_feature": torch.rand(BATCH, 3, 64, 256, generator=generator),
        "lidar_feature": torch.rand(BATCH, 1, 128, 128, generator=generator),
        "status_feature": status,
    }
