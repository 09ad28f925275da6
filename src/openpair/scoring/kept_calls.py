"""Memory and launches of a small call, kept for the next one of the same shape.

A call with 16 plans allocates 13 arrays and packs some 60 arguments, which depends on neither the plans nor the
scene's size. Kept, only the arguments that change from scene to scene are packed again.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import warp as wp

from openpair.lru import LruCache
from openpair.scoring.devices import CPU, Room

MAX_PLANS = 64
"""Calls with more plans spend their time in the kernels, and their memory is worth giving back."""

MAX_CALLS = 8
"""Shapes that a thread keeps, the least recently used go first."""


@dataclass
class _Launch:
    command: Any
    dim: Any
    inputs: list[Any]


class KeptCall(Room):
    """Gives the same memory, and repeats the same launches, in every call: they must come in the same order, with
    arrays of the same shapes. Results are to be copied before the next call."""

    def __init__(self) -> None:
        super().__init__(CPU)
        self._memory: list[tuple[Any, Any]] = []
        self._launches: list[_Launch] = []
        self._next_memory = self._next_launch = 0

    def begin(self) -> None:
        """The next call begins."""
        self._next_memory = self._next_launch = 0

    def empty(self, shape: tuple[int, ...], dtype: type, view: Any) -> tuple[Any, Any]:
        """As :meth:`Room.empty`, with whatever the call before left in it."""
        if self._next_memory == len(self._memory):
            self._memory.append(super().empty(shape, dtype, view))
        self._next_memory += 1
        return self._memory[self._next_memory - 1]

    def given(self, values: Any, view: Any) -> wp.array:
        """As :meth:`Room.given`, copied."""
        memory, array = self.empty(values.shape, values.dtype.type, view)
        memory[...] = values
        return array

    def scratch(self, name: str, shape: tuple[int, ...], dtype: type, view: Any) -> wp.array:
        """As :meth:`Room.scratch`."""
        return self.empty(shape, dtype, view)[1]

    def launch(self, kernel: Any, dim: Any, inputs: Sequence[Any]) -> None:
        """As :meth:`Room.launch`; what differs from the call before is packed again."""
        if self._next_launch == len(self._launches):
            command = wp.launch(kernel, dim=dim, inputs=list(inputs), device=CPU, record_cmd=True)
            self._launches.append(_Launch(command, dim, list(inputs)))
        kept = self._launches[self._next_launch]
        self._next_launch += 1
        if dim != kept.dim:
            kept.command.set_dim(dim)
            kept.dim = dim
        for index, value in enumerate(inputs):
            if value is not kept.inputs[index]:
                kept.command.set_param_at_index(index, value)
                kept.inputs[index] = value
        kept.command.launch()


def kept_call(shape: Hashable) -> KeptCall:
    """This thread's call of a shape (all that sizes of arrays and the sequence of launches depend on), begun anew."""
    call = _CALLS.by_shape.get(shape, KeptCall)
    call.begin()
    return call


class _Calls(threading.local):
    """Those of a thread."""

    def __init__(self) -> None:
        self.by_shape: LruCache[KeptCall] = LruCache(MAX_CALLS)


_CALLS = _Calls()
