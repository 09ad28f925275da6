"""What a branch sees of the data: batches of tensors, and nothing of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class SceneBatch:
    """B scenes as tensors.

    Attributes:
        tokens: (B,) scene tokens, the key to exact scores.
        features: inputs of the networks by name (B, ...).
        targets: what they learn from by name (B, ...); ``trajectory`` (B, 8, 3) is the human plan.
    """

    tokens: tuple[str, ...]
    features: dict[str, Tensor]
    targets: dict[str, Tensor]

    def to(self, device: torch.device) -> SceneBatch:
        """The same batch on a device."""
        return SceneBatch(
            self.tokens,
            {k: v.to(device, non_blocking=True) for k, v in self.features.items()},
            {k: v.to(device, non_blocking=True) for k, v in self.targets.items()},
        )

    def rows(self, start: int, stop: int) -> SceneBatch:
        """Some of the scenes."""
        return SceneBatch(
            self.tokens[start:stop],
            {k: v[start:stop] for k, v in self.features.items()},
            {k: v[start:stop] for k, v in self.targets.items()},
        )

    def pin_memory(self) -> SceneBatch:
        """The same batch in page-locked memory, from which a GPU copies while the CPU goes on."""
        return SceneBatch(
            self.tokens,
            {k: v.pin_memory() for k, v in self.features.items()},
            {k: v.pin_memory() for k, v in self.targets.items()},
        )


class SceneSource(Protocol):
    """A fixed set of scenes that gives any of them as a batch."""

    @property
    def tokens(self) -> Sequence[str]:
        """All scene tokens, in a fixed order."""
        ...

    def batch(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The scenes at these positions of :attr:`tokens`."""
        ...


class EarlierSource(Protocol):
    """The scenes half a second before those of a :class:`SceneSource`."""

    def batch(self, indices: NDArray[np.int64]) -> tuple[SceneBatch, NDArray[np.bool_]]:
        """Scenes before those at these positions, and which of them are there; the others stand in for themselves."""
        ...


def evaluation_batches(num_items: int, batch_size: int) -> list[NDArray[np.int64]]:
    """All items once, in order; the last batch may be smaller."""
    return [np.arange(i, min(i + batch_size, num_items)) for i in range(0, num_items, batch_size)]
