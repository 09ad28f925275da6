"""PyTorch's zip files without executing anything: tensors are built, every other class becomes an inert placeholder.

``torch.load(weights_only=True)`` refuses a whole file for one foreign class among its settings. Here the pickle inside
is read by Python's own unpickler (whose memo is a dictionary, so that nothing is allocated ahead), and the only
functions that it may call are the few below; they make a :class:`StoredTensor`, which is read when it is asked for.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from openpair.errors import OpenPairError

MAX_PICKLE_BYTES = 256 << 20
"""Of the pickle, which holds names, shapes and settings; a large network's takes a few hundred kB."""

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
"""Storage classes of a file -> what they hold."""

NAMED_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES.values()}


@dataclass(frozen=True)
class Storage:
    """Bytes of a file that tensors lie in: name of the record and type of its numbers."""

    key: str
    dtype: torch.dtype


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read yet: where it lies in which storage, in numbers of ``dtype``."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Placeholder:
    """Stands for an object of a class that is not built. Takes whatever a pickle does to it, and does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def _ignore(self, *args: object) -> None:
        pass

    append = extend = add = __setitem__ = _ignore

    def __call__(self, *args: object) -> Placeholder:
        return self


class TorchFile:
    """Contents of a PyTorch zip file.

    Args:
        path: the file.

    Attributes:
        content: what was saved, with :class:`StoredTensor` for tensors and :class:`Placeholder` for foreign objects.
        foreign: names of the classes and functions that were not built or called.

    Raises OpenPairError for an archive that is no checkpoint; other errors mean that the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        names = self._archive.namelist()
        pickles = [name for name in names if name.count("/") <= 1 and name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise OpenPairError(
                "the zip archive holds no PyTorch checkpoint", where=path, fix="Unpack it and give the file inside"
            )
        self._folder = pickles[0].removesuffix("data.pkl")
        if f"{self._folder}constants.pkl" in names:
            raise OpenPairError(
                "the file is a TorchScript program, not a state dict",
                where=path,
                fix="Save network.state_dict() with torch.save, or as safetensors",
            )
        order = f"{self._folder}byteorder"
        if order in names and self._record(order) != b"little":
            raise OpenPairError(
                "the numbers are not stored little-endian", where=path, fix="Save it on another machine"
            )
        reader = _Unpickler(io.BytesIO(self._record(pickles[0], MAX_PICKLE_BYTES)))
        self.content: Any = reader.load()
        self.foreign = tuple(sorted(reader.foreign, key=lambda name: (name.startswith("builtins."), name)))
        self._storages: dict[str, bytearray] = {}

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read a tensor. Raises ValueError or RuntimeError where it lies outside of its storage."""
        key = stored.storage.key
        if key not in self._storages:
            self._storages[key] = bytearray(self._record(f"{self._folder}data/{key}"))
        content = self._storages[key]
        if min((*stored.size, *stored.stride, stored.offset), default=0) < 0:
            raise ValueError("a negative size")
        last = stored.offset + sum((n - 1) * step for n, step in zip(stored.size, stored.stride, strict=True))
        if 0 in stored.size or not content:
            return torch.empty(stored.size if 0 in stored.size else (0,), dtype=stored.dtype)
        if (last + 1) * stored.dtype.itemsize > len(content):
            raise ValueError("a tensor that is larger than what is stored of it")
        return torch.frombuffer(content, dtype=stored.dtype).as_strided(stored.size, stored.stride, stored.offset)

    def _record(self, name: str, limit: int | None = None) -> bytes:
        """A record, which PyTorch stores without compression: it cannot be larger than the file."""
        info = self._archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or (limit is not None and info.file_size > limit):
            raise ValueError(f"the record {name} is compressed or too large")
        return self._archive.read(info)


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    """An ordered dictionary, with its items or before they come."""
    found: dict[Any, Any] = OrderedDict()
    _fill(found, [value for pair in pairs for value in pair])
    return found


def _fill(target: Any, items: list[Any]) -> None:
    """Keys and values by turns into a dictionary; a placeholder takes none.

    Keys that are no plain values are left out with what belongs to them: hashing a tuple that is nested too deep would
    end the process.
    """
    for key, value in zip(items[::2], items[1::2], strict=True):
        if isinstance(target, dict) and isinstance(key, (str, int, float, bytes, type(None))):
            target[key] = value


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> StoredTensor | Placeholder:
    if not isinstance(storage, Storage):
        return Placeholder()
    dtype = next((one for one in rest if isinstance(one, torch.dtype)), storage.dtype)
    return StoredTensor(storage, dtype, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _first(value: Any, *rest: Any) -> Any:
    """A parameter is its tensor."""
    return value


def _of_subclass(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor of a subclass, or with attributes, is the tensor alone."""
    return function(*arguments) if function in (_rebuild_tensor, _first) else Placeholder()


CALLABLE: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch._tensor", "_rebuild_from_type_v2"): _of_subclass,
}
"""All that a pickle can name besides types of numbers; everything else becomes a placeholder."""


_InPython: Any = pickle._Unpickler
"""The unpickler whose opcodes can be replaced one by one; its stack is no part of the typed interface."""


class _Unpickler(_InPython):
    """Builds dictionaries, lists, numbers, text and stored tensors."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.foreign: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in CALLABLE:
            return CALLABLE[module, name]
        if module in ("torch", "torch.storage") and name in DTYPES:
            return DTYPES[name]
        if module == "torch" and name in NAMED_DTYPES:
            return NAMED_DTYPES[name]
        self.foreign.add(f"{'builtins' if module == '__builtin__' else module}.{name}")
        return Placeholder

    def persistent_load(self, pid: Any) -> Storage | Placeholder:
        _, dtype, key, *_ = pid
        return Storage(str(key), dtype) if isinstance(dtype, torch.dtype) else Placeholder()

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_InPython.dispatch)

    def load_build(self) -> None:
        """State of an object: nothing that is built here has any."""
        self.stack.pop()

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _fill(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        _fill(self.stack[-1], items)

    def load_dict(self) -> None:
        found: dict[Any, Any] = {}
        _fill(found, self.pop_mark())
        self.append(found)

    def load_set(self) -> None:
        """Sets hash what is in them, however deep it is nested; no state dict needs one."""
        self.append(Placeholder())

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(Placeholder())

    def load_bytearray(self) -> None:
        raise pickle.UnpicklingError("a byte array, which no checkpoint needs")

    for _opcode, _method in (
        (pickle.BUILD, load_build),
        (pickle.SETITEM, load_setitem),
        (pickle.SETITEMS, load_setitems),
        (pickle.DICT, load_dict),
        (pickle.EMPTY_SET, load_set),
        (pickle.FROZENSET, load_frozenset),
        (pickle.BYTEARRAY8, load_bytearray),
    ):
        dispatch[_opcode[0]] = _method
    del _opcode, _method
