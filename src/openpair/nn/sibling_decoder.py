"""A transformer decoder for groups of sibling queries that share one context.

The same mathematics and parameter names as ``torch.nn.TransformerDecoder`` (post-norm, ReLU), but the context's keys
and values are projected once per layer for all groups instead of once per group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
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
        x = queries
        layer: Any
        for layer, keys_values in zip(self.layers, context.layers, strict=True):
            x = self._ask(layer, layer.norm1(x + self._among(layer, x)), keys_values, context.there)
        return x

    def grow(self, parents: Tensor, kinds: Tensor, context: ContextKeysValues, wanted: Tensor) -> Tensor:
        """:meth:`forward` of the queries ``parents + kinds``, of which only some are wanted; the others are computed
        as far as those attend to them.

        Args:
            parents: (B, G, D).
            kinds: (n, D) what tells the children of a parent apart.
            context: of the same B scenes.
            wanted: (m,) positions among the G * n siblings, group by group.

        Returns:
            (B, m, D) of the wanted.
        """
        siblings = len(kinds)
        every = (parents[:, :, None] + kinds).flatten(1, 2)
        x = every
        last = len(self.layers) - 1
        layer: Any
        for number, (layer, keys_values) in enumerate(zip(self.layers, context.layers, strict=True)):
            asked = x[:, wanted] if number == last else x
            if number == 0:
                owner = (wanted if last == 0 else torch.arange(every.shape[1], device=x.device)) // siblings
                attended = self._among_children(layer, asked, parents, kinds, owner)
            else:
                attended = self._among(layer, x.unflatten(1, (-1, siblings))).flatten(1, 2)
                attended = attended[:, wanted] if number == last else attended
            x = self._ask(layer, layer.norm1(asked + attended), keys_values, context.there)
        return x

    def _among(self, layer: Any, x: Tensor) -> Tensor:
        """What siblings (B, G, n, D) learn from each other."""
        attention = layer.self_attn
        within = x.flatten(0, 1)
        q, k, v = F.linear(within, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
        attended = self._attend(layer, self._split(q), self._split(k), self._split(v))
        out: Tensor = layer.dropout1(attention.out_proj(attended)).view_as(x)
        return out

    def _among_children(self, layer: Any, x: Tensor, parents: Tensor, kinds: Tensor, owner: Tensor) -> Tensor:
        """What children (B, m, D) of the parents at ``owner`` (m,) learn from their siblings ``parents + kinds``.

        What siblings have in common drops out of how much they attend to each of them, and adds the same value each:
        one row a parent is projected, instead of one a child.
        """
        attention = layer.self_attn
        w_q, w_k, w_v = attention.in_proj_weight.chunk(3)
        b_q, _, b_v = attention.in_proj_bias.chunk(3)
        q = F.linear(x, w_q, b_q).unflatten(-1, (self.heads, -1))
        keys, own = (F.linear(kinds, w).unflatten(-1, (self.heads, -1)) for w in (w_k, w_v))
        weights = (torch.einsum("bmhd,nhd->bmhn", q, keys) * q.shape[-1] ** -0.5).softmax(dim=-1)
        weights = F.dropout(weights, attention.dropout, self.training)
        common = F.linear(parents, w_v, b_v).unflatten(-1, (self.heads, -1))[:, owner]
        if self.training and attention.dropout:
            common = common * weights.sum(dim=-1, keepdim=True)
        attended = common + torch.einsum("bmhn,nhd->bmhd", weights, own)
        out: Tensor = layer.dropout1(attention.out_proj(attended.flatten(-2)))
        return out

    def _ask(self, layer: Any, x: Tensor, keys_values: tuple[Tensor, Tensor], there: Tensor | None) -> Tensor:
        """The rest of a layer: queries (B, ..., D) look at the context, each by itself."""
        attention = layer.multihead_attn
        d = x.shape[-1]
        flat = x.flatten(1, -2)
        q = self._split(F.linear(flat, attention.in_proj_weight[:d], attention.in_proj_bias[:d]))
        attended = self._attend(layer, q, *keys_values, there)
        x = layer.norm2(x + layer.dropout2(attention.out_proj(attended)).view_as(x))
        hidden = layer.dropout(F.relu(layer.linear1(x)))
        out: Tensor = layer.norm3(x + layer.dropout3(layer.linear2(hidden)))
        return out

    def _split(self, x: Tensor) -> Tensor:
        batch, tokens, d = x.shape
        return x.view(batch, tokens, self.heads, d // self.heads).transpose(1, 2)

    def _attend(self, layer: Any, q: Tensor, k: Tensor, v: Tensor, there: Tensor | None = None) -> Tensor:
        dropout = layer.multihead_attn.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=there, dropout_p=dropout)
        return out.transpose(1, 2).flatten(2)
