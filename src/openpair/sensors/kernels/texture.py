# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles this file: in kernels int() and float() declare variables, branches are spelled out, and annotations are
# read at run time, so that ``from __future__ import annotations`` must not stand here.
"""The textured ground and the sky."""

import warp as wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

TEXTURE_BITS = wp.constant(9)
"""A ground tile has 2 ** TEXTURE_BITS texels on each side at its finest level."""
TEXTURE_LEVELS = wp.constant(5)


@wp.struct
class Ground:
    """Textured ground around the ego.

    origin, axis: ego pose in the frame of the tile grid [m]; grid: slot of each tile or -1; texels: (slots, texels of
    all levels) RGB 5-6-5; texel_m: size of a texel of the finest level; far_color: where no tile is.
    """

    origin: wp.vec2
    axis: wp.vec2
    grid: wp.array2d(dtype=wp.int32)
    texels: wp.array2d(dtype=wp.uint16)
    texel_m: wp.float32
    far_color: wp.vec3


@wp.func
def texel(ground: Ground, ix: int, iy: int, level: int, offset: int) -> wp.vec3:
    """Colour of a texel of the whole grid at a level (0 finest), whose texels begin at ``offset`` in a tile's row."""
    bits = TEXTURE_BITS - level
    tx = ix >> bits
    ty = iy >> bits
    if ix < 0 or iy < 0 or tx >= ground.grid.shape[1] or ty >= ground.grid.shape[0]:
        return ground.far_color
    slot = ground.grid[ty, tx]
    if slot < 0:
        return ground.far_color
    mask = (1 << bits) - 1
    c = int(ground.texels[slot, offset + ((iy & mask) << bits) + (ix & mask)])
    return wp.vec3(float(c >> 11) * (1.0 / 31.0), float((c >> 5) & 63) * (1.0 / 63.0), float(c & 31) * (1.0 / 31.0))


@wp.func
def ground_color(ground: Ground, x: float, y: float, along: wp.vec2, footprint: float, reach: float) -> wp.vec3:
    """Ground colour at (x, y) [m] of the ego frame, averaged over a pixel's footprint.

    The footprint of a pixel is long along the line of sight (``reach`` m, unit vector ``along``) and narrow across it
    (``footprint`` m): up to four samples along it keep distant lane lines sharp.
    """
    n = wp.clamp(int(reach / wp.max(footprint, ground.texel_m) * 0.5 + 0.5), 1, 4)
    wanted = wp.max(footprint, 0.5 * reach / float(n))
    level = int(0)
    offset = int(0)
    size = ground.texel_m
    while level < TEXTURE_LEVELS - 1 and wanted > 1.5 * size:
        offset += 1 << (2 * (TEXTURE_BITS - level))
        size = size * 2.0
        level += 1
    per_m = 1.0 / size
    total = wp.vec3(0.0, 0.0, 0.0)
    for i in range(n):
        shift = ((float(i) + 0.5) / float(n) - 0.5) * reach
        px = x + shift * along[0]
        py = y + shift * along[1]
        gx = (ground.origin[0] + ground.axis[0] * px - ground.axis[1] * py) * per_m
        gy = (ground.origin[1] + ground.axis[1] * px + ground.axis[0] * py) * per_m
        if n == 1:
            fx = wp.floor(gx - 0.5)
            fy = wp.floor(gy - 0.5)
            ax = gx - 0.5 - fx
            ay = gy - 0.5 - fy
            ix = int(fx)
            iy = int(fy)
            low = texel(ground, ix, iy, level, offset)
            low += (texel(ground, ix + 1, iy, level, offset) - low) * ax
            top = texel(ground, ix, iy + 1, level, offset)
            top += (texel(ground, ix + 1, iy + 1, level, offset) - top) * ax
            total = low + (top - low) * ay
        else:
            total += texel(ground, int(wp.floor(gx)), int(wp.floor(gy)), level, offset)
    return total / float(n)


@wp.func
def sky_color(direction: wp.vec3, sun: wp.vec3) -> wp.vec3:
    """Clear sky, pale at the horizon and around the sun. ``direction`` is a unit vector."""
    up = wp.clamp(direction[2], 0.0, 1.0)
    blend = 1.0 - (1.0 - up) * (1.0 - up) * (1.0 - up)
    base = wp.vec3(0.80, 0.86, 0.91) * (1.0 - blend) + wp.vec3(0.36, 0.55, 0.82) * blend
    glow = wp.max(wp.dot(direction, sun), 0.0)
    glow = glow * glow
    glow = glow * glow
    return base + wp.vec3(0.10, 0.09, 0.06) * glow * glow
