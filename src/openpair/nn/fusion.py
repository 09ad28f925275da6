"""Attention between camera and LiDAR tokens (pre-norm transformer blocks, as in TransFuser)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head self-attention with separate projections. Input and output (B, N, C)."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.key = nn.Linear(channels, channels)
        self.query = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.proj = nn.Linear(channels, channels)
        self.heads = heads
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, channels = x.shape

        def split(t: Tensor) -> Tensor:
            return t.view(batch, tokens, self.heads, channels // self.heads).transpose(1, 2)

        attended = F.scaled_dot_product_attention(
            split(self.query(x)),
            split(self.key(x)),
            split(self.value(x)),
            dropout_p=self.dropout if self.training else 0.0,
        )
        merged = attended.transpose(1, 2).reshape(batch, tokens, channels)
        return F.dropout(self.proj(merged), self.dropout, self.training)


class FusionBlock(nn.Module):
    """Pre-norm attention and MLP, each with a residual. (B, N, C)."""

    def __init__(self, channels: int, heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(channels)
        self.ln2 = nn.LayerNorm(channels)
        self.attn = SelfAttention(channels, heads, dropout)
        self.mlp = nn.Sequential(
            nn.Linear(channels, mlp_ratio * channels),
            nn.ReLU(),
            nn.Linear(mlp_ratio * channels, channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class FusionTransformer(nn.Module):
    """Lets every cell of a camera map and a LiDAR map of C channels see every other.

    Args:
        channels: C.
        image_tokens, lidar_tokens: (rows, columns) of the pooled maps.
    """

    def __init__(
        self,
        channels: int,
        image_tokens: tuple[int, int],
        lidar_tokens: tuple[int, int],
        *,
        layers: int,
        heads: int,
        mlp_ratio: int,
        dropout: float,
    ) -> None:
        super().__init__()
        num_tokens = image_tokens[0] * image_tokens[1] + lidar_tokens[0] * lidar_tokens[1]
        self.pos_emb = nn.Parameter(torch.zeros(1, num_tokens, channels))
        self.blocks = nn.Sequential(*(FusionBlock(channels, heads, mlp_ratio, dropout) for _ in range(layers)))
        self.ln_f = nn.LayerNorm(channels)
        self.dropout = dropout
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor, lidar: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled maps (B, C, h, w) of camera and LiDAR -> the same shapes."""
        num_image = image.shape[2] * image.shape[3]
        tokens = torch.cat((image.flatten(2), lidar.flatten(2)), dim=2).transpose(1, 2)
        tokens = self.ln_f(self.blocks(F.dropout(tokens + self.pos_emb, self.dropout, self.training)))
        tokens = tokens.transpose(1, 2)
        return tokens[:, :, :num_image].reshape(image.shape), tokens[:, :, num_image:].reshape(lidar.shape)
