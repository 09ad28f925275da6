"""One way for damaged files: whatever goes wrong while their bytes are parsed becomes one sentence.

A reader puts ``with reading(path, "map file"):`` around the calls that parse bytes, and around nothing else, so that a
mistake of ours further on stays visible as what it is.
"""

from __future__ import annotations

import csv
import lzma
import pickle
import sqlite3
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from openpair.errors import OpenPairError

DAMAGE: Final = (
    ArithmeticError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # RecursionError and NotImplementedError, too
    SyntaxError,  # headers of .npy files are read as Python literals
    TypeError,
    ValueError,  # text and JSON that cannot be decoded, too
    csv.Error,
    lzma.LZMAError,
    pickle.UnpicklingError,
    sqlite3.Error,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the standard library and numpy raise for bytes that are not what they should be."""

PARSERS: Final = frozenset(
    {"cv2", "PIL", "pickle", "pyarrow", "pyproj", "safetensors", "safetensors_rust", "shapely", "torch", "warp", "yaml"}
)
"""Packages that read bytes and raise exceptions of their own, or any others."""

COPY_AGAIN: Final = "Copy or download it again"
CAUSE_CHARACTERS: Final = 200


@contextmanager
def reading(where: object, what: str, *, fix: str = COPY_AGAIN) -> Iterator[None]:
    """Turns damage found inside into an :class:`OpenPairError`; OpenPairErrors and other exceptions pass.

    Args:
        where: file or place, for the message.
        what: what is read, with its article ("the log").
        fix: what the user can do.
    """
    try:
        yield
    except OpenPairError:
        raise
    except Exception as error:
        if not is_damage(error):
            raise
        raise OpenPairError(f"{what} cannot be read ({cause_of(error)})", where=where, fix=fix) from error


def is_damage(error: BaseException) -> bool:
    """True for what parsers raise for damaged bytes; False for mistakes in the program (a name that is not there)."""
    modules = {kind.__module__ for kind in type(error).__mro__} | {_raised_in(error)}
    return isinstance(error, DAMAGE) or any(module.split(".")[0] in PARSERS for module in modules)


def _raised_in(error: BaseException) -> str:
    """Name of the module whose code raised an exception; empty where it was never raised."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return "" if step is None else str(step.tb_frame.f_globals.get("__name__", ""))


def cause_of(error: BaseException) -> str:
    """Short text of an exception, on one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "it claims more memory than there is"
    text = f"no {error}" if isinstance(error, KeyError) else str(error)
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= CAUSE_CHARACTERS else f"{text[:CAUSE_CHARACTERS]} ..."
