"""Output heads of TransFuser: trajectory and agents. Parameter names are those of the released checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openpair.datatypes.columns import NUM_POSES, PoseIndex


class TrajectoryHead(nn.Module):
    """Query (B, D) -> plan (B, 8, 3): x, y [m] as they come, heading [rad] through pi * tanh."""

    def __init__(self, d_model: int, d_ffn: int) -> None:
        super().__init__()
        self._mlp = nn.Sequential(nn.Linear(d_model, d_ffn), nn.ReLU(), nn.Linear(d_ffn, NUM_POSES * len(PoseIndex)))

    def forward(self, query: Tensor) -> Tensor:
        raw = self._mlp(query).unflatten(-1, (NUM_POSES, len(PoseIndex)))
        return torch.cat((raw[..., :2], torch.pi * raw[..., 2:].tanh()), dim=-1)


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
