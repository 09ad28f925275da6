"""A part of a batch is computed as a part of the whole: random draws, dropout and batch statistics.

A batch may be cut into parts, one after another on a device or on several ranks. What a network computes of one scene
alone does not notice. Three things do: random numbers, which are drawn for the whole batch and cut, so that a scene's
depend on its place in the batch; dropout, likewise; and batch norm, which takes its statistics over all ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from openpair.training.ranks import Ranks

_aten = torch.ops.aten
_DRAWS = (_aten.randn.generator, _aten.rand.generator, _aten.randint.low_generator, _aten.randint.generator)
_DRAWING = (torch.randn, torch.rand, torch.randint)
_DROPPING = (F.dropout, F.scaled_dot_product_attention, F.multi_head_attention_forward)


@dataclass(frozen=True)
class Place:
    """Where the rows of a part lie in the whole batch; all parts are of one size.

    Attributes:
        part: which part, from 0.
        parts: how many there are.
        rows: scenes in a part.
    """

    part: int
    parts: int
    rows: int

    def whole(self, count: int) -> int:
        """How many rows the whole has where the part has ``count``, any number of them for each scene."""
        return count * self.parts

    def own(self, values: Tensor) -> Tensor:
        """The part's rows of a tensor of the whole."""
        return values.chunk(self.parts)[self.part]

    def fits(self, count: int) -> bool:
        """Whether so many rows can be those of the part's scenes."""
        return count > 0 and count % self.rows == 0


class WholeBatch(TorchFunctionMode):
    """While it is entered, a network sees its part as a part of the whole batch.

    Dropout on a GPU is left as it is: its random numbers depend on the rank.
    """

    def __init__(self, place: Place, ranks: Ranks) -> None:
        super().__init__()
        self._ranks = ranks
        self._draws = _DrawForAll(place)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm and not self._ranks.alone and _is_training(args, kwargs):
            return batch_norm(self._ranks, *args, **kwargs)
        if func in _DRAWING or (func in _DROPPING and not args[0].is_cuda):
            with self._draws:
                return func(*args, **kwargs)
        return func(*args, **kwargs)


class _DrawForAll(TorchDispatchMode):
    """Random numbers for all rows of the whole batch, of which the part's are taken."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            position, size = _size(args)
            if self._place.fits(size[0]):
                whole = [self._place.whole(size[0]), *size[1:]]
                return self._place.own(func(*args[:position], whole, *args[position + 1 :], **kwargs)).clone()
        if func is _aten.bernoulli_.float and self._place.fits(len(args[0])):
            own = args[0]
            shape = (self._place.whole(len(own)), *own.shape[1:])
            whole_mask = torch.empty_strided(shape, own.stride(), dtype=own.dtype, device=own.device)
            return own.copy_(self._place.own(func(whole_mask, *args[1:], **kwargs)))
        return func(*args, **kwargs)


def _size(args: tuple[Any, ...]) -> tuple[int, list[int]]:
    """Position and value of the size among the arguments of a drawing operator."""
    return next((i, list(value)) for i, value in enumerate(args) if isinstance(value, list | tuple))


def _is_training(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return bool(args[5] if len(args) > 5 else kwargs.get("training", False))


def batch_norm(
    ranks: Ranks,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch norm of x (B, C, ...) in training, with the statistics of all ranks, which have as many values each."""
    channels = x.shape[1]
    ones = torch.ones(channels, device=x.device)
    weight, bias = ones if weight is None else weight, ones * 0 if bias is None else bias
    out, mean, variance = _BatchNorm.apply(x, weight, bias, ranks, eps)
    count = x.numel() // channels * ranks.size
    with torch.no_grad():
        if running_mean is not None:
            running_mean.data.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            running_var.data.lerp_((variance * (count / max(count - 1, 1))).to(running_var.dtype), momentum)
    return out


class _BatchNorm(torch.autograd.Function):
    """(x, weight, bias) -> (normalised x, mean (C,), biased variance (C,)), all over the ranks.

    Gradient: dx = weight / std * (dy - mean(dy) - x^ * mean(dy * x^)) with x^ = (x - mean) / std; means over the ranks.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, ranks: Ranks, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        over = [0, *range(2, x.dim())]
        variances, means = torch.var_mean(x.float(), dim=over, correction=0)
        rows = ranks.gather(torch.stack((means, variances)))
        mean = rows[:, 0].mean(dim=0)
        variance = rows[:, 1].mean(dim=0) + (rows[:, 0] - mean).square().mean(dim=0)
        out = F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt())
        ctx.ranks, ctx.over = ranks, over
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse_std = ctx.saved_tensors
        shape = [1, -1, *[1] * (x.dim() - 2)]
        dy = gradients[0].float()
        normalised = (x.float() - mean.view(shape)) * inverse_std.view(shape)
        d_bias, d_weight = dy.sum(ctx.over), (dy * normalised).sum(ctx.over)
        count = x.numel() // x.shape[1]
        means = ctx.ranks.gather(torch.stack((d_bias, d_weight)) / count).mean(dim=0)
        centred = dy - means[0].view(shape) - normalised * means[1].view(shape)
        dx = centred * (weight.float() * inverse_std).view(shape)
        return dx.to(x.dtype), d_weight.to(weight.dtype), d_bias.to(weight.dtype), None, None


class DrawLog(TorchDispatchMode):
    """Notes what is drawn from a generator for a batch, to draw as much again for batches that others work on.

    Args:
        generator: whose draws are noted.
        rows: scenes of the batch.
    """

    def __init__(self, generator: torch.Generator, rows: int) -> None:
        super().__init__()
        self._generator, self._rows = generator, rows
        self._calls: list[Callable[[int], object]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS and kwargs.get("generator") is self._generator:
            position, size = _size(args)
            per_scene = size[0] // self._rows

            def again(rows: int) -> object:
                return func(*args[:position], [rows * per_scene, *size[1:]], *args[position + 1 :], **kwargs)

            self._calls.append(again)
        return func(*args, **kwargs)

    def repeat(self, rows: int) -> None:
        """Draw what a batch of so many scenes would have drawn."""
        for call in self._calls:
            call(rows)
