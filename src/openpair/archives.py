"""Archives of plain arrays (.npz) from others: bounded before anything is unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from openpair.damage import COPY_AGAIN, reading
from openpair.errors import OpenPairError

SPARE_BYTES: Final = 256 << 20
BYTES_PER_BYTE: Final = 50
"""An archive may unpack to the first, and the second for each of its own bytes. Compressed plans take 1 to 10."""

MAX_ENTRIES: Final = 10_000
MAX_HEADER_BYTES: Final = 10_000
SUFFIX: Final = ".npy"


def read_arrays(path: Path, what: str, *, needed: Iterable[str] = (), fix: str = COPY_AGAIN) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz archive, or those that are needed.

    Args:
        path: the archive.
        what: what it is, with its article, for messages.
        needed: names of arrays that must be there; the others are not read. Empty: all are read.
        fix: what to do about a damaged one.

    Raises:
        OpenPairError: the file is damaged, holds pickled objects, lacks an array, or claims far more than its length.
    """
    with reading(path, what, fix=fix), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(SUFFIX): info for info in archive.infolist()}
        missing = [name for name in needed if name not in members]
        if missing:
            raise OpenPairError(f"the array '{missing[0]}' is missing", where=path, fix=fix)
        size = sum(info.file_size for info in members.values())
        if size > SPARE_BYTES + BYTES_PER_BYTE * path.stat().st_size or len(members) > MAX_ENTRIES:
            raise OpenPairError(f"{what} would unpack to {size >> 20} MB, far more than its length", where=path)
        arrays = {}
        for name in needed or members:
            with archive.open(members[name]) as member:
                arrays[name] = _read_array(member, members[name].file_size)
        return arrays


def read_array(path: Path, what: str, *, fix: str = COPY_AGAIN) -> NDArray[Any]:
    """The array of an .npy file.

    Raises:
        OpenPairError: the file is damaged, or holds pickled objects or less than it claims.
    """
    with reading(path, what, fix=fix), path.open("rb") as stream:
        return _read_array(stream, path.stat().st_size)


def _read_array(member: IO[bytes], size: int) -> NDArray[Any]:
    """One .npy file. Raises ValueError where its header claims more than the member holds."""
    version = np.lib.format.read_magic(member)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_fortran_order, dtype = header(member, max_header_size=MAX_HEADER_BYTES)
    if dtype.hasobject or dtype.kind not in "biufcSU" or dtype.subdtype is not None:
        raise ValueError("an array of objects or records")
    count = math.prod(shape)
    if any(n < 0 for n in shape) or len(shape) > 32 or count * dtype.itemsize > size or (count and not dtype.itemsize):
        raise ValueError("the header of an array claims more than there is")
    raw = member.read(count * dtype.itemsize + 1)
    if len(raw) != count * dtype.itemsize:
        raise ValueError("an array that does not match its header")
    return np.frombuffer(bytearray(raw), dtype).reshape(shape, order="F" if in_fortran_order else "C")
