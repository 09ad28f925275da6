# mypy: ignore-errors
# ruff: noqa: UP018
# Warp compiles this file: in kernels int() and float() declare variables, branches are spelled out, and annotations are
# read at run time, so that ``from __future__ import annotations`` must not stand here.
"""Solids, and where rays meet them."""

import warp as wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

# Shapes
TAPERED_BOX = wp.constant(0)
ELLIPSOID = wp.constant(1)
GROUND_SHADOW = wp.constant(2)

# Materials
PLAIN = wp.constant(0)
VEHICLE_BODY = wp.constant(1)
VEHICLE_GLASS = wp.constant(2)
LARGE_VEHICLE = wp.constant(3)
FACADE = wp.constant(4)
FOLIAGE = wp.constant(5)
SIGNAL_HEAD = wp.constant(6)
STRIPES = wp.constant(7)

MISS = wp.constant(1.0e9)
"""Ray parameter of a ray that meets nothing."""


@wp.struct
class Primitive:
    """A solid that stands upright.

    center: of the bounding box [m]; half: half extents [m]; axis: cosine and sine of its yaw; taper: how far each side
    leans inwards per metre of height (boxes); color: 0..1; seed: 0..1, varies textures; state: meaning by material.
    """

    center: wp.vec3
    half: wp.vec3
    axis: wp.vec2
    taper: wp.vec2
    color: wp.vec3
    seed: wp.float32
    state: wp.float32
    shape: wp.int32
    material: wp.int32


@wp.func
def to_local(p: Primitive, v: wp.vec3) -> wp.vec3:
    """A vector turned into the axes of the primitive."""
    return wp.vec3(p.axis[0] * v[0] + p.axis[1] * v[1], p.axis[0] * v[1] - p.axis[1] * v[0], v[2])


@wp.func
def hit_tapered_box(p: Primitive, o: wp.vec3, d: wp.vec3) -> float:
    """Ray parameter of the first hit from outside, MISS if there is none. ``o``, ``d`` in the primitive's axes."""
    near = float(-1.0e9)
    far = float(1.0e9)
    # top and bottom
    if wp.abs(d[2]) > 1.0e-9:
        inv = 1.0 / d[2]
        a = (-p.half[2] - o[2]) * inv
        b = (p.half[2] - o[2]) * inv
        near = wp.min(a, b)
        far = wp.max(a, b)
    elif wp.abs(o[2]) > p.half[2]:
        return MISS
    rise = o[2] + p.half[2]
    for axis in range(2):
        for side in range(2):
            sign = 1.0 - 2.0 * float(side)
            # inside where sign * q + taper * height <= half
            slope = sign * d[axis] + p.taper[axis] * d[2]
            gap = p.half[axis] - sign * o[axis] - p.taper[axis] * rise
            if wp.abs(slope) > 1.0e-9:
                t = gap / slope
                if slope > 0.0:
                    far = wp.min(far, t)
                else:
                    near = wp.max(near, t)
            elif gap < 0.0:
                return MISS
    if near > far or near <= 0.0:
        return MISS
    return near


@wp.func
def hit_ellipsoid(p: Primitive, o: wp.vec3, d: wp.vec3) -> float:
    so = wp.cw_div(o, p.half)
    sd = wp.cw_div(d, p.half)
    a = wp.dot(sd, sd)
    b = wp.dot(so, sd)
    c = wp.dot(so, so) - 1.0
    disc = b * b - a * c
    if disc < 0.0:
        return MISS
    t = (-b - wp.sqrt(disc)) / a
    if t <= 0.0:
        return MISS
    return t


@wp.func
def hit(p: Primitive, origin: wp.vec3, direction: wp.vec3) -> float:
    """Ray parameter of the first hit; MISS for shadows, which are part of the ground."""
    if p.shape == GROUND_SHADOW:
        return MISS
    o = to_local(p, origin - p.center)
    d = to_local(p, direction)
    if p.shape == ELLIPSOID:
        return hit_ellipsoid(p, o, d)
    return hit_tapered_box(p, o, d)


@wp.func
def box_normal(p: Primitive, q: wp.vec3) -> wp.vec3:
    """Outward normal in the primitive's axes of the face nearest to the surface point ``q``."""
    rise = q[2] + p.half[2]
    best = p.half[2] - wp.abs(q[2])
    n = wp.vec3(0.0, 0.0, wp.sign(q[2]))
    sx = p.half[0] - p.taper[0] * rise - wp.abs(q[0])
    if sx < best:
        best = sx
        n = wp.normalize(wp.vec3(wp.sign(q[0]), 0.0, p.taper[0]))
    sy = p.half[1] - p.taper[1] * rise - wp.abs(q[1])
    if sy < best:
        n = wp.normalize(wp.vec3(0.0, wp.sign(q[1]), p.taper[1]))
    return n
