# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
# ruff: noqa: RUF046, UP018, SIM102
"""Points in polygons: exact ray crossing over the few edges that share the point's slab."""

import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.scoring.arrays import MapArrays

wp.set_module_options(MODULE_OPTIONS)


@wp.func
def slab_of(y: wp.float64, min_y: wp.float64, slabs_per_m: wp.float64, count: int) -> int:
    """Slab that holds height y. Monotone in y even in rounding, so an edge lies in every slab between its ends'."""
    return wp.clamp(int(wp.floor((y - min_y) * slabs_per_m)), 0, count - 1)


@wp.func
def side_of(e: wp.vec4d, x: wp.float64, y: wp.float64) -> wp.float64:
    """On which side of the line through edge e a point lies: > 0 left, 0 on the line."""
    return (e[2] - e[0]) * (y - e[1]) - (e[3] - e[1]) * (x - e[0])


@wp.func
def inside_slab(edge: wp.array(dtype=wp.vec4d), first: int, last: int, x: wp.float64, y: wp.float64) -> bool:
    """True if a point lies strictly inside the polygon whose edges at the point's height are [first, last).

    Counts the edges that a ray towards +x crosses, without branches: which they are is beyond any branch predictor.
    """
    crossings = int(0)
    on_a_line = int(0)
    for i in range(first, last):
        e = edge[i]
        side = side_of(e, x, y)
        end_above = int(e[3] > y)
        crossings ^= (int(e[1] > y) ^ end_above) & (int(side > wp.float64(0.0)) ^ end_above ^ 1)
        on_a_line |= int(side == wp.float64(0.0))
    if on_a_line != 0:
        for i in range(first, last):
            e = edge[i]
            if side_of(e, x, y) == wp.float64(0.0) and x >= wp.min(e[0], e[2]) and x <= wp.max(e[0], e[2]):
                if y >= wp.min(e[1], e[3]) and y <= wp.max(e[1], e[3]):
                    return False
    return crossings == 1


@wp.func
def contains(area: MapArrays, p: int, x: wp.float64, y: wp.float64) -> bool:
    """True if the point lies strictly inside polygon p: neither outside, nor in a hole, nor on a boundary."""
    box = area.box[p]
    if x <= box[0] or y <= box[1] or x >= box[2] or y >= box[3]:
        return False
    start = area.slab_start[p]
    slab = start + slab_of(y, box[1], area.slabs_per_m[p], area.slab_start[p + 1] - start)
    return inside_slab(area.edge, area.slab_edge_start[slab], area.slab_edge_start[slab + 1], x, y)


@wp.func
def touched_slabs(area: MapArrays, p: int, e: wp.vec4d) -> wp.vec2i:
    """First and last of the slabs that edge e of polygon p touches."""
    first = area.slab_start[p]
    slabs = area.slab_start[p + 1] - first
    low = slab_of(wp.min(e[1], e[3]), area.box[p][1], area.slabs_per_m[p], slabs)
    high = slab_of(wp.max(e[1], e[3]), area.box[p][1], area.slabs_per_m[p], slabs)
    return wp.vec2i(first + low, first + high)


@wp.kernel
def count_slab_edges(
    edge: wp.array(dtype=wp.vec4d),
    edge_polygon: wp.array(dtype=wp.int32),
    area: MapArrays,
    counts: wp.array(dtype=wp.int32),
):
    """One edge a thread: add it to the count of every slab it touches."""
    i = wp.tid()
    e = edge[i]
    slabs = touched_slabs(area, edge_polygon[i], e)
    for slab in range(slabs[0], slabs[1] + 1):
        wp.atomic_add(counts, slab, 1)


@wp.kernel
def fill_slabs(
    edge: wp.array(dtype=wp.vec4d),
    edge_polygon: wp.array(dtype=wp.int32),
    area: MapArrays,
    cursor: wp.array(dtype=wp.int32),
):
    """One edge a thread: copy it to every slab it touches. ``cursor`` starts at each slab's first entry."""
    i = wp.tid()
    e = edge[i]
    slabs = touched_slabs(area, edge_polygon[i], e)
    for slab in range(slabs[0], slabs[1] + 1):
        area.edge[wp.atomic_add(cursor, slab, 1)] = e
