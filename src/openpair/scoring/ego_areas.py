# mypy: disable-error-code="valid-type"
"""Where the ego box stands: across lanes, off the road, in oncoming lanes, in an intersection, on a red connector.

DAC, and the at-fault rules of NC and TTC, rest on these flags.
"""

from enum import IntEnum

import warp as wp

from openpair.datatypes import vehicle
from openpair.scoring.arrays import LightArrays, MapArrays
from openpair.scoring.boxes import segment_touches_box
from openpair.scoring.polygons import contains
from openpair.geometry.warp_runtime import MODULE_OPTIONS

wp.set_module_options(MODULE_OPTIONS)


class AreaIndex(IntEnum):
    """Columns of the ego-area table (N, 41, 6) bool."""

    MULTIPLE_LANES = 0
    NON_DRIVABLE = 1
    ONCOMING = 2
    CENTER_IN_INTERSECTION = 3
    REAR_AXLE_IN_INTERSECTION = 4
    ON_RED_LIGHT = 5


LANE = wp.constant(1)
"""Bits of ``MapArrays.kind``: lanes and lane connectors."""
DRIVABLE = wp.constant(2)
"""Roadblocks, intersections, drivable areas, carparks; neither connectors nor their blocks."""
ROUTE = wp.constant(4)
"""Lanes and lane connectors of the route."""
INTERSECTION = wp.constant(8)

CELLS = wp.constant(40)
"""Cells along each side of a scene's grid."""
CELL_M = wp.constant(wp.float64(5.0))
GRID_M = wp.constant(wp.float64(100.0))
"""Half side of the grid [m]; beyond it every polygon is tried."""

HALF_LENGTH = wp.constant(wp.float64(vehicle.LENGTH_M / 2))
HALF_WIDTH = wp.constant(wp.float64(vehicle.WIDTH_M / 2))
REAR_AXLE_TO_CENTER = wp.constant(wp.float64(vehicle.REAR_AXLE_TO_CENTER_M))
ALL_CORNERS = wp.constant(15)


@wp.func
def ego_half_extent(box: wp.vec4d) -> wp.vec2d:
    """Half size [m] of the axis-aligned bounds of the ego box."""
    c = wp.abs(box[2])
    s = wp.abs(box[3])
    return wp.vec2d(HALF_LENGTH * c + HALF_WIDTH * s, HALF_LENGTH * s + HALF_WIDTH * c)


@wp.func
def corners_inside(area: MapArrays, p: int, box: wp.vec4d) -> int:
    """Bits 0 .. 3: front left, rear left, rear right, front right corner strictly inside polygon p."""
    along_x = HALF_LENGTH * box[2]
    along_y = HALF_LENGTH * box[3]
    left_x = -HALF_WIDTH * box[3]
    left_y = HALF_WIDTH * box[2]
    mask = int(0)
    if contains(area, p, box[0] + along_x + left_x, box[1] + along_y + left_y):
        mask += 1
    if contains(area, p, box[0] - along_x + left_x, box[1] - along_y + left_y):
        mask += 2
    if contains(area, p, box[0] - along_x - left_x, box[1] - along_y - left_y):
        mask += 4
    if contains(area, p, box[0] + along_x - left_x, box[1] + along_y - left_y):
        mask += 8
    return mask


@wp.func
def touches_polygon(
    edges: wp.array(dtype=wp.vec4d), first: int, last: int, box: wp.vec4d
) -> bool:
    """True if the ego box shares a point with the polygon of edges [first, last), touching included."""
    inside = bool(False)
    for i in range(first, last):
        e = edges[i]
        if segment_touches_box(e[0], e[1], e[2], e[3], box, HALF_LENGTH, HALF_WIDTH):
            return True
        # No edge meets the box: then it lies wholly inside or wholly outside, and its centre tells which.
        if (e[1] > box[1]) != (e[3] > box[1]):
            side = (e[2] - e[0]) * (box[1] - e[1]) - (e[3] - e[1]) * (box[0] - e[0])
            if (side > wp.float64(0.0)) == (e[3] > e[1]):
                inside = not inside
    return inside


@wp.func
def on_red_light(lights: LightArrays, scene: int, step: int, box: wp.vec4d) -> bool:
    """True if the ego box intersects a connector that is red at this step (v2.2's traffic light compliance)."""
    half = ego_half_extent(box)
    for light in range(lights.light_range[scene], lights.light_range[scene + 1]):
        if ((lights.active[light] >> wp.int64(step)) & wp.int64(1)) == wp.int64(1):
            bounds = lights.box[light]
            if (
                box[0] + half[0] >= bounds[0]
                and box[1] + half[1] >= bounds[1]
                and box[0] - half[0] <= bounds[2]
                and box[1] - half[1] <= bounds[3]
            ):
                if touches_polygon(lights.edge, lights.edge_range[light], lights.edge_range[light + 1], box):
                    return True
    return False


@wp.struct
class AreaFlags:
    """What is known of one ego box while the polygons around it are visited."""

    lanes_touched: int
    in_one_lane: int
    drivable_corners: int
    on_route: int
    center_in_intersection: int
    rear_axle_in_intersection: int


@wp.func
def visit_polygon(area: MapArrays, p: int, box: wp.vec4d, half_extent: wp.vec2d, flags: AreaFlags) -> AreaFlags:
    """The flags after polygon p was looked at."""
    bounds = area.box[p]
    if (
        box[0] + half_extent[0] <= bounds[0]
        or box[1] + half_extent[1] <= bounds[1]
        or box[0] - half_extent[0] >= bounds[2]
        or box[1] - half_extent[1] >= bounds[3]
    ):
        return flags
    kind = area.kind[p]
    mask = int(0)
    if ((kind & LANE) != 0 and flags.in_one_lane == 0) or (
        (kind & DRIVABLE) != 0 and flags.drivable_corners != ALL_CORNERS
    ):
        mask = corners_inside(area, p, box)
    if (kind & LANE) != 0 and mask != 0:
        flags.lanes_touched += 1
        if mask == ALL_CORNERS:
            flags.in_one_lane = 1
    if (kind & DRIVABLE) != 0:
        flags.drivable_corners = flags.drivable_corners | mask
    if (kind & ROUTE) != 0 and flags.on_route == 0:
        if contains(area, p, box[0], box[1]):
            flags.on_route = 1
    if (kind & INTERSECTION) != 0:
        if contains(area, p, box[0], box[1]):
            flags.center_in_intersection = 1
        if contains(area, p, box[0] - REAR_AXLE_TO_CENTER * box[2], box[1] - REAR_AXLE_TO_CENTER * box[3]):
            flags.rear_axle_in_intersection = 1
    return flags


@wp.func
def ego_areas(area: MapArrays, scene: int, box: wp.vec4d) -> AreaFlags:
    """Visit every polygon near the box: those of its grid cell, or all where it stands outside the grid."""
    flags = AreaFlags()
    half_extent = ego_half_extent(box)
    if wp.abs(box[0]) < GRID_M and wp.abs(box[1]) < GRID_M:
        column = wp.clamp(int(wp.floor((box[0] + GRID_M) / CELL_M)), 0, CELLS - 1)
        row = wp.clamp(int(wp.floor((box[1] + GRID_M) / CELL_M)), 0, CELLS - 1)
        cell = (scene * CELLS + row) * CELLS + column
        for i in range(area.cell_start[cell], area.cell_start[cell + 1]):
            flags = visit_polygon(area, area.cell_polygon[i], box, half_extent, flags)
    else:
        for p in range(area.polygon_range[scene], area.polygon_range[scene + 1]):
            flags = visit_polygon(area, p, box, half_extent, flags)
    return flags


@wp.func
def cells_of(low: wp.float64, high: wp.float64) -> wp.vec2i:
    """First and last grid cell (along one axis) whose centred ego boxes could reach [low, high]; empty if first > last."""
    radius = wp.length(wp.vec2d(HALF_LENGTH, HALF_WIDTH)) + wp.float64(1e-3)
    if high + radius < -GRID_M or low - radius > GRID_M:
        return wp.vec2i(0, -1)
    first = wp.clamp(int(wp.floor((low - radius + GRID_M) / CELL_M)), 0, CELLS - 1)
    last = wp.clamp(int(wp.floor((high + radius + GRID_M) / CELL_M)), 0, CELLS - 1)
    return wp.vec2i(first, last)


@wp.kernel
def count_cell_polygons(area: MapArrays, counts: wp.array(dtype=wp.int32)):
    """One polygon a thread (of a single scene): count it in every grid cell that it may concern."""
    p = wp.tid()
    columns = cells_of(area.box[p][0], area.box[p][2])
    rows = cells_of(area.box[p][1], area.box[p][3])
    for row in range(rows[0], rows[1] + 1):
        for column in range(columns[0], columns[1] + 1):
            wp.atomic_add(counts, row * CELLS + column, 1)


@wp.kernel
def fill_cells(area: MapArrays, cursor: wp.array(dtype=wp.int32)):
    """One polygon a thread (of a single scene): enter it in every grid cell that it may concern."""
    p = wp.tid()
    columns = cells_of(area.box[p][0], area.box[p][2])
    rows = cells_of(area.box[p][1], area.box[p][3])
    for row in range(rows[0], rows[1] + 1):
        for column in range(columns[0], columns[1] + 1):
            area.cell_polygon[wp.atomic_add(cursor, row * CELLS + column, 1)] = p
