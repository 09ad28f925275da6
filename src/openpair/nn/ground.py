"""What a network sees of the ground where a plan leads: the seam between encoders and whatever follows plans."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from openpair.datatypes.bev_grid import BevGrid
from openpair.nn.bev_lookup import lookup


class Ground(ABC):
    """The surroundings of B scenes, asked at the poses of plans."""

    @abstractmethod
    def look_along(self, plans: Tensor) -> Tensor:
        """Numbers (B, G, 8, C) at the poses of plans (B, G, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame."""

    def look_beside(self, plan: Tensor, left_m: tuple[float, ...]) -> Tensor:
        """Numbers (B, 8, S, C) at the poses of a plan (B, 8, 3), moved to their left by each of S distances [m]."""
        return self.look_along(beside(plan, left_m)).transpose(1, 2)


class BevGround(Ground):
    """Bird's-eye-view features (B, C, X, Y) over the rectangle of ``grid``, taken at the poses' points."""

    def __init__(self, bev: Tensor, grid: BevGrid) -> None:
        self._bev, self._grid = bev.float(), grid

    def look_along(self, plans: Tensor) -> Tensor:
        seen = lookup(self._bev, plans[..., :2].flatten(1, 2), self._grid)
        return seen.unflatten(1, plans.shape[1:3])

    def look_beside(self, plan: Tensor, left_m: tuple[float, ...]) -> Tensor:
        """As above, the points pose by pose: gradients add up in their order, which decides the last bit of weights."""
        points = beside(plan, left_m)[..., :2].transpose(1, 2)
        return lookup(self._bev, points.flatten(1, 2), self._grid).unflatten(1, points.shape[1:3])


def beside(plans: Tensor, left_m: tuple[float, ...]) -> Tensor:
    """Plans (B, 8, 3) -> the same moved to their left by each of S distances [m] (B, S, 8, 3)."""
    heading = plans[..., 2]
    left = torch.stack((-heading.sin(), heading.cos(), torch.zeros_like(heading)), dim=-1)
    return torch.stack([plans + side * left for side in left_m], dim=1)
