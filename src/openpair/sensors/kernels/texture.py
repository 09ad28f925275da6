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
    all levels) RGB 5-6-5; texel_m: size of a texel of the finest level; far_color: where no tile is, RGB 5-6-5.
    """

    origin: wp.vec2
    axis: wp.vec2
    grid: wp.array2d(dtype=wp.int32)
    texels: wp.array2d(dtype=wp.uint16)
    texel_m: wp.float32
    far_color: wp.int32


@wp.func
def texel(ground: Ground, ix: int, iy: int, bits: int, offset: int) -> int:
    """RGB 5-6-5 of a texel of the whole grid at the level where a tile has 2 ** bits of them a side.

    offset: where the level begins in a tile's row of texels.
    """
    tx = ix >> bits
    ty = iy >> bits
    if ix < 0 or iy < 0 or tx >= ground.grid.shape[1] or ty >= ground.grid.shape[0]:
        return ground.far_color
    slot = ground.grid[ty, tx]
    if slot < 0:
        return ground.far_color
    mask = (1 << bits) - 1
    return int(ground.texels[slot, offset + ((iy & mask) << bits) + (ix & mask)])


@wp.func
def unpacked(c: int) -> wp.vec3:
    """RGB 5-6-5 -> colour."""
    return wp.vec3(float(c >> 11) * (1.0 / 31.0), float((c >> 5) & 63) * (1.0 / 63.0), float(c & 31) * (1.0 / 31.0))


@wp.func
def ground_color(ground: Ground, x: float, y: float, along: wp.vec2, footprint: float, reach: float) -> wp.vec3:
    """Ground colour at (x, y) [m] of the ego frame, averaged over a pixel's footprint.

    The footprint of a pixel is long along the line of sight (``reach`` m, unit vector ``along``) and narrow across it
    (``footprint`` m): up to four samples along it keep distant lane lines sharp.
    """
    n = wp.clamp(int(reach / wp.max(footprint, ground.texel_m) * 0.5 + 0.5), 1, 4)
    share = 1.0 / float(n)
    wanted = wp.max(footprint, 0.5 * reach * share)
    bits = int(TEXTURE_BITS)
    offset = int(0)
    size = ground.texel_m
    while bits > TEXTURE_BITS - TEXTURE_LEVELS + 1 and wanted > 1.5 * size:
        offset += 1 << (2 * bits)
        size = size * 2.0
        bits -= 1
    per_m = 1.0 / size
    gx = (ground.origin[0] + ground.axis[0] * x - ground.axis[1] * y) * per_m
    gy = (ground.origin[1] + ground.axis[1] * x + ground.axis[0] * y) * per_m
    if n == 1:
        fx = wp.floor(gx - 0.5)
        fy = wp.floor(gy - 0.5)
        ax = gx - 0.5 - fx
        ay = gy - 0.5 - fy
        ix = int(fx)
        iy = int(fy)
        low = unpacked(texel(ground, ix, iy, bits, offset)) * (1.0 - ax)
        low += unpacked(texel(ground, ix + 1, iy, bits, offset)) * ax
        top = unpacked(texel(ground, ix, iy + 1, bits, offset)) * (1.0 - ax)
        top += unpacked(texel(ground, ix + 1, iy + 1, bits, offset)) * ax
        return low * (1.0 - ay) + top * ay
    step = reach * share * per_m
    step_x = (ground.axis[0] * along[0] - ground.axis[1] * along[1]) * step
    step_y = (ground.axis[1] * along[0] + ground.axis[0] * along[1]) * step
    gx -= 0.5 * float(n - 1) * step_x
    gy -= 0.5 * float(n - 1) * step_y
    red = int(0)
    green = int(0)
    blue = int(0)
    for _i in range(n):
        c = texel(ground, int(wp.floor(gx)), int(wp.floor(gy)), bits, offset)
        red += c >> 11
        green += (c >> 5) & 63
        blue += c & 31
        gx += step_x
        gy += step_y
    return wp.vec3(float(red) * (share / 31.0), float(green) * (share / 63.0), float(blue) * (share / 31.0))


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
