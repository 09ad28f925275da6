"""Lossless compression of a scene's byte arrays: zstd, for camera images after differences that it packs well.

Of photographs less than a half is left, of histograms and maps a few hundredths. ``openpair bench packing`` compares it
with other formats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.features.config import CAMERA

LEVEL = 1
"""Higher levels of zstd search for repetitions, which photographs do not have."""

Bytes = NDArray[np.uint8]


def pack(name: str, value: Bytes) -> bytes:
    """An array of one scene, compressed. Arrays named ``CAMERA`` are (3, H, W) RGB; all others of any shape."""
    value = np.ascontiguousarray(value, dtype=np.uint8)
    packed: bytes = _codec().compress(differences(value) if name == CAMERA else value, asbytes=True)
    return packed


def unpack(name: str, parts: Sequence[Bytes], shape: tuple[int, ...]) -> Bytes:
    """(B, *shape) arrays of scenes of that shape, from what :func:`pack` gave for each.

    Raises ValueError or OSError for bytes that are not that.
    """
    values = np.empty((len(parts), math.prod(shape)), np.uint8)
    for row, part in zip(values, parts, strict=True):
        row[:] = np.frombuffer(_codec().decompress(part, row.size), np.uint8)
    shaped = values.reshape(len(parts), *shape)
    return add_up(shaped) if name == CAMERA else shaped


def differences(image: Bytes) -> Bytes:
    """(3, H, W) image -> what red and blue differ from green, and then each row from the row above; modulo 256."""
    coloured = image.copy()
    coloured[[0, 2]] -= image[1]
    coloured[:, 1:] -= coloured[:, :-1].copy()
    return coloured


def add_up(changes: Bytes) -> Bytes:
    """The images (B, 3, H, W) that have these :func:`differences`, in their place."""
    for row in range(1, changes.shape[2]):
        changes[:, :, row] += changes[:, :, row - 1]
    changes[:, 0] += changes[:, 1]
    changes[:, 2] += changes[:, 1]
    return changes


@cache
def _codec() -> Any:
    import pyarrow

    return pyarrow.Codec("zstd", compression_level=LEVEL)
