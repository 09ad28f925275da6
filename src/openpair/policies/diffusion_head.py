"""DiffusionDrive's decoder: noised anchors to plans, with the scene looked up along the points.

Parameter names are those of the released checkpoints.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.datatypes.bev_grid import BevGrid
from openpair.datatypes.columns import NUM_POSES, PoseIndex
from openpair.nn.bev_lookup import lookup

POINT_EMBEDDING = 64
CLASS_PRIOR = 0.01
"""Share of right modes that the class head starts from."""


def sine_embedding(points: Tensor) -> Tensor:
    """Points (..., 8, 2) x, y [m] -> (..., 512): sines and cosines of each point's y, then x, at 16 wave lengths."""
    half = POINT_EMBEDDING // 2
    exponent = 2 * torch.div(torch.arange(half, device=points.device), 2, rounding_mode="floor") / half
    angle = points[..., None] * 2 * math.pi / 10000**exponent
    waves = torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=-1).flatten(-2)
    return torch.cat((waves[..., 1, :], waves[..., 0, :]), dim=-1).flatten(-2)


class StepEmbedding(nn.Module):
    """Diffusion steps (B,) -> (B, D): sines, then cosines, at D / 2 wave lengths."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.d_model = d_model

    def forward(self, steps: Tensor) -> Tensor:
        half = self.d_model // 2
        frequency = torch.exp(torch.arange(half, device=steps.device) * -(math.log(10000) / (half - 1)))
        angle = steps.float()[:, None] * frequency
        return torch.cat((angle.sin(), angle.cos()), dim=-1)


class LookAlongPoints(nn.Module):
    """Adds to each mode a weighted mean of the bird's-eye-view values at its 8 points."""

    def __init__(self, d_model: int, dropout: float, value_kernel: int) -> None:
        super().__init__()
        self.attention_weights = nn.Linear(d_model, NUM_POSES)
        self.output_proj = nn.Linear(d_model, d_model)
        self.value_proj = nn.Sequential(nn.Conv2d(d_model, d_model, value_kernel, padding=value_kernel // 2), nn.ReLU())
        self.dropout = nn.Dropout(dropout)

    def forward(self, modes: Tensor, points: Tensor, values: Tensor, grid: BevGrid) -> Tensor:
        """Modes (B, M, D), points (B, M, 8, 2) [m], values (B, D, X, Y) of ``value_proj`` -> (B, M, D)."""
        weight = self.attention_weights(modes).softmax(dim=-1)
        seen = lookup(values, points.flatten(1, 2), grid).unflatten(1, points.shape[1:3])
        return modes + self.dropout(self.output_proj((weight[..., None] * seen).sum(dim=2)))


class TimeModulation(nn.Module):
    """Scale and shift of the modes by the time embedding."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.scale_shift_mlp = nn.Sequential(nn.Mish(), nn.Linear(d_model, 2 * d_model))

    def forward(self, modes: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.scale_shift_mlp(time).chunk(2, dim=-1)
        return modes * (1 + scale) + shift


class PlanDecoder(nn.Module):
    """Modes (B, M, D) -> offsets (B, M, 8, 3) and class logits (B, M)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()

        def linear() -> nn.Linear:
            return nn.Linear(d_model, d_model)

        classes = nn.Linear(d_model, 1)
        nn.init.constant_(classes.bias, -math.log((1 - CLASS_PRIOR) / CLASS_PRIOR))
        self.plan_cls_branch = nn.Sequential(
            *(linear(), nn.ReLU(), nn.LayerNorm(d_model)),
            *(linear(), nn.ReLU(), nn.LayerNorm(d_model)),
            classes,
        )
        last = nn.Linear(d_model, NUM_POSES * len(PoseIndex))
        self.plan_reg_branch = nn.Sequential(linear(), nn.ReLU(), linear(), nn.ReLU(), last)

    def forward(self, modes: Tensor) -> tuple[Tensor, Tensor]:
        offsets = self.plan_reg_branch(modes).unflatten(-1, (NUM_POSES, len(PoseIndex)))
        return offsets, self.plan_cls_branch(modes).squeeze(-1)


class DiffusionLayer(nn.Module):
    """One decoder layer. The feed-forward part has no residual, as published."""

    def __init__(self, d_model: int, heads: int, d_ffn: int, dropout: float, value_kernel: int) -> None:
        super().__init__()
        self.cross_bev_attention = LookAlongPoints(d_model, dropout, value_kernel)
        self.cross_agent_attention = nn.MultiheadAttention(d_model, heads, dropout, batch_first=True)
        self.cross_ego_attention = nn.MultiheadAttention(d_model, heads, dropout, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(d_model, d_ffn), nn.ReLU(), nn.Linear(d_ffn, d_model))
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.norm3 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.dropout1 = nn.Dropout(dropout)
        self.time_modulation = TimeModulation(d_model)
        self.task_decoder = PlanDecoder(d_model)

    def forward(
        self, modes: Tensor, points: Tensor, values: Tensor, queries: Tensor, time: Tensor, grid: BevGrid
    ) -> tuple[Tensor, Tensor]:
        """Modes at points, scene values, queries (ego first), time (B, 1, D) -> plans (B, M, 8, 3), logits (B, M)."""
        x = self.cross_bev_attention(modes, points, values, grid)
        agents, ego = queries[:, 1:], queries[:, :1]
        x = self.norm1(x + self.dropout(self.cross_agent_attention(x, agents, agents, need_weights=False)[0]))
        x = self.norm2(x + self.dropout1(self.cross_ego_attention(x, ego, ego, need_weights=False)[0]))
        x = self.time_modulation(self.norm3(self.ffn(x)), time)
        offsets, logits = self.task_decoder(x)
        xy = offsets[..., :2] + points
        return torch.cat((xy, torch.pi * offsets[..., 2:].tanh()), dim=-1), logits


class DiffusionDecoder(nn.Module):
    """All layers; each starts from the modes' own features at the plan of the layer before."""

    def __init__(self, d_model: int, heads: int, d_ffn: int, layers: int, dropout: float, value_kernel: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DiffusionLayer(d_model, heads, d_ffn, dropout, value_kernel) for _ in range(layers))
        # All layers start alike, as published.
        for layer in self.layers[1:]:
            layer.load_state_dict(self.layers[0].state_dict())

    def values(self, bev: Tensor) -> list[Tensor]:
        """What each layer looks up, from the scene's map (B, D, X, Y); does not depend on the diffusion step."""
        return [layer.cross_bev_attention.value_proj(bev) for layer in self.layers]  # type: ignore[union-attr, operator]

    def forward(
        self, modes: Tensor, points: Tensor, values: list[Tensor], queries: Tensor, time: Tensor, grid: BevGrid
    ) -> list[tuple[Tensor, Tensor]]:
        """Plans (B, M, 8, 3) and logits (B, M) of each layer."""
        out = []
        for layer, value in zip(self.layers, values, strict=True):
            plans, logits = layer(modes, points, value, queries, time, grid)
            out.append((plans, logits))
            points = plans[..., :2].detach()
        return out


class DiffusionHead(nn.Module):
    """Anchors, embeddings and decoder. ``plan_anchor`` (M, 8, 2) x, y [m] is part of the state but not trained."""

    def __init__(
        self,
        anchors: Tensor,
        d_model: int,
        heads: int,
        d_ffn: int,
        layers: int,
        dropout: float,
        grid: BevGrid,
        value_kernel: int = 3,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.plan_anchor = nn.Parameter(anchors.clone(), requires_grad=False)
        self.plan_anchor_encoder = nn.Sequential(
            nn.Linear(NUM_POSES * POINT_EMBEDDING, d_model),
            nn.ReLU(),
            nn.LayerNorm(d_model),
            nn.Linear(d_model, d_model),
        )
        self.time_mlp = nn.Sequential(
            StepEmbedding(d_model), nn.Linear(d_model, 4 * d_model), nn.Mish(), nn.Linear(4 * d_model, d_model)
        )
        self.diff_decoder = DiffusionDecoder(d_model, heads, d_ffn, layers, dropout, value_kernel)

    def decode(
        self, points: Tensor, steps: Tensor, values: list[Tensor], queries: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """Noised points (B, M, 8, 2) [m] at diffusion steps (B,) -> plans and logits of each layer."""
        modes = self.plan_anchor_encoder(sine_embedding(points))
        time = self.time_mlp(steps)[:, None]
        out: list[tuple[Tensor, Tensor]] = self.diff_decoder(modes, points, values, queries, time, self.grid)
        return out


def focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Mean sigmoid focal loss (arXiv 1708.02002); logits and targets in {0, 1} of one shape."""
    probability = logits.sigmoid()
    miss = (1 - probability) * target + probability * (1 - target)
    weight = (alpha * target + (1 - alpha) * (1 - target)) * miss**gamma
    return (weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")).mean()
