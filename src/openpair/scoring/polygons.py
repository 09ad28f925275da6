# mypy: disable-error-code="valid-type"
"""Points in polygons: exact ray crossing over the few edges that share the point's slab."""

import warp as wp

from openpair.scoring.arrays import MapArrays
from openpair.geometry.warp_runtime import MODULE_OPTIONS

wp.set_module_options(MODULE_OPTIONS)


@wp.func
def slab_of(y: wp.float64, min_y: wp.float64, slabs_per_m: wp.float64, count: int) -> int:
    """Slab that holds height y. Monotone in y even in rounding, so an edge lies in every slab between its ends'."""
    return wp.clamp(int(wp.floor((y - min_y) * slabs_per_m)), 0, count - 1)


@wp.func
def contains(area: MapArrays, p: int, x: wp.float64, y: wp.float64) -> bool:
    """True if the point lies strictly inside polygon p: neither outside, nor in a hole, nor on a boundary."""
    box = area.box[p]
    if x <= box[0] or y <= box[1] or x >= box[2] or y >= box[3]:
        return False
    first = area.slab_start[p]
    slab = first + slab_of(y, box[1], area.slabs_per_m[p], area.slab_start[p + 1] - first)
    inside = bool(False)
    for i in range(area.slab_edge_start[slab], area.slab_edge_start[slab + 1]):
        e = area.edge[i]
        if (e[1] > y) != (e[3] > y):
            side = (e[2] - e[0]) * (y - e[1]) - (e[3] - e[1]) * (x - e[0])
            if side == wp.float64(0.0):
                return False
            if (side > wp.float64(0.0)) == (e[3] > e[1]):
                inside = not inside
        elif e[1] == y or e[3] == y:
            if e[1] == e[3] and x >= wp.min(e[0], e[2]) and x <= wp.max(e[0], e[2]):
                return False
            if (e[0] == x and e[1] == y) or (e[2] == x and e[3] == y):
                return False
    return inside


@wp.kernel
def count_slab_edges(
    edge: wp.array(dtype=wp.vec4d),
    edge_polygon: wp.array(dtype=wp.int32),
    area: MapArrays,
    counts: wp.array(dtype=wp.int32),
):
    """One edge a thread: add it to the count of every slab it touches."""
    i = wp.tid()
    p = edge_polygon[i]
    e = edge[i]
    first = area.slab_start[p]
    slabs = area.slab_start[p + 1] - first
    low = slab_of(wp.min(e[1], e[3]), area.box[p][1], area.slabs_per_m[p], slabs)
    high = slab_of(wp.max(e[1], e[3]), area.box[p][1], area.slabs_per_m[p], slabs)
    for slab in range(first + low, first + high + 1):
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
    p = edge_polygon[i]
    e = edge[i]
    first = area.slab_start[p]
    slabs = area.slab_start[p + 1] - first
    low = slab_of(wp.min(e[1], e[3]), area.box[p][1], area.slabs_per_m[p], slabs)
    high = slab_of(wp.max(e[1], e[3]), area.box[p][1], area.slabs_per_m[p], slabs)
    for slab in range(first + low, first + high + 1):
        area.edge[wp.atomic_add(cursor, slab, 1)] = e
