"""Tables and results on a device: numpy memory for the CPU, torch memory for CUDA, one code path for kernels."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp

from openpair.scoring import arrays
from openpair.scoring.comfort import DESIGNS
from openpair.scoring.filters import FilterArrays, filter_tables
from openpair.scoring.tables import SceneTables

if TYPE_CHECKING:
    from openpair.datatypes.columns import Protocol

CPU = "cpu"


@dataclass(frozen=True)
class DeviceTables:
    """The kernel structs of one or several scenes on one device.

    Attributes:
        area, tracks, path, lights, ego: structs of Warp arrays.
        max_tracks, max_history: see :class:`~openpair.scoring.tables.SceneTables`.
        num_scenes: how many scenes.
        device: "cpu", "cuda:0".
        keep: owners of the memory.
    """

    area: Any
    tracks: Any
    path: Any
    lights: Any
    ego: Any
    max_tracks: int
    max_history: int
    num_scenes: int
    device: str
    keep: Any


def fill_struct(struct_class: Any, table: Any, device: str) -> Any:
    """A kernel struct with the arrays of a table, viewed (CPU) or copied (CUDA)."""
    struct = struct_class()
    for field in fields(table):
        dtype = struct_class.vars[field.name].type.dtype
        values = np.ascontiguousarray(getattr(table, field.name))
        setattr(struct, field.name, wp.array(values, dtype=dtype, device=device, copy=device != CPU))
    return struct


def place(tables: SceneTables, device: str) -> DeviceTables:
    """Tables on a device."""
    return DeviceTables(
        area=fill_struct(arrays.MapArrays, tables.area, device),
        tracks=fill_struct(arrays.TrackArrays, tables.tracks, device),
        path=fill_struct(arrays.PathArrays, tables.path, device),
        lights=fill_struct(arrays.LightArrays, tables.lights, device),
        ego=fill_struct(arrays.EgoArrays, tables.ego, device),
        max_tracks=tables.max_tracks,
        max_history=tables.max_history,
        num_scenes=tables.num_scenes,
        device=device,
        keep=tables,
    )


@lru_cache(maxsize=16)
def filters_on(protocol: Protocol, device: str) -> Any:
    """The comfort filters of a protocol on a device (a ``FilterArrays``)."""
    struct_class: Any = FilterArrays
    struct = struct_class()
    for name, values in filter_tables(DESIGNS[protocol]).items():
        setattr(struct, name, wp.array(values, dtype=struct_class.vars[name].type.dtype, device=device))
    return struct


class Room:
    """Allocates results: numpy arrays on the CPU, torch tensors on CUDA, each with its Warp view.

    Args:
        device: "cpu", "cuda:0".
        torch_memory: torch tensors on the CPU too, as a check of the path that CUDA takes.
    """

    def __init__(self, device: str, torch_memory: bool = False) -> None:
        self.device = device
        self.torch_memory = torch_memory or device != CPU

    def empty(self, shape: tuple[int, ...], dtype: type, view: Any) -> tuple[Any, Any]:
        """Uninitialised memory of a numpy dtype, and its Warp view of type ``view``."""
        if not self.torch_memory:
            values: Any = np.empty(shape, dtype)
            return values, wp.array(values, dtype=view, device=CPU, copy=False)
        import torch

        tensor = torch.empty(shape, dtype=_torch_dtype(dtype), device=self.device)
        return tensor, wp.from_torch(tensor, dtype=view)

    def full(self, shape: tuple[int, ...], value: float, dtype: type, view: Any) -> tuple[Any, wp.array]:
        """Memory filled with one value, and its Warp view."""
        memory, array = self.empty(shape, dtype, view)
        memory[...] = value
        return memory, array

    def given(self, values: Any, view: Any) -> Any:
        """Warp view of a numpy array (CPU) or a torch tensor (CUDA)."""
        if self.device == CPU:
            return wp.array(values, dtype=view, device=CPU, copy=False)
        return wp.from_torch(values, dtype=view)

    def launch(self, kernel: Any, dim: Any, inputs: Sequence[Any]) -> None:
        """Run a kernel."""
        wp.launch(kernel, dim=dim, inputs=inputs, device=self.device)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: type, view: Any) -> wp.array:
        """Warp view of memory that holds nothing of value once the kernels have run.

        On the CPU each thread keeps one block a name, since fresh memory costs a page fault every 4 kB. CUDA memory
        comes from torch, which keeps its own.
        """
        if self.torch_memory:
            return self.empty(shape, dtype, view)[1]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        blocks: dict[str, np.ndarray] = _SCRATCH.__dict__
        block = blocks.get(name)
        if block is None or block.nbytes < size:
            block = np.empty(size, np.uint8)
            if size <= MAX_KEPT_BYTES:
                blocks[name] = block
        values: Any = block[:size].view(dtype).reshape(shape)
        return wp.array(values, dtype=view, device=CPU, copy=False)


MAX_KEPT_BYTES = 1 << 24
"""Scratch blocks larger than this are given back after use."""

_SCRATCH = threading.local()


def _torch_dtype(dtype: type) -> Any:
    import torch

    return {np.float64: torch.float64, np.int32: torch.int32, np.bool_: torch.bool}[dtype]


@contextmanager
def torch_stream(device: str) -> Iterator[None]:
    """Launch on torch's current stream of a CUDA device, so that results are ordered with the caller's work."""
    if device == CPU:
        yield
        return
    import torch

    with wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device))):
        yield
