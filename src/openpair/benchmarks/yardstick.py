# Warp compiles the kernel below itself, and checks its types.
# mypy: ignore-errors
"""A fixed piece of work like the scorer's, which says how fast a machine is.

Six launches of a 64-bit kernel with branches and look-ups: which of some points lie in a polygon. It depends on nothing
of OpenPaIR but how Warp is run, so it costs the same in every version. Times of the scorer are multiples of it.
Change nothing here: figures of other machines and versions would no longer compare.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS, start_warp

wp.set_module_options(MODULE_OPTIONS)

LAUNCHES, POINTS, EDGES = 6, 656, 48
"""As many launches as a call of the scorer has, and 41 steps of 16 plans in each."""


@wp.kernel
def inside_polygon(points: wp.array(dtype=wp.vec2d), ring: wp.array(dtype=wp.vec2d), inside: wp.array(dtype=wp.int32)):
    """Even-odd rule: whether a ray from each point crosses an odd number of edges."""
    i = wp.tid()
    point = points[i]
    crossings = wp.int32(0)
    for k in range(ring.shape[0] - 1):
        a = ring[k]
        b = ring[k + 1]
        crosses_height = (a[1] > point[1]) != (b[1] > point[1])
        if crosses_height and point[0] < (b[0] - a[0]) * (point[1] - a[1]) / (b[1] - a[1]) + a[0]:
            crossings += wp.int32(1)
    inside[i] = crossings % wp.int32(2)


def yardstick() -> Callable[[], np.ndarray]:
    """The work, ready to be done; it returns (POINTS,) 1 for points inside a star of 48 edges, else 0."""
    start_warp()
    angle = np.linspace(0.0, 2 * np.pi, EDGES + 1)
    radius = np.where(np.arange(EDGES + 1) % 2 == 0, 30.0, 15.0)
    corners = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    corners[-1] = corners[0]
    grid = np.random.default_rng(0).uniform(-30.0, 30.0, (POINTS, 2))
    points, ring = (wp.array(values, dtype=wp.vec2d, device="cpu") for values in (grid, corners))
    inside = np.zeros(POINTS, np.int32)
    out = wp.array(inside, dtype=wp.int32, device="cpu", copy=False)

    def work() -> np.ndarray:
        for _ in range(LAUNCHES):
            wp.launch(inside_polygon, dim=POINTS, inputs=[points, ring, out], device="cpu")
        return inside

    return work
