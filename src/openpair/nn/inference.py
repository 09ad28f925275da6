"""The same network, made ready to be run and never trained again.

On a CPU most of a published network's time goes into things that its results do not need: batch norms that could be
part of a convolution, pooling and convolutions over maps whose channels lie apart, and matrix products that the usual
library runs at half of the processor's width. Figures: docs/performance.md.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.errors import OpenPairError
from openpair.nn.backbone import BackboneFeatures, TransfuserBackbone
from openpair.nn.fusion import SelfAttention
from openpair.nn.inference_mode import InferenceMode

N = TypeVar("N", bound=nn.Module)


MIN_ROWS = 16
"""Fewer rows are multiplied sooner than they are handed over to oneDNN."""


def optimised_for_inference(network: N) -> N:
    """A frozen copy in eval mode that computes the same, up to rounding, with less work; the network stays as it is.

    Batch norms become part of the convolutions before them. On a CPU also: channels lie side by side (channels_last),
    linear layers run by oneDNN, and what an attention projects is projected at once. Neither trains nor exports.
    """
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(fast.modules()):
        fold_batch_norms(module)
    parameter = next(fast.parameters(), None)
    if parameter is not None and parameter.device.type == "cpu" and parameter.dtype == torch.float32:
        fast.to(memory_format=torch.channels_last)
        if torch.backends.mkldnn.is_available():
            replace_linears(fast)
    return fast


def prepared_for_inference(network: N, mode: InferenceMode) -> N:
    """A copy of a network that runs in a mode; in mode "plain" the network itself.

    bfloat16 and torch.compile change the backbone alone: nine tenths of the time is spent there, and small errors in
    the heads would be errors of the plan. torch.compile needs a C++ compiler on a CPU and compiles when it is run.
    """
    if mode == "plain":
        return network
    if mode == "optimised":
        return optimised_for_inference(network)
    ready = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(ready.modules()):
        fold_batch_norms(module)
    backbone = ready._backbone
    if not isinstance(backbone, TransfuserBackbone):
        raise OpenPairError(f"mode '{mode}' is for the published backbone", where="mode", fix="Use 'optimised'")
    backbone.to(memory_format=torch.channels_last)
    if mode.endswith("bfloat16"):
        run_in_bfloat16(backbone)
    if mode.startswith("compiled"):
        for name in ("_encode", "_upsample"):
            setattr(backbone, name, torch.compile(getattr(backbone, name)))
    return ready


def run_in_bfloat16(backbone: nn.Module) -> None:
    """Make a backbone compute in bfloat16, in place; what it takes and gives stays float32."""
    backbone.to(torch.bfloat16)

    def narrow(_: nn.Module, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return tuple(None if value is None else value.bfloat16() for value in inputs)

    def widen(_: nn.Module, __: object, maps: BackboneFeatures) -> BackboneFeatures:
        tokens = None if maps.image_tokens is None else maps.image_tokens.float()
        return BackboneFeatures(maps.fused.float(), lambda: maps.upsample().float(), maps.stages, tokens)

    backbone.register_forward_pre_hook(narrow)
    backbone.register_forward_hook(widen)


def fold_batch_norms(module: nn.Module) -> None:
    """Fold each batch norm among a module's children into the convolution right before it; what is left of it stays
    under its name (its activation, where it has one)."""
    for (_, convolution), (name, norm) in pairwise(list(module.named_children())):
        if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        if convolution.out_channels == norm.num_features and norm.running_mean is not None:
            fold(convolution, norm)
            setattr(module, name, getattr(norm, "act", nn.Identity()))


@torch.no_grad()
def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Make a convolution give what the batch norm after it would make of its output, by its running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = convolution.weight, convolution.bias
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double()
    if bias is not None:
        shift = shift + bias.double()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = shift * scale
    if norm.affine:
        shift = shift + norm.bias.double()
    convolution.weight = nn.Parameter((weight.double() * scale[:, None, None, None]).to(weight), requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(weight), requires_grad=False)


def replace_linears(module: nn.Module) -> None:
    """Give a module's linear layers, fusion attentions and transformer encoders their fast forms, in place."""
    for name, child in list(module.named_children()):
        if isinstance(child, SelfAttention):
            setattr(module, name, FastSelfAttention(child))
        elif type(child) is nn.TransformerEncoder and child.norm is None:
            # Torch's own encoder looks into its layers.
            setattr(module, name, nn.Sequential(*map(FastEncoderLayer, child.layers)))
        elif type(child) is nn.Linear:
            setattr(module, name, FastLinear([child]))
        elif not isinstance(child, nn.MultiheadAttention):
            replace_linears(child)


class FastLinear(nn.Module):
    """Linear layers that read the same input, side by side, by oneDNN. (..., inputs) -> (..., sum of outputs).

    oneDNN uses the full width of vector units, which the library behind ``torch.nn.functional.linear`` does not on
    every processor.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        weight = torch.cat([layer.weight.detach() for layer in layers])
        bias = torch.cat([zeros_where_none(layer.bias, layer.weight) for layer in layers])
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self._packed: tuple[Tensor, Tensor] | None = None

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[:-1].numel() < MIN_ROWS or x.dtype != torch.float32 or x.device.type != "cpu":
            return F.linear(x, self.weight, self.bias)
        if self._packed is None:
            self._packed = (self.weight.to_mkldnn(), self.bias.to_mkldnn())
        return F.linear(x.contiguous().to_mkldnn(), *self._packed).to_dense()


def zeros_where_none(bias: Tensor | None, weight: Tensor) -> Tensor:
    """A linear layer's bias (outputs,)."""
    return weight.new_zeros(len(weight)) if bias is None else bias.detach()


def attend(projected: Tensor, heads: int) -> Tensor:
    """Queries, keys and values side by side (B, N, 3 C) -> attended values (B, N, C)."""
    split = projected.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(split[0], split[1], split[2]).transpose(1, 2).flatten(2)


class FastSelfAttention(nn.Module):
    """:class:`openpair.nn.fusion.SelfAttention` in eval mode."""

    def __init__(self, attention: SelfAttention) -> None:
        super().__init__()
        self.project = FastLinear([attention.query, attention.key, attention.value])
        self.proj = FastLinear([attention.proj])
        self.heads = attention.heads

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(attend(self.project(x), self.heads))
        return out


class FastEncoderLayer(nn.Module):
    """``torch.nn.TransformerEncoderLayer`` (post-norm, batch first, ReLU) in eval mode. (B, N, C) -> (B, N, C)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, nn.TransformerEncoderLayer)
        attention = layer.self_attn
        if layer.norm_first or not attention.batch_first or layer.activation is not F.relu:
            raise ValueError("only post-norm, batch-first layers with ReLU have a fast form")
        project = nn.Linear(attention.embed_dim, 3 * attention.embed_dim, bias=attention.in_proj_bias is not None)
        project.weight, project.bias = attention.in_proj_weight, attention.in_proj_bias
        self.heads = attention.num_heads
        self.project, self.out = FastLinear([project]), FastLinear([attention.out_proj])
        self.linear1, self.linear2 = FastLinear([layer.linear1]), FastLinear([layer.linear2])
        self.norm1, self.norm2 = layer.norm1, layer.norm2

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.out(attend(self.project(x), self.heads)))
        out: Tensor = self.norm2(x + self.linear2(F.relu(self.linear1(x))))
        return out
