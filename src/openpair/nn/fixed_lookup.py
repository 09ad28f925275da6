"""Bilinear lookups at places that are the same for every scene: sums over rows of an image, fast to train on a CPU.

``torch.nn.functional.grid_sample`` goes through the channels of each place one by one, and its gradient takes six times
as long. Where all channels of a pixel lie side by side (channels last), both directions are weighted sums of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class RowSums:
    """Each of R rows of the result is a weighted sum of rows of the input: a sparse matrix.

    Attributes:
        start: (R,) int64 first entry of each row.
        source: (E,) int64 rows of the input.
        weight: (E,) float32.
    """

    start: Tensor
    source: Tensor
    weight: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows (B, N, C) -> (B, R, C)."""
        batch = len(rows)
        scene = torch.arange(batch)[:, None]
        source = (self.source + rows.shape[1] * scene).flatten()
        start = (self.start + len(self.source) * scene).flatten()
        weight = self.weight.repeat(batch)
        summed = F.embedding_bag(source, rows.flatten(0, 1), start, mode="sum", per_sample_weights=weight)
        return summed.unflatten(0, (batch, -1))


class FixedLookup:
    """What ``grid_sample`` (bilinear, zeros outside, ``align_corners=False``) gives at fixed points, on a CPU.

    Args:
        points: (rows, columns, 2) column and row in the image, -1 and 1 at its borders.
        size: (h, w) of the image.
    """

    def __init__(self, points: Tensor, size: tuple[int, int]) -> None:
        height, width = size
        self.shape = points.shape[:2]
        column, row = (((points[..., i].flatten() + 1) * size[1 - i] - 1) / 2 for i in range(2))
        place, pixel, weight = [], [], []
        for x in (column.floor(), column.floor() + 1):
            for y in (row.floor(), row.floor() + 1):
                share = (1 - (column - x).abs()) * (1 - (row - y).abs())
                inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
                place.append(torch.nonzero(inside).flatten())
                pixel.append((y * width + x)[inside].long())
                weight.append(share[inside])
        entries = torch.cat(place), torch.cat(pixel), torch.cat(weight)
        self._sums = _row_sums(*entries, len(column))
        self._adjoint = _row_sums(entries[1], entries[0], entries[2], height * width)

    def __call__(self, image: Tensor) -> Tensor:
        """Image (B, C, h, w) -> (B, C, rows, columns), channels last, with gradient."""
        rows = image.permute(0, 2, 3, 1).flatten(1, 2).contiguous()
        found: Tensor = _Sums.apply(rows, self._sums, self._adjoint)
        return found.unflatten(1, self.shape).permute(0, 3, 1, 2)


def _row_sums(result: Tensor, source: Tensor, weight: Tensor, count: int) -> RowSums:
    """Entries (E,) of a sparse matrix with ``count`` rows, sorted by row."""
    order = torch.argsort(result, stable=True)
    start = torch.searchsorted(result[order].contiguous(), torch.arange(count))
    return RowSums(start, source[order], weight[order].float())


class _Sums(torch.autograd.Function):
    """Row sums whose gradient is the adjoint's row sums."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sums: RowSums, adjoint: RowSums) -> Tensor:
        ctx.adjoint = adjoint
        return sums(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.adjoint(gradients[0].contiguous()), None, None
