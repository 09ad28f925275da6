"""A transformer decoder for groups of sibling queries that share one context.

The same mathematics and parameter names as ``torch.nn.TransformerDecoder`` (post-norm, ReLU), but the context's keys
and values are projected once per layer for all groups instead of once per group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ContextKeysValues:
    """A context, projected once.

    Attributes:
        layers: per layer: keys and values (B, heads, K, D / heads).
        there: (B, 1, 1, K) bool, False for padding; None where there is none.
    """

    layers: list[tuple[Tensor, Tensor]]
    there: Tensor | None = None


class SiblingDecoder(nn.Module):
    """Groups of siblings attend to each other, then each to the context.

    Args:
        d_model, heads, d_ffn, layers, dropout: as in ``torch.nn.TransformerDecoderLayer``.
    """

    def __init__(self, d_model: int, heads: int, d_ffn: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(d_model, heads, d_ffn, dropout, batch_first=True) for _ in range(layers)
        )

    def project_context(self, context: Tensor, there: Tensor | None = None) -> ContextKeysValues:
        """Context (B, K, D), without what is not ``there`` (B, K) -> keys and values of every layer."""
        projected = []
        layer: Any
        for layer in self.layers:
            attention = layer.multihead_attn
            d = context.shape[-1]
            weight, bias = attention.in_proj_weight[d:], attention.in_proj_bias[d:]
            keys, values = F.linear(context, weight, bias).chunk(2, dim=-1)
            projected.append((self._split(keys), self._split(values)))
        return ContextKeysValues(projected, None if there is None else there[:, None, None])

    def forward(self, queries: Tensor, context: ContextKeysValues) -> Tensor:
        """Queries (B, G, n, D): G groups of n siblings per scene -> the same shape."""
        batch, groups, siblings, d = queries.shape
        x = queries
        layer: Any
        for layer, (keys, values) in zip(self.layers, context.layers, strict=True):
            attention = layer.self_attn
            within = x.reshape(batch * groups, siblings, d)
            q, k, v = F.linear(within, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
            attended = self._attend(layer, self._split(q), self._split(k), self._split(v))
            x = layer.norm1(x + layer.dropout1(attention.out_proj(attended)).view_as(x))

            attention = layer.multihead_attn
            flat = x.reshape(batch, groups * siblings, d)
            q = self._split(F.linear(flat, attention.in_proj_weight[:d], attention.in_proj_bias[:d]))
            attended = self._attend(layer, q, keys, values, context.there)
            x = layer.norm2(x + layer.dropout2(attention.out_proj(attended)).view_as(x))

            hidden = layer.dropout(F.relu(layer.linear1(x)))
            x = layer.norm3(x + layer.dropout3(layer.linear2(hidden)))
        return x

    def _split(self, x: Tensor) -> Tensor:
        batch, tokens, d = x.shape
        return x.view(batch, tokens, self.heads, d // self.heads).transpose(1, 2)

    def _attend(self, layer: Any, q: Tensor, k: Tensor, v: Tensor, there: Tensor | None = None) -> Tensor:
        dropout = layer.multihead_attn.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=there, dropout_p=dropout)
        return out.transpose(1, 2).flatten(2)
