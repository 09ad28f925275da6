"""Output heads of TransFuser: trajectory and agents. Parameter names are those of the released checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openpair.datatypes.bev_grid import BevGrid
from openpair.datatypes.columns import NUM_POSES, PoseIndex
from openpair.nn.bev_lookup import lookup

LOOK_SIDEWAYS_M = (-2.0, 0.0, 2.0)
"""Points beside a plan's poses at which a refiner looks at the ground [m], to the left."""


class TrajectoryHead(nn.Module):
    """Query (B, D) -> plan (B, 8, 3): x, y [m] as they come, heading [rad] through pi * tanh."""

    def __init__(self, d_model: int, d_ffn: int) -> None:
        super().__init__()
        self._mlp = nn.Sequential(nn.Linear(d_model, d_ffn), nn.ReLU(), nn.Linear(d_ffn, NUM_POSES * len(PoseIndex)))

    def forward(self, query: Tensor) -> Tensor:
        raw = self._mlp(query).unflatten(-1, (NUM_POSES, len(PoseIndex)))
        return torch.cat((raw[..., :2], torch.pi * raw[..., 2:].tanh()), dim=-1)


class TrajectoryRefiner(nn.Module):
    """Looks at the ground along a plan and corrects it: (B, 8, 3) -> (B, 8, 3). Not part of the published networks.

    Args:
        d_model: size of the ego query.
        bev_channels: channels of the bird's-eye-view map.
        hidden: hidden size.
        grid: the rectangle of that map.
    """

    def __init__(self, d_model: int, bev_channels: int, hidden: int, grid: BevGrid) -> None:
        super().__init__()
        self.grid = grid
        numbers = NUM_POSES * (len(LOOK_SIDEWAYS_M) * bev_channels + 4)
        last = nn.Linear(hidden, NUM_POSES * len(PoseIndex))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(
            nn.Linear(d_model + numbers, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last
        )

    def forward(self, plan: Tensor, query: Tensor, bev: Tensor) -> Tensor:
        """Plan (B, 8, 3), taken as a constant for the lookup; ego query (B, D); map (B, C, X, Y)."""
        at = plan.detach().float()
        heading = at[..., 2]
        left = torch.stack((-heading.sin(), heading.cos()), dim=-1)
        points = torch.stack([at[..., :2] + side * left for side in LOOK_SIDEWAYS_M], dim=2)
        seen = lookup(bev, points.flatten(1, 2), self.grid).flatten(1)
        numbers = torch.stack((at[..., 0] / 30, at[..., 1] / 10, heading.cos(), heading.sin()), dim=-1).flatten(1)
        change = self.mlp(torch.cat((query, seen.to(query.dtype), numbers.to(query.dtype)), dim=-1))
        return plan + change.unflatten(-1, (NUM_POSES, len(PoseIndex)))


class AgentHead(nn.Module):
    """Queries (B, A, D) -> states (B, A, 5) x, y [m], heading [rad], length, width [m] and logits (B, A).

    Positions are limited to +-``range_m`` by tanh.
    """

    def __init__(self, d_model: int, d_ffn: int, range_m: float = 32.0) -> None:
        super().__init__()
        self.range_m = range_m
        self._mlp_states = nn.Sequential(nn.Linear(d_model, d_ffn), nn.ReLU(), nn.Linear(d_ffn, 5))
        self._mlp_label = nn.Sequential(nn.Linear(d_model, 1))

    def forward(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        raw = self._mlp_states(queries)
        states = torch.cat((self.range_m * raw[..., :2].tanh(), torch.pi * raw[..., 2:3].tanh(), raw[..., 3:]), dim=-1)
        return states, self._mlp_label(queries).squeeze(-1)
