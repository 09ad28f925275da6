# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
# ruff: noqa: RUF046, UP018, SIM102
"""Where the ego box stands: across lanes, off the road, in oncoming lanes, in an intersection, on a red connector.

DAC, and the at-fault rules of NC and TTC, rest on these flags.
"""

from enum import IntEnum

import warp as wp

from openpair.datatypes import vehicle
from openpair.geometry.warp_runtime import MODULE_OPTIONS
from openpair.scoring.arrays import LightArrays, MapArrays
from openpair.scoring.boxes import segment_touches_box
from openpair.scoring.polygons import contains

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

CORNERS = wp.constant(15)
"""What ``ego_areas`` gathers: in bits 0 .. 3 the corners on drivable ground, and the flags that follow."""
IN_LANE = wp.constant(64)
IN_TWO_LANES = wp.constant(128)
"""Corners lie in a lane, in more than one. Only gathered while no lane holds the whole box."""
IN_ONE_LANE = wp.constant(256)
"""A lane holds the whole box."""
ON_ROUTE = wp.constant(512)
"""A lane of the route holds the centre."""
CENTER_CROSSING = wp.constant(1024)
REAR_AXLE_CROSSING = wp.constant(2048)
"""An intersection holds the centre, the rear axle."""


@wp.func
def ego_half_extent(box: wp.vec4d) -> wp.vec2d:
    """Half size [m] of the axis-aligned bounds of the ego box."""
    c = wp.abs(box[2])
    s = wp.abs(box[3])
    return wp.vec2d(HALF_LENGTH * c + HALF_WIDTH * s, HALF_LENGTH * s + HALF_WIDTH * c)


@wp.func
def touches_polygon(edges: wp.array(dtype=wp.vec4d), first: int, last: int, box: wp.vec4d) -> bool:
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


@wp.func
def bounds_overlap(bounds: wp.vec4d, box: wp.vec4d, half_extent: wp.vec2d) -> bool:
    """Do a polygon's bounds overlap those of the ego box?"""
    return (
        box[0] + half_extent[0] > bounds[0]
        and box[1] + half_extent[1] > bounds[1]
        and box[0] - half_extent[0] < bounds[2]
        and box[1] - half_extent[1] < bounds[3]
    )


@wp.func
def corners_inside(area: MapArrays, p: int, box: wp.vec4d) -> int:
    """Bits of CORNERS: front left, rear left, rear right, front right corner strictly inside polygon p."""
    along_x = HALF_LENGTH * box[2]
    along_y = HALF_LENGTH * box[3]
    left_x = -HALF_WIDTH * box[3]
    left_y = HALF_WIDTH * box[2]
    inside = int(0)
    if contains(area, p, box[0] + along_x + left_x, box[1] + along_y + left_y):
        inside = 1
    if contains(area, p, box[0] - along_x + left_x, box[1] - along_y + left_y):
        inside = inside | 2
    if contains(area, p, box[0] - along_x - left_x, box[1] - along_y - left_y):
        inside = inside | 4
    if contains(area, p, box[0] + along_x - left_x, box[1] + along_y - left_y):
        inside = inside | 8
    return inside


@wp.func
def visit_polygon(area: MapArrays, p: int, box: wp.vec4d, known: int) -> int:
    """What is known of the ego box once polygon p was looked at."""
    kind = area.kind[p]
    corners = int(0)
    if ((kind & LANE) != 0 and (known & IN_ONE_LANE) == 0) or ((kind & DRIVABLE) != 0 and (known & CORNERS) != CORNERS):
        corners = corners_inside(area, p, box)
    if (kind & LANE) != 0 and corners != 0:
        if (known & IN_LANE) != 0:
            known = known | IN_TWO_LANES
        known = known | IN_LANE
        if corners == CORNERS:
            known = known | IN_ONE_LANE
    if (kind & DRIVABLE) != 0:
        known = known | corners
    wants_center = (kind & INTERSECTION) != 0 or ((kind & ROUTE) != 0 and (known & ON_ROUTE) == 0)
    if wants_center:
        if contains(area, p, box[0], box[1]):
            if (kind & ROUTE) != 0:
                known = known | ON_ROUTE
            if (kind & INTERSECTION) != 0:
                known = known | CENTER_CROSSING
    if (kind & INTERSECTION) != 0:
        if contains(area, p, box[0] - REAR_AXLE_TO_CENTER * box[2], box[1] - REAR_AXLE_TO_CENTER * box[3]):
            known = known | REAR_AXLE_CROSSING
    return known


@wp.func
def ego_areas(area: MapArrays, scene: int, box: wp.vec4d) -> int:
    """What is known of an ego box (bits above) after every polygon near it was visited: those of its grid cell, or
    all where it stands outside the grid.

    Polygons are visited in one place and what is known fits one integer, so that the compiler can build the calls in
    instead of copying arrays and structs.
    """
    known = int(0)
    half_extent = ego_half_extent(box)
    in_grid = wp.abs(box[0]) < GRID_M and wp.abs(box[1]) < GRID_M
    first = area.polygon_range[scene]
    last = area.polygon_range[scene + 1]
    if in_grid:
        column = wp.clamp(int(wp.floor((box[0] + GRID_M) / CELL_M)), 0, CELLS - 1)
        row = wp.clamp(int(wp.floor((box[1] + GRID_M) / CELL_M)), 0, CELLS - 1)
        cell = (scene * CELLS + row) * CELLS + column
        first = area.cell_start[cell]
        last = area.cell_start[cell + 1]
    for i in range(first, last):
        p = i
        if in_grid:
            p = area.cell_polygon[i]
        if bounds_overlap(area.box[p], box, half_extent):
            known = visit_polygon(area, p, box, known)
    return known


@wp.func
def cells_of(low: wp.float64, high: wp.float64) -> wp.vec2i:
    """First and last grid cell along one axis whose centred ego boxes could reach [low, high]; first > last: none."""
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
