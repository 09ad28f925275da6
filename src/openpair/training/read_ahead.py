"""The next batch is read and decoded while the networks work on this one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from openpair.training.batch import SceneBatch

Read = Callable[[NDArray[np.int64]], SceneBatch]
"""(B,) positions -> their batch. A pure function: when and by which thread it is called changes nothing."""


class ReadAhead:
    """Gives what ``read`` gives; a thread of its own reads one batch ahead.

    Which batch that will be is a guess (:func:`following`), and one that was guessed wrongly is read when it is asked
    for. So what a run sees depends on its order of scenes alone. Errors of reading appear where the batch is asked for.

    Args:
        read: reads and decodes a batch; must allow a call from another thread.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._thread: ThreadPoolExecutor | None = None
        self._next: tuple[NDArray[np.int64], Future[SceneBatch]] | None = None
        self.ready = 0
        """Batches that had been read, or begun, before they were asked for."""

    def batch(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The batch of these positions; what follows it begins to be read."""
        expected, self._next = self._next, None
        if expected is not None and np.array_equal(expected[0], indices):
            batch = expected[1].result()
            self.ready += 1
        else:
            batch = self._read(indices)
        then = following(indices)
        if then is not None:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
            self._next = then, self._thread.submit(self._read_and_pin, then)
        return batch

    def _read_and_pin(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The batch, in memory that a GPU in use copies from without waiting."""
        batch = self._read(indices)
        return batch.pinned() if torch.cuda.is_initialized() else batch


def following(indices: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """As many positions again, from the longer array that ``indices`` are a slice of; None where it ends.

    In a :class:`~openpair.training.order.BatchOrder` an epoch's order is one array and the scenes of a step are a slice
    of it, so the slice after it is the next step's.
    """
    whole = indices.base
    if not isinstance(whole, np.ndarray) or (whole.ndim, whole.dtype) != (1, indices.dtype) or not len(indices):
        return None
    if indices.strides != whole.strides:
        return None
    offset = indices.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    end = offset // whole.strides[0] + len(indices)
    then: NDArray[np.int64] = whole[end : end + len(indices)]
    return then if len(then) == len(indices) else None
