"""Reads log pickles without running code from them.

A pickle is a program: it can name any importable callable and have it called, and its own machine can be told to take
all memory. It is first looked through by a bounded machine (pickle_scan.py), and then run with the few names that
NAVSIM's files need. Those names are bound to functions of this module that build arrays of plain numbers and text and
check every argument; every other name is refused. Nothing of numpy's is handed out: a forged dtype or array state makes
raw bytes pass for object pointers.
"""

from __future__ import annotations

import gc
import io
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn, cast

import numpy as np

from openpair.damage import cause_of, is_damage
from openpair.errors import OpenPairError

READ_BYTES = 1 << 20
"""Buffer of a file that is unpickled. From one without a buffer each opcode would be a read of its own, which takes
twice as long where the pickle has no frames."""

MAX_FILE_BYTES: Final = 1 << 30
MAX_STACK: Final = 1 << 20
"""Values that a pickle may have under construction at a time; NAVSIM's files have some thousands."""

MAX_DIMENSIONS: Final = 8
MAX_ITEMS: Final = 1 << 28
SPARE_ARRAY_BYTES: Final = 64 << 20
"""Bytes of arrays that a pickle may build beyond four times its own length: the same bytes can be used often."""

_PLAIN_CODE: Final = re.compile(r"[<>=|]?(?:b1|[iu][1248]|f[248]|[US]\d{1,6}|O8?)")

_COPIED: Final = (str, bytes, bytearray, list, tuple, np.ndarray)

_FAULTS: Final = {
    1: "it is cut off",
    2: "it has an operation that NAVSIM's files do not need",
    3: "its operations do not fit each other",
    4: "it names a place of the memo far beyond its length",
    5: "it has too many values under construction",
    6: "it would take far more memory than its length",
    7: "a dictionary or set has keys other than text and plain numbers",
    8: "it calls or changes something that is no object of its own",
    9: "it has a line that is too long",
}
"""Texts for the results of a scan, in the order of pickle_scan.py."""


class _PlainDtype:
    """Stands in for ``numpy.dtype`` while unpickling: truth values, numbers, text, and lists of values ("O")."""

    __slots__ = ("_is_set", "dtype", "holds_objects")

    def __init__(self, code: object, align: object = False, copy: object = True) -> None:
        if not isinstance(code, str) or not _PLAIN_CODE.fullmatch(code):
            raise pickle.UnpicklingError("an array of unknown type")
        self.holds_objects = "O" in code
        self.dtype = np.dtype("u1" if self.holds_objects else code)
        self._is_set = False

    def __setstate__(self, state: Any) -> None:
        """State of a numpy dtype: only its byte order is used; fields and sub-arrays are refused."""
        _, byte_order, subdtype, names, fields = state[:5]
        if subdtype is not None or names or fields:
            raise pickle.UnpicklingError("an array of records")
        if self._is_set:
            raise pickle.UnpicklingError("an array type that is set twice")
        self._is_set = True
        if byte_order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(byte_order)


class _PlainArray(np.ndarray):
    """An array under construction; its state is checked before numpy sees it, and set once.

    Each unpickler has a subclass of its own (:func:`_array_type`). Instances have no attributes: those that have some
    are visited by the cycle collector, which doubles the time to read a log.

    Attributes:
        budget: of the unpickler.
        listed_type: of the unpickler.
        listed: its items, where they are of the listed type instead of numbers or text; the array itself is empty.
    """

    __slots__ = ()
    budget: ClassVar[_Budget]
    listed_type: ClassVar[type | None]
    listed: tuple[Any, ...]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran_order, data = state
        is_new = self.dtype is _NEW and not self.size
        if not is_new or type(dtype) is not _PlainDtype or type(shape) is not tuple:
            raise pickle.UnpicklingError("an array that is put together in an unusual way")
        count = 1
        for length in shape:
            if type(length) is not int or not 0 <= length <= MAX_ITEMS:
                raise pickle.UnpicklingError("an array of a shape that is no shape")
            count *= length
        kind = dtype.dtype
        if dtype.holds_objects:
            if not isinstance(data, list) or len(data) != count:
                raise pickle.UnpicklingError("an array of values that does not match its shape")
            self.budget.take(16 * count)
            if self.listed_type and count and all(type(value) is self.listed_type for value in data):
                self.listed = tuple(data)
                return
            values = _as_plain_array(data, self.budget)
            kind, data = values.dtype, values.tobytes()
        elif type(data) is not bytes or len(data) != count * kind.itemsize or (count and not data):
            raise pickle.UnpicklingError("an array that does not match its shape")
        self.budget.left -= len(data)
        if self.budget.left < 0 or len(shape) > MAX_DIMENSIONS:
            raise pickle.UnpicklingError("an array that is too large")
        _set_state(self, (1, shape, kind, bool(fortran_order), data))  # type: ignore[arg-type]

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise pickle.UnpicklingError("an array that is changed")


_NEW: Final = np.dtype(np.int8)
_set_state: Final = np.ndarray.__setstate__


def _array_type(budget: _Budget, listed_type: type | None) -> type[_PlainArray]:
    """The class of the arrays of one unpickler."""
    slots = () if listed_type is None else ("listed",)
    attributes = {"__slots__": slots, "budget": budget, "listed_type": listed_type}
    return cast("type[_PlainArray]", type("_PlainArray", (_PlainArray,), attributes))


def _as_plain_array(values: list[Any], budget: _Budget) -> np.ndarray:
    """Items of an array of objects as an array of text or of numbers: NAVSIM's logs hold no others."""
    if all(type(value) is str for value in values):
        # Each takes as much as the longest.
        budget.take(8 * len(values) * max((len(value) for value in values), default=0))
        return np.array(values, dtype=np.str_)
    array = np.array(values) if all(type(value) in (bool, int, float) for value in values) else None
    if array is None or array.dtype.kind not in "biuf":
        raise pickle.UnpicklingError("an array of objects")
    return array


class _Budget:
    """Bytes that what a pickle's calls build may still take."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = SPARE_ARRAY_BYTES + 4 * size

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise pickle.UnpicklingError("it builds far more than its length")


class Admitted:
    """What a name stands for: it may be called, and that is all; nothing can be set on it.

    Args:
        function: is called.
        budget: pays for the length of each call's arguments, for functions that copy them; None = it copies nothing.
    """

    __slots__ = ("_budget", "_function")
    _budget: _Budget | None
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], budget: _Budget | None = None) -> None:
        object.__setattr__(self, "_function", function)
        object.__setattr__(self, "_budget", budget)

    def __call__(self, *arguments: object) -> Any:
        if self._budget is not None:
            self._budget.take(sum(16 * len(part) for part in arguments if isinstance(part, _COPIED)))
        return self._function(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("state for a function")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise pickle.UnpicklingError("an attribute for a function")


def _is_no_function(*_: object) -> NoReturn:
    raise pickle.UnpicklingError("an array built in an unusual way")


_ARRAY_TYPE: Final = Admitted(_is_no_function)
"""``numpy.ndarray`` where it is an argument."""


def _new_scalar(dtype: object, data: object = b"") -> Any:
    """``numpy.core.multiarray.scalar``: one number or text."""
    if not isinstance(dtype, _PlainDtype) or dtype.holds_objects:
        raise pickle.UnpicklingError("a number of unknown type")
    if not isinstance(data, bytes) or len(data) != dtype.dtype.itemsize:
        raise pickle.UnpicklingError("a number that does not match its type")
    return np.frombuffer(data, dtype.dtype)[0] if data else dtype.dtype.type()


def _text_as_bytes(text: object, encoding: object = "latin1") -> bytes:
    """``_codecs.encode``: how protocol 2 stores bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in an unusual encoding")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """``bytes()``: how protocol 2 stores empty bytes."""
    return b""


def _members(values: object = ()) -> list[Any]:
    """Members of a set that protocols up to 3 build by a call."""
    if not isinstance(values, list | tuple) or not all(
        value is None or type(value) in (str, bytes, bool, float) or (type(value) is int and abs(value) < 2**63)
        for value in values
    ):
        raise pickle.UnpicklingError("a set of something else than text and plain numbers")
    return list(values)


def _new_set(values: object = ()) -> set[Any]:
    """``set``"""
    return set(_members(values))


def _new_frozenset(values: object = ()) -> frozenset[Any]:
    """``frozenset``"""
    return frozenset(_members(values))


class _NewArray:
    """``numpy.core.multiarray._reconstruct``: an empty array whose content follows."""

    __slots__ = ("_type",)

    def __init__(self, array_type: type[_PlainArray]) -> None:
        self._type = array_type

    def __call__(self, subtype: object, shape: object, code: object) -> _PlainArray:
        if subtype is not _ARRAY_TYPE or shape != (0,):
            raise pickle.UnpicklingError("an array built in an unusual way")
        return self._type((0,), _NEW)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("state for a function")

    def from_buffer(self, data: object, dtype: object, shape: object, order: object) -> _PlainArray:
        """``numpy.core.numeric._frombuffer``: how protocol 5 stores contiguous arrays."""
        array = self(_ARRAY_TYPE, (0,), b"b")
        raw = bytes(data) if isinstance(data, bytearray) else data
        array.__setstate__((1, shape, dtype, order == "F", raw))
        return array


class Record:
    """Attributes of one pickled object, nothing else."""

    def __new__(cls, *_: object) -> Record:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, dict):
                for name, value in part.items():
                    if not isinstance(name, str) or name.startswith("__"):
                        raise pickle.UnpicklingError("an attribute with a name of Python's own")
                    self.__dict__[name] = value


class _Refused(pickle.UnpicklingError):
    """The pickle names something outside the admitted list."""


class PlainUnpickler(pickle.Unpickler):
    """Unpickles builtins and numpy arrays; refuses every other name before it is imported.

    Args:
        file: the pickle; :func:`checked` has looked through it.
        size: its length [bytes], which bounds what it may build.
    """

    listed_type: type | None = None
    """Values that arrays of objects may hold beside numbers and text."""

    def __init__(self, file: Any, size: int) -> None:
        super().__init__(file)
        self.budget = budget = _Budget(size)
        new_array = _NewArray(_array_type(budget, self.listed_type))
        self._admitted: dict[tuple[str, str], Any] = {
            ("numpy", "ndarray"): _ARRAY_TYPE,
            ("numpy", "dtype"): Admitted(_PlainDtype),
            ("_codecs", "encode"): Admitted(_text_as_bytes, budget),
            ("__builtin__", "bytes"): Admitted(_no_bytes),
        }
        for builtins in ("builtins", "__builtin__"):
            self._admitted[builtins, "set"] = Admitted(_new_set, budget)
            self._admitted[builtins, "frozenset"] = Admitted(_new_frozenset, budget)
        for core in ("numpy.core", "numpy._core"):
            self._admitted[f"{core}.multiarray", "_reconstruct"] = new_array
            self._admitted[f"{core}.multiarray", "scalar"] = Admitted(_new_scalar, budget)
            self._admitted[f"{core}.numeric", "_frombuffer"] = Admitted(new_array.from_buffer, budget)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._admitted[module, name]
        except KeyError:
            raise _Refused(f"{module[:80]}.{name[:80]}") from None

    def persistent_load(self, pid: object) -> NoReturn:
        raise _Refused("a persistent object")

    def admit(self, functions: Mapping[tuple[str, str], Any]) -> None:
        """Admit more names; classes as they are, functions wrapped."""
        for name, value in functions.items():
            self._admitted[name] = value if isinstance(value, type) else Admitted(value, self.budget)


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


def checked(data: bytes, where: object) -> bytes:
    """The same bytes, after the bounded machine has looked through them (see pickle_scan.py).

    Raises OpenPairError for a pickle that is damaged, or would take far more memory or time than its length.
    """
    from openpair.datasets.navsim.pickle_scan import first_fault

    fault, place = first_fault(data, MAX_STACK)
    if fault:
        raise _unreadable(where, f"{_FAULTS[fault]}, at byte {place}")
    return data


def run_checked(data: bytes, unpickler: type[PlainUnpickler]) -> Any:
    """Content of a pickle that :func:`checked` has let through. Raises what the machine raises."""
    with without_garbage_collection():
        return unpickler(io.BufferedReader(io.BytesIO(data), READ_BYTES), len(data)).load()


def loads_plain(data: bytes, where: object, unpickler: type[PlainUnpickler] = PlainUnpickler) -> Any:
    """Content of a pickle made of builtins and numpy arrays.

    Args:
        data: the pickled bytes.
        where: file they came from, for the message.
        unpickler: what to admit.

    Raises:
        OpenPairError: the bytes are no pickle, are cut off, or name anything but numpy arrays and builtins.
    """
    checked(data, where)
    try:
        return run_checked(data, unpickler)
    except _Refused as error:
        raise OpenPairError(
            f"the pickle names '{error}', which NAVSIM's files do not contain; it was not loaded",
            where=where,
            fix="Use only logs from a source you trust, and check that this file is one",
        ) from None
    except Exception as error:
        if not (is_damage(error) or isinstance(error, AttributeError)):
            raise
        raise _unreadable(where, cause_of(error)) from None


def read_pickle(path: Path) -> bytes:
    """Bytes of a file. Raises OpenPairError for one that cannot be read, or is larger than any log."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise OpenPairError(f"the file is larger than {MAX_FILE_BYTES >> 20} MB, as no log is", where=path)
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        raise OpenPairError(f"the file cannot be read ({cause_of(error)})", where=path) from None


def load_plain(path: Path, unpickler: type[PlainUnpickler] = PlainUnpickler) -> Any:
    """:func:`loads_plain` of a file. Raises OpenPairError for a file that cannot be read, too."""
    return loads_plain(read_pickle(path), path, unpickler)


def _unreadable(where: object, cause: str) -> OpenPairError:
    return OpenPairError(
        f"the file is not a complete pickle ({cause})",
        where=where,
        fix="Copy or download it again; NAVSIM's logs and scenes are whole pickles",
    )


def check_extent(value: object, where: object, most: int) -> None:
    """Bound on what a program meets that walks through a value, which may hold one part in many places, or itself.

    Args:
        value: dictionaries, lists, tuples and :class:`Record`.
        where: file or place, for the message.
        most: values, each counted as often as it is met.

    Raises:
        OpenPairError: there are more.
    """
    pending, left = [value], most
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            parts: Any = item.values()
        elif isinstance(item, Record):
            parts = item.__dict__.values()
        else:
            parts = item
        left -= len(parts)
        if left < 0:
            raise OpenPairError(f"it holds more than {most} values, as no file of NAVSIM's does", where=where)
        pending += [part for part in parts if isinstance(part, _WALKED)]


_WALKED: Final = (dict, list, tuple, Record)
