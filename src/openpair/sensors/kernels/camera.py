# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles this file: in kernels int() and float() declare variables, branches are spelled out, and annotations are
# read at run time, so that ``from __future__ import annotations`` must not stand here.
"""Cameras: one thread a pixel.

Everything is in the ego rear-axle frame of the rendered instant, float32; distances below 200 m keep that exact to
far less than a texel. Camera rays are scaled to an optical depth of 1, so the ray parameter of a hit *is* its depth.
"""

import warp as wp

from openpair.sensors.kernels.materials import shade, shadow
from openpair.sensors.kernels.shapes import GROUND_SHADOW, MISS, Primitive, hit
from openpair.sensors.kernels.texture import Ground, ground_color, sky_color

wp.set_module_options({"enable_backward": False, "fast_math": True})

SKY = wp.constant(-1)
GROUND = wp.constant(-2)
TILE_PX = wp.constant(16)
"""Side of a screen tile; each tile keeps its own list of primitives, nearest first."""
HAZE_M = wp.constant(260.0)
"""Distance after which 1/e of an object's own colour is left."""


@wp.struct
class View:
    """A pinhole view: ray of pixel (row, col) = forward + (col * step_u + first_u) right + (...) down.

    The rays start at ``origin``; right, down, forward are unit vectors. ``column`` is where the view's first column
    lies in the output image. sun: unit vector to the sun.
    """

    origin: wp.vec3
    right: wp.vec3
    down: wp.vec3
    forward: wp.vec3
    first_u: wp.float32
    first_v: wp.float32
    step_u: wp.float32
    step_v: wp.float32
    width: wp.int32
    height: wp.int32
    column: wp.int32
    sun: wp.vec3


@wp.func
def outside(box: wp.vec4, row: float, col: float) -> bool:
    """True if a pixel lies outside a rectangle (left, top, right, bottom)."""
    return col < box[0] or col > box[2] or row < box[1] or row > box[3]


@wp.func
def trace(
    origin: wp.vec3,
    direction: wp.vec3,
    pixel: float,
    sun: wp.vec3,
    primitives: wp.array(dtype=Primitive),
    near: wp.array(dtype=wp.float32),
    boxes: wp.array(dtype=wp.vec4),
    members: wp.array2d(dtype=wp.int32),
    tile: int,
    count: int,
    ground: Ground,
    row: float,
    col: float,
):
    """Colour, depth (MISS for the sky) and what was hit (index of the primitive, GROUND or SKY) of one ray."""
    best = float(MISS)
    winner = int(SKY)
    if direction[2] < -1.0e-6:
        best = -origin[2] / direction[2]
        winner = GROUND
    for k in range(count):
        index = members[tile, k]
        if near[index] > best:
            break
        if outside(boxes[index], row, col):
            continue
        t = hit(primitives[index], origin, direction)
        if t < best:
            best = t
            winner = index
    length = wp.length(direction)
    if winner == SKY:
        return sky_color(direction / length, sun), MISS, winner
    color = wp.vec3(0.0, 0.0, 0.0)
    if winner == GROUND:
        flat = wp.max(wp.sqrt(direction[0] * direction[0] + direction[1] * direction[1]), 1.0e-6)
        along = wp.vec2(direction[0] / flat, direction[1] / flat)
        footprint = best * pixel
        reach = wp.min(footprint * length * best / origin[2], 40.0)
        x = origin[0] + best * direction[0]
        y = origin[1] + best * direction[1]
        color = ground_color(ground, x, y, along, footprint, reach)
        for k in range(count):
            index = members[tile, k]
            if near[index] > best:
                break
            if not outside(boxes[index], row, col) and primitives[index].shape == GROUND_SHADOW:
                color = color * shadow(primitives[index], x, y)
    else:
        color = shade(primitives[winner], origin, direction, best, pixel, sun)
    thick = best * length / HAZE_M
    haze = 1.0 - 1.0 / (1.0 + thick + 0.5 * thick * thick)  # close to 1 - exp(-thick), and cheaper
    return color * (1.0 - haze) + wp.vec3(0.78, 0.84, 0.89) * haze, best, winner


@wp.func
def ray(view: View, row: float, col: float) -> wp.vec3:
    """Direction of a ray, scaled to an optical depth of 1; whole numbers are the centres of pixels."""
    u = view.first_u + col * view.step_u
    v = view.first_v + row * view.step_v
    return view.forward + view.right * u + view.down * v


@wp.func
def to_byte(value: float) -> wp.uint8:
    return wp.uint8(int(wp.clamp(value, 0.0, 1.0) * 255.0 + 0.5))


@wp.kernel
def render_view(
    view: View,
    primitives: wp.array(dtype=Primitive),
    near: wp.array(dtype=wp.float32),
    boxes: wp.array(dtype=wp.vec4),
    members: wp.array2d(dtype=wp.int32),
    counts: wp.array(dtype=wp.int32),
    ground: Ground,
    rgb: wp.array3d(dtype=wp.uint8),
    depth: wp.array2d(dtype=wp.float32),
    seen: wp.array2d(dtype=wp.int32),
):
    """One ray through the centre of each pixel -> colour, depth [m], what was hit."""
    row, col = wp.tid()
    tile = (row / TILE_PX) * ((view.width + TILE_PX - 1) / TILE_PX) + col / TILE_PX
    direction = ray(view, float(row), float(col))
    color, t, winner = trace(
        view.origin, direction, view.step_u, view.sun, primitives, near, boxes, members, tile, counts[tile], ground,
        float(row), float(col),
    )  # fmt: skip
    out = col + view.column
    for c in range(3):
        rgb[row, out, c] = to_byte(color[c])
    depth[row, out] = t
    seen[row, out] = winner


@wp.kernel
def smooth_edges(
    view: View,
    primitives: wp.array(dtype=Primitive),
    near: wp.array(dtype=wp.float32),
    boxes: wp.array(dtype=wp.vec4),
    members: wp.array2d(dtype=wp.int32),
    counts: wp.array(dtype=wp.int32),
    ground: Ground,
    seen: wp.array2d(dtype=wp.int32),
    rgb: wp.array3d(dtype=wp.uint8),
):
    """Three more rays for pixels on the edge of an object."""
    row, col = wp.tid()
    out = col + view.column
    me = seen[row, out]
    edge = bool(False)
    if col > 0 and seen[row, out - 1] != me:
        edge = True
    if col < view.width - 1 and seen[row, out + 1] != me:
        edge = True
    if row > 0 and seen[row - 1, out] != me:
        edge = True
    if row < view.height - 1 and seen[row + 1, out] != me:
        edge = True
    if not edge:
        return
    tile = (row / TILE_PX) * ((view.width + TILE_PX - 1) / TILE_PX) + col / TILE_PX
    total = wp.vec3(float(rgb[row, out, 0]), float(rgb[row, out, 1]), float(rgb[row, out, 2])) / 255.0
    for i in range(3):  # three more rays around the first one
        angle = (float(i) + 0.25) * 2.0 * wp.pi / 3.0
        dx = 0.36 * wp.cos(angle)
        dy = 0.36 * wp.sin(angle)
        direction = ray(view, float(row) + dy, float(col) + dx)
        color, _t, _winner = trace(
            view.origin, direction, view.step_u, view.sun, primitives, near, boxes, members, tile, counts[tile], ground,
            float(row) + dy, float(col) + dx,
        )  # fmt: skip
        total += wp.vec3(wp.min(color[0], 1.0), wp.min(color[1], 1.0), wp.min(color[2], 1.0))
    for c in range(3):
        rgb[row, out, c] = to_byte(total[c] * 0.25)


@wp.kernel
def bin_rectangles(
    boxes: wp.array(dtype=wp.vec4),
    order: wp.array(dtype=wp.int32),
    tiles_wide: int,
    members: wp.array2d(dtype=wp.int32),
    counts: wp.array(dtype=wp.int32),
):
    """Lists, for every screen tile, the primitives whose rectangle (left, top, right, bottom) [px] meets it."""
    tile = wp.tid()
    left = float((tile % tiles_wide) * TILE_PX) - 0.5
    top = float((tile / tiles_wide) * TILE_PX) - 0.5
    right = left + float(TILE_PX)
    bottom = top + float(TILE_PX)
    n = int(0)
    for k in range(order.shape[0]):
        i = order[k]
        box = boxes[i]
        if box[0] <= right and box[2] >= left and box[1] <= bottom and box[3] >= top:
            members[tile, n] = i
            n += 1
    counts[tile] = n
