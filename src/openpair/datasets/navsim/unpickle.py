"""Reads log pickles without running code from them.

A pickle can name any importable callable and have it called. NAVSIM's logs need four: numpy's array, dtype and scalar
constructors, under their numpy 1 and numpy 2 module names. Those names are bound here to stand-ins that build plain
arrays of numbers and text and check every argument; every other name is refused. (Even numpy's own dtype is not safe
to hand out: a forged dtype state makes raw bytes pass for object pointers.)
"""

from __future__ import annotations

import gc
import io
import math
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from openpair.errors import OpenPairError

READ_BYTES = 1 << 20
"""Buffer of a file that is unpickled. From one without a buffer each opcode would be a read of its own, which takes
twice as long where the pickle has no frames."""

_NUMBER_KINDS = "biufc"
_TEXT_KINDS = "US"


class _PlainDtype:
    """Stands in for ``numpy.dtype`` while unpickling: numbers, text, and lists of Python objects."""

    def __init__(self, code: object, align: object = False, copy: object = True) -> None:
        try:
            dtype = np.dtype(code) if isinstance(code, str) else None
        except TypeError:
            dtype = None
        if dtype is None or dtype.kind not in _NUMBER_KINDS + _TEXT_KINDS + "O" or dtype.subdtype is not None:
            raise pickle.UnpicklingError(f"an array of type {code!r}")
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        """State of a numpy dtype: only its byte order is used; fields and sub-arrays are refused."""
        _, byte_order, subdtype, names, fields = state[:5]
        if subdtype is not None or names or fields:
            raise pickle.UnpicklingError("an array of records")
        if byte_order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(byte_order)


class _PlainArray(np.ndarray):
    """An array under construction; its state is checked before numpy sees it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran_order, data = state
        if not isinstance(dtype, _PlainDtype):
            raise pickle.UnpicklingError("an array without a type")
        if not (isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)):
            raise pickle.UnpicklingError(f"an array of shape {shape!r}")
        count = math.prod(shape)
        if dtype.dtype.kind == "O":
            if not isinstance(data, list) or len(data) != count:
                raise pickle.UnpicklingError("an object array that does not match its shape")
        elif not isinstance(data, bytes) or len(data) != count * dtype.dtype.itemsize:
            raise pickle.UnpicklingError("an array that does not match its shape")
        super().__setstate__((1, shape, dtype.dtype, bool(fortran_order), data))  # type: ignore[arg-type]


def _new_array(subtype: object, shape: object, code: object) -> _PlainArray:
    """``numpy.core.multiarray._reconstruct``: an empty array whose content follows."""
    if subtype is not _PlainArray or shape != (0,):
        raise pickle.UnpicklingError("an array built in an unusual way")
    return _PlainArray((0,), np.int8)


def _new_scalar(dtype: object, data: object = b"") -> Any:
    """``numpy.core.multiarray.scalar``: one number or text."""
    if not isinstance(dtype, _PlainDtype) or dtype.dtype.kind == "O":
        raise pickle.UnpicklingError("a number of unknown type")
    if not isinstance(data, bytes) or len(data) != dtype.dtype.itemsize:
        raise pickle.UnpicklingError("a number that does not match its type")
    return np.frombuffer(data, dtype.dtype)[0] if data else dtype.dtype.type()


def _array_from_buffer(data: object, dtype: object, shape: object, order: object) -> _PlainArray:
    """``numpy.core.numeric._frombuffer``: how protocol 5 stores contiguous arrays."""
    array = _PlainArray((0,), np.int8)
    raw = bytes(data) if isinstance(data, bytes | bytearray) else data
    array.__setstate__((1, shape, dtype, order == "F", raw))
    return array


def _text_as_bytes(text: object, encoding: object = "latin1") -> bytes:
    """``_codecs.encode``: how protocol 2 stores bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in an unusual encoding")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """``bytes()``: how protocol 2 stores empty bytes."""
    return b""


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _PlainArray,
    ("numpy", "dtype"): _PlainDtype,
    ("_codecs", "encode"): _text_as_bytes,
    ("__builtin__", "bytes"): _no_bytes,
}
for _builtins in ("builtins", "__builtin__"):
    _ADMITTED[_builtins, "set"] = set
    _ADMITTED[_builtins, "frozenset"] = frozenset
for _core in ("numpy.core", "numpy._core"):
    _ADMITTED[f"{_core}.multiarray", "_reconstruct"] = _new_array
    _ADMITTED[f"{_core}.multiarray", "scalar"] = _new_scalar
    _ADMITTED[f"{_core}.numeric", "_frombuffer"] = _array_from_buffer


class _Refused(pickle.UnpicklingError):
    """The pickle names something outside the admitted list."""


class PlainUnpickler(pickle.Unpickler):
    """Unpickles builtins and numpy arrays; refuses every other name before it is imported."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: object) -> NoReturn:
        raise _Refused("a persistent object")


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pauses the cycle collector: a log makes a hundred thousand objects, no cycle, and each pass visits them all."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def loads_plain(data: bytes, where: object, unpickler: type[PlainUnpickler] = PlainUnpickler) -> Any:
    """Content of a pickle made of builtins and numpy arrays.

    Args:
        data: the pickled bytes.
        where: file they came from, for the message.
        unpickler: what to admit.

    Raises:
        OpenPairError: the bytes are no pickle, are cut off, or name anything but numpy arrays and builtins.
    """
    try:
        with without_garbage_collection():
            return unpickler(io.BufferedReader(io.BytesIO(data), READ_BYTES)).load()
    except _Refused as error:
        raise OpenPairError(
            f"the pickle names '{error}', which NAVSIM's files do not contain; it was not loaded",
            where=where,
            fix="Use only logs from a source you trust, and check that this file is one",
        ) from None
    except (EOFError, MemoryError) as error:
        raise _unreadable(where, error) from None
    except Exception as error:  # a hostile or damaged pickle can raise anything
        raise _unreadable(where, error) from None


def load_plain(path: Path, unpickler: type[PlainUnpickler] = PlainUnpickler) -> Any:
    """:func:`loads_plain` of a file. Raises OpenPairError for a file that cannot be read, too."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OpenPairError(f"the file cannot be read ({error.strerror})", where=path) from None
    return loads_plain(data, path, unpickler)


def _unreadable(where: object, error: BaseException) -> OpenPairError:
    cause = str(error) or type(error).__name__
    return OpenPairError(
        f"the file is not a complete pickle ({cause})",
        where=where,
        fix="Copy or download it again; NAVSIM's logs and scenes are whole pickles",
    )
