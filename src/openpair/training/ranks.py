"""The processes that train one network together: who this one is, and what they exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from openpair.errors import OpenPairError

Value = TypeVar("Value")


class RankLost(OpenPairError):
    """Another rank has ended: nothing more can be exchanged."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of one network. The default is a process that trains alone, for which every exchange is a no-op.

    Attributes:
        index: of this process, from 0. Rank 0 leads: it alone writes.
        size: how many there are.
        group: process group of tensors on the device.
        control: process group of Python objects and flags, on the CPU.
    """

    index: int = 0
    size: int = 1
    group: Any = None
    control: Any = None

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes."""
        return self.index == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other rank."""
        return self.size == 1

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one dtype by their mean over the ranks, in one exchange."""
        if self.alone or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with exchanging():
            dist.all_reduce(flat, group=self.group)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def gather(self, tensor: Tensor) -> Tensor:
        """(...) of every rank -> (size, ...), by rank. Shapes are equal."""
        if self.alone:
            return tensor[None]
        rows = [torch.empty_like(tensor) for _ in range(self.size)]
        with exchanging():
            dist.all_gather(rows, tensor.contiguous(), group=self.group)
        return torch.stack(rows)

    def gather_objects(self, value: Value) -> list[Value]:
        """The value of every rank, by rank; values are pickled."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.size
        with exchanging():
            dist.all_gather_object(values, value, group=self.control)
        return values

    def of_leader(self, value: Value) -> Value:
        """The value that rank 0 has; it is pickled."""
        if self.alone:
            return value
        values = [value]
        with exchanging():
            dist.broadcast_object_list(values, group=self.control, group_src=0)
        return values[0]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        if self.alone:
            return flag
        count = torch.tensor(float(flag))
        with exchanging():
            dist.all_reduce(count, group=self.control)
        return bool(count > 0)

    def agree(self, value: object, what: str, *, where: object, fix: str) -> None:
        """Raise OpenPairError, on all ranks, where they do not all have the same value."""
        values = self.gather_objects(value)
        for rank, other in enumerate(values):
            if other != values[0]:
                raise OpenPairError(
                    f"rank {rank} {what}: rank 0 has {values[0]}, rank {rank} has {other}", where=where, fix=fix
                )

    def map(
        self,
        batches: Sequence[NDArray[np.int64]],
        work: Callable[[NDArray[np.int64]], Value],
        skip: Callable[[NDArray[np.int64]], object] = lambda indices: None,
    ) -> list[Value]:
        """``work`` of every batch, in order; each is done by one rank, and all ranks get every result.

        Args:
            batches: positions of scenes.
            work: what to do with a batch; gives what can be pickled, on the CPU.
            skip: called for batches of other ranks: draws what ``work`` would have drawn, so that results do not depend
                on the number of ranks.
        """
        done: dict[int, Value] = {}
        for number, indices in enumerate(batches):
            if number % self.size == self.index:
                done[number] = work(indices)
            else:
                skip(indices)
        results = {number: value for rank in self.gather_objects(done) for number, value in rank.items()}
        return [results[number] for number in range(len(batches))]


ALONE = Ranks()


@contextmanager
def exchanging() -> Iterator[None]:
    """Raises :class:`RankLost` for what torch raises where a rank has gone."""
    try:
        yield
    except RuntimeError as error:
        raise RankLost(
            "another rank of this training has ended",
            fix="Look at the messages of its process, and run the same command again: it goes on from the saved state",
        ) from error
