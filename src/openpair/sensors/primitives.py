"""Solids for the ray caster, many at once, as rows of one structured array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import warp as wp
from numpy.typing import ArrayLike, NDArray

from openpair.sensors.kernels import shapes

DTYPE: Final[np.dtype[np.void]] = np.dtype(cast(Any, shapes.Primitive).numpy_dtype())
"""One row is one :class:`openpair.sensors.shapes.Primitive`."""

Primitives = NDArray[np.void]
"""(P,) rows of DTYPE."""


def empty() -> Primitives:
    """No primitives."""
    return np.zeros(0, DTYPE)


def joined(parts: Sequence[Primitives]) -> Primitives:
    """All rows of some arrays, one after another."""
    if not parts:
        return empty()
    # as bytes: numpy compares structured types field by field, which takes longer than copying the rows
    return np.concatenate([part.view(np.uint8) for part in parts]).view(DTYPE)


def solids(
    x: ArrayLike,
    y: ArrayLike,
    bottom: ArrayLike,
    heading: ArrayLike,
    length: ArrayLike,
    width: ArrayLike,
    height: ArrayLike,
    *,
    color: ArrayLike,
    shape: int = shapes.TAPERED_BOX,
    material: ArrayLike = shapes.PLAIN,
    taper: ArrayLike = (0.0, 0.0),
    seed: ArrayLike = 0.0,
    state: ArrayLike = 0.0,
) -> Primitives:
    """(P,) solids standing at ``bottom`` [m] above the ground; every argument broadcasts over P.

    Args:
        x, y, heading: centre [m] and yaw [rad] of each, ego frame.
        length, width, height: outer size [m].
        color: (3,) or (P, 3) RGB in 0..1.
        taper: (2,) or (P, 2) how far the sides along length and width lean inwards per metre of height.
        seed, state: see :class:`openpair.sensors.shapes.Primitive`.
    """
    x = np.atleast_1d(np.asarray(x, np.float64))
    out = np.zeros(len(x), DTYPE)
    out["center"][:, 0] = x
    out["center"][:, 1] = y
    out["center"][:, 2] = np.asarray(bottom) + 0.5 * np.asarray(height)
    out["half"][:, 0] = 0.5 * np.asarray(length)
    out["half"][:, 1] = 0.5 * np.asarray(width)
    out["half"][:, 2] = 0.5 * np.asarray(height)
    out["axis"][:, 0] = np.cos(heading)
    out["axis"][:, 1] = np.sin(heading)
    out["taper"] = taper
    out["color"] = color
    out["seed"] = seed
    out["state"] = state
    out["shape"] = shape
    out["material"] = material
    return out


def shadows(
    x: ArrayLike, y: ArrayLike, heading: ArrayLike, length: ArrayLike, width: ArrayLike, *, round_rim_m: float = 0.0
) -> Primitives:
    """(P,) soft dark patches on the ground below objects of the given size [m].

    Args:
        round_rim_m: if given, the patches are discs of diameter ``length`` with a rim this soft (below trees).
    """
    rim = round_rim_m or 0.35
    length, width = np.asarray(length) + rim, np.asarray(width) + rim
    return solids(
        x, y, 0.0, heading, length, width, 0.02,
        color=0.0, shape=shapes.GROUND_SHADOW, seed=rim, state=0.35 if round_rim_m else 0.55,
        material=shapes.FOLIAGE if round_rim_m else shapes.PLAIN,
    )  # fmt: skip


def corners(primitives: Primitives) -> NDArray[np.float32]:
    """(P, 8, 3) corners of the bounding boxes, ego frame."""
    signs = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)], np.float32) * 2 - 1
    local = primitives["half"][:, None, :] * signs
    c, s = primitives["axis"][:, None, 0], primitives["axis"][:, None, 1]
    out = np.empty_like(local)
    out[..., 0] = c * local[..., 0] - s * local[..., 1]
    out[..., 1] = s * local[..., 0] + c * local[..., 1]
    out[..., 2] = local[..., 2]
    return out + primitives["center"][:, None, :]


def kernel_array(values: NDArray[Any], dtype: Any, *, copy: bool = True) -> Any:
    """An array of the host as Warp's kernels take it; without a copy both share their memory."""
    return wp.array(values, dtype=dtype, device="cpu", copy=copy)
