"""Which scenes a step sees: a pure function of seed and step, so that resuming needs no memory of the past."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class BatchOrder:
    """Endless shuffled batches over ``num_items`` items; every epoch is its own permutation.

    Attributes:
        num_items: size of the data set.
        batch_size: items per step, at most ``num_items``. The incomplete batch at an epoch's end is dropped.
        seed: branches with different seeds see the data in different orders.
        part, parts: this is one of several equal parts of every batch, which the ranks divide between them.
    """

    num_items: int
    batch_size: int
    seed: int
    part: int = 0
    parts: int = 1
    _epoch: int = field(default=-1, init=False, repr=False)
    _permutation: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.batch_size <= self.num_items:
            raise ValueError(f"batch size {self.batch_size} does not fit {self.num_items} items")
        if self.batch_size % self.parts:
            raise ValueError(f"{self.parts} parts do not divide a batch of {self.batch_size}")

    @property
    def steps_per_epoch(self) -> int:
        return self.num_items // self.batch_size

    def indices(self, step: int) -> NDArray[np.int64]:
        """(batch_size / parts,) item indices of this part of a step."""
        size = self.batch_size // self.parts
        return self.whole(step)[self.part * size : (self.part + 1) * size]

    def whole(self, step: int) -> NDArray[np.int64]:
        """(batch_size,) item indices of a step, of all parts."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._permutation = np.random.default_rng([self.seed, epoch]).permutation(self.num_items)
            self._epoch = epoch
        return self._permutation[position * self.batch_size : (position + 1) * self.batch_size]
