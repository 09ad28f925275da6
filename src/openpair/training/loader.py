"""Batches in the order of training, by torch's DataLoader: from any step on, read ahead and pinned for GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from openpair.errors import OpenPairError
from openpair.training.batch import SceneBatch, SceneSource
from openpair.training.order import BatchOrder

WORKERS_ON_CUDA = 1
"""Processes that read batches for a GPU. A CPU reads a batch in a hundredth of a step, between two of them."""


class BatchLoader:
    """The batch of every step, whatever the number of workers.

    Args:
        source: the scenes. Workers get a pickled copy where processes are spawned; stores open their files again.
        order: which scenes a step sees.
        device: batches for a GPU come in page-locked memory.
        workers: processes that read ahead; 0 reads when asked; None takes what measured best on the device.
    """

    def __init__(
        self, source: SceneSource, order: BatchOrder, device: torch.device, *, workers: int | None = None
    ) -> None:
        on_cuda = device.type == "cuda"
        workers = (WORKERS_ON_CUDA if on_cuda else 0) if workers is None else workers
        self._steps = _Steps(order)
        self._loader: DataLoader[SceneBatch | OpenPairError] = DataLoader(
            _Batches(source),
            batch_sampler=self._steps,
            collate_fn=_as_it_is,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=on_cuda,
            generator=torch.Generator(),  # its own: the loader seeds workers, and must not draw from dropout's
        )
        self._batches: Iterator[SceneBatch | OpenPairError] | None = None
        self._next = 0

    def batch(self, step: int) -> SceneBatch:
        """The scenes of a step; asked for in order, the next ones are read ahead. Raises what reading them raises."""
        if self._batches is None or step != self._next:
            self._steps.first = step
            self._batches = iter(self._loader)
        batch = next(self._batches)
        if isinstance(batch, OpenPairError):
            self._batches = None
            raise batch
        self._next = step + 1
        return batch


class _Steps(Sampler[list[int]]):
    """Positions of the scenes of every step from ``first`` on, without end."""

    def __init__(self, order: BatchOrder) -> None:
        self._order, self.first = order, 0

    def __iter__(self) -> Iterator[list[int]]:
        step = self.first
        while True:
            yield self._order.indices(step).tolist()
            step += 1


class _Batches(Dataset["SceneBatch | OpenPairError"]):
    """Whole batches by the positions of their scenes: stores read many rows at once."""

    def __init__(self, source: SceneSource) -> None:
        self._source = source

    def __getitems__(self, positions: list[int]) -> SceneBatch | OpenPairError:
        try:
            return self._source.batch(np.array(positions, np.int64))
        except OpenPairError as error:  # raised where the batch is asked for, as it is, whichever process reads
            return error


def _as_it_is(batch: Any) -> Any:
    return batch
