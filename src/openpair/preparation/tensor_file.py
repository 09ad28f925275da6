"""Safetensors files read through memory mapping: an array costs nothing until it is looked at."""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from openpair.checksums import CHECKSUM, UNSEALED, check_read, sealed
from openpair.damage import reading
from openpair.errors import OpenPairError
from openpair.files import write_atomically

_DTYPES = {"F64": np.float64, "I64": np.int64, "I32": np.int32, "U8": np.uint8}
_METADATA = "openpair"
_MAX_HEADER_BYTES = 100_000_000


class TensorFile:
    """Arrays of one safetensors file as read-only views of its mapped bytes.

    Args:
        path: the file.
        verify: compare its bytes with its checksum, at about 3 GB/s.

    Attributes:
        path: the file.
        metadata: its text entries.

    Raises:
        OpenPairError: the file is missing, cut short, damaged or not a safetensors file.
    """

    def __init__(self, path: Path, *, verify: bool = True) -> None:
        self.path = path
        with reading(path, "the file", fix=_REBUILD):
            with open(path, "rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if verify:
                check_read(self._bytes.read)
            size = int.from_bytes(self._bytes[:8], "little")
            if not 2 <= size <= min(_MAX_HEADER_BYTES, len(self._bytes) - 8):
                raise ValueError("its header does not fit into it")
            header = json.loads(self._bytes[8 : 8 + size])
            self.metadata: dict[str, str] = json.loads(header.pop("__metadata__", {}).get(_METADATA, "{}"))
            self.metadata.pop(CHECKSUM, None)
            self._arrays = {name: self._view(8 + size, entry) for name, entry in header.items()}

    def _view(self, base: int, entry: dict) -> NDArray:
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        shape = tuple(int(n) for n in entry["shape"])
        begin, end = entry["data_offsets"]
        count = math.prod(shape)
        if min(shape, default=0) < 0 or end - begin != count * dtype.itemsize or base + end > len(self._bytes):
            raise ValueError("an array lies outside of it")
        return np.frombuffer(self._bytes, dtype, count, base + begin).reshape(shape)

    def __getitem__(self, name: str) -> NDArray:
        if name not in self._arrays:
            raise OpenPairError(f"the file has no array '{name}'", where=self.path, fix=_REBUILD)
        return self._arrays[name]


def write_tensor_file(path: Path, arrays: Mapping[str, NDArray], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file at once: an interrupted run leaves none or a whole one."""
    tensors = {
        name: np.ascontiguousarray(array.view(np.uint8) if array.dtype == np.bool_ else array)
        for name, array in arrays.items()
    }
    entries = json.dumps(
        {CHECKSUM: UNSEALED, **metadata}, sort_keys=True
    )  # as one entry: the library writes several in random order
    write_atomically(path, sealed(save(tensors, {_METADATA: entries})))


_REBUILD = "Delete it and build the store again"
