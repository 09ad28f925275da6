# mypy: ignore-errors
# ruff: noqa: UP018, RUF046, SIM108
# Warp compiles this file: in kernels int() and float() declare variables, branches are spelled out, and annotations are
# read at run time, so that ``from __future__ import annotations`` must not stand here.
"""What surfaces look like: paint and lamps of vehicles, facades, foliage, traffic lights; lit by sun and sky."""

import warp as wp

from openpair.sensors.kernels.shapes import (
    ELLIPSOID,
    FACADE,
    FOLIAGE,
    LARGE_VEHICLE,
    SIGNAL_HEAD,
    STRIPES,
    VEHICLE_BODY,
    VEHICLE_GLASS,
    Primitive,
    box_normal,
    to_local,
)

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.func
def hash01(a: int, b: int) -> float:
    """A number in [0, 1) that looks random, from two whole numbers."""
    h = wp.uint32(a) * wp.uint32(73856093) + wp.uint32(b) * wp.uint32(19349663)
    h = (h ^ (h >> wp.uint32(15))) * wp.uint32(83492791)
    h = h ^ (h >> wp.uint32(13))
    return float(h & wp.uint32(65535)) / 65536.0


@wp.func
def vehicle_body_color(p: Primitive, q: wp.vec3, n: wp.vec3) -> wp.vec3:
    """Paint, wheels, lamps. ``q`` is the surface point in the primitive's axes; state > 0.5: brake lights on."""
    height = q[2] + p.half[2]
    if wp.abs(n[1]) > 0.7:
        wheel = wp.abs(wp.abs(q[0]) - 0.6 * p.half[0])
        r2 = wheel * wheel + (height - 0.20) * (height - 0.20)
        if r2 < 0.16 * 0.16:
            return wp.vec3(0.45, 0.45, 0.47)
        if r2 < 0.33 * 0.33:
            return wp.vec3(0.05, 0.05, 0.05)
        if height < 0.12:
            return wp.vec3(0.08, 0.08, 0.08)
        return p.color
    if wp.abs(n[0]) > 0.7:
        lateral = wp.abs(q[1]) / p.half[1]
        level = height / (2.0 * p.half[2])
        if level > 0.55 and level < 0.92 and lateral > 0.58:
            if n[0] > 0.0:
                return wp.vec3(0.95, 0.95, 0.88)
            if p.state > 0.5:
                return wp.vec3(1.6, 0.12, 0.08)
            return wp.vec3(0.42, 0.03, 0.03)
        if level > 0.25 and level < 0.5 and lateral < 0.25:
            return wp.vec3(0.85, 0.85, 0.80)
        if level < 0.2:
            return wp.vec3(0.10, 0.10, 0.10)
    return p.color


@wp.func
def large_vehicle_color(p: Primitive, q: wp.vec3, n: wp.vec3) -> wp.vec3:
    """Bus or truck: windscreen, window band, wheels, lamps."""
    height = q[2] + p.half[2]
    level = height / (2.0 * p.half[2])
    glass = wp.vec3(0.12, 0.15, 0.19)
    if wp.abs(n[1]) > 0.7:
        wheel = wp.abs(wp.abs(q[0]) - 0.62 * p.half[0])
        r2 = wheel * wheel + (height - 0.30) * (height - 0.30)
        if r2 < 0.48 * 0.48:
            return wp.vec3(0.06, 0.06, 0.06)
        if level > 0.52 and level < 0.82:
            window = q[0] / 1.5 - wp.floor(q[0] / 1.5)
            if (p.seed > 0.5 and window > 0.1) or q[0] > p.half[0] - 1.6:
                return glass
        if level < 0.1:
            return wp.vec3(0.08, 0.08, 0.08)
        return p.color
    if wp.abs(n[0]) > 0.7:
        lateral = wp.abs(q[1]) / p.half[1]
        if n[0] > 0.0 and level > 0.4 and level < 0.85 and lateral < 0.9:
            return glass
        if n[0] < 0.0 and level > 0.34 and level < 0.95:
            if p.seed > 0.5:
                if level > 0.55 and level < 0.85 and lateral < 0.82:
                    return glass
            elif lateral < 0.03 or wp.abs(lateral - 0.92) < 0.02:
                return p.color * 0.55
        if level < 0.13:
            return wp.vec3(0.12, 0.12, 0.12)
        if level > 0.16 and level < 0.28 and lateral > 0.65:
            if n[0] > 0.0:
                return wp.vec3(0.95, 0.95, 0.88)
            if p.state > 0.5:
                return wp.vec3(1.6, 0.12, 0.08)
            return wp.vec3(0.42, 0.03, 0.03)
    return p.color


@wp.func
def facade_color(p: Primitive, q: wp.vec3, n: wp.vec3, footprint: float) -> wp.vec3:
    """Walls with rows of windows, a darker base, a pale cornice; flat roofs."""
    if wp.abs(n[2]) > 0.9:
        return wp.vec3(0.45, 0.44, 0.43)
    height = q[2] + p.half[2]
    u = q[0] + p.half[0]
    side = int(0)
    if wp.abs(n[0]) > 0.7:
        u = q[1] + p.half[1]
        side = 1
    storey = 3.1 + 0.5 * p.seed
    bay = 2.4 + 1.6 * (7.0 * p.seed - wp.floor(7.0 * p.seed))
    i = int(u / bay)
    j = int(height / storey)
    fu = u / bay - float(i)
    fv = height / storey - float(j)
    if height > 2.0 * p.half[2] - 0.45:
        return p.color * 1.12
    wall = p.color
    if height < 0.6:
        wall = p.color * 0.7
    inside = fu > 0.22 and fu < 0.78 and fv > 0.26 and fv < 0.82
    if j == 0:
        inside = fu > 0.12 and fu < 0.88 and fv > 0.12 and fv < 0.80
    r = hash01(i * 7 + j * 131 + side * 977, int(p.seed * 60000.0))
    glass = wp.vec3(0.20, 0.25, 0.32) * (0.6 + 0.8 * r)
    fade = wp.clamp(1.6 - footprint / (0.4 * bay), 0.0, 1.0)
    if inside:
        return glass * fade + (wall * 0.65 + glass * 0.35) * (1.0 - fade)
    return wall * fade + (wall * 0.65 + glass * 0.35) * (1.0 - fade)


@wp.func
def signal_color(p: Primitive, q: wp.vec3, n: wp.vec3) -> wp.vec3:
    """Three lamps on the face that looks along +x. state: 0 dark, 1 red, 2 green."""
    if n[0] < 0.7:
        return wp.vec3(0.09, 0.09, 0.08)
    for lamp in range(3):
        dz = q[2] - (1.0 - float(lamp)) * p.half[2] * 0.62
        r2 = (q[1] * q[1] + dz * dz) / (p.half[1] * p.half[1])
        if r2 < 0.70:
            if lamp == 0 and p.state > 0.5 and p.state < 1.5:
                return wp.vec3(1.5, 0.16, 0.12)
            if lamp == 2 and p.state > 1.5:
                return wp.vec3(0.12, 1.4, 0.45)
            return wp.vec3(0.16, 0.15, 0.13)
    return wp.vec3(0.05, 0.05, 0.05)


@wp.func
def shade(p: Primitive, origin: wp.vec3, direction: wp.vec3, t: float, pixel: float, sun: wp.vec3) -> wp.vec3:
    """Colour of a primitive at ray parameter ``t``, lit by sun and sky. ``pixel``: width of a pixel at depth 1."""
    local_origin = to_local(p, origin - p.center)
    q = local_origin + to_local(p, direction) * t
    if p.shape == ELLIPSOID:
        n = wp.normalize(wp.cw_div(wp.cw_div(q, p.half), p.half))
    else:
        n = box_normal(p, q)
    base = p.color
    lit = float(1.0)
    if p.material == VEHICLE_BODY:
        base = vehicle_body_color(p, q, n)
    elif p.material == VEHICLE_GLASS:
        if n[2] < 0.9:
            base = wp.vec3(0.10, 0.13, 0.17) + wp.vec3(0.10, 0.12, 0.15) * wp.max(n[2], 0.0)
            pillar = wp.abs(q[0]) / p.half[0]
            if wp.abs(n[1]) > 0.7 and (pillar < 0.04 or q[2] > 0.75 * p.half[2]):
                base = p.color
    elif p.material == LARGE_VEHICLE:
        base = large_vehicle_color(p, q, n)
    elif p.material == FACADE:
        base = facade_color(p, q, n, pixel * t)
    elif p.material == FOLIAGE:
        r = hash01(int(wp.floor(q[0] * 4.0)) + 91 * int(wp.floor(q[2] * 4.0)), int(wp.floor(q[1] * 4.0)))
        fade = wp.clamp(1.5 - pixel * t * 4.0, 0.0, 1.0)
        base = p.color * (1.0 + (r - 0.5) * 0.5 * fade)
    elif p.material == SIGNAL_HEAD:
        base = signal_color(p, q, n)
        if base[0] + base[1] > 1.0:
            lit = 0.0
    elif p.material == STRIPES:
        band = q[2] * p.state - wp.floor(q[2] * p.state)
        if band > 0.5:
            base = wp.vec3(0.92, 0.92, 0.90)
    world_n = wp.vec3(p.axis[0] * n[0] - p.axis[1] * n[1], p.axis[1] * n[0] + p.axis[0] * n[1], n[2])
    light = 0.46 + 0.16 * world_n[2] + 0.52 * wp.max(wp.dot(world_n, sun), 0.0)
    return base * (1.0 + lit * (light - 1.0))


@wp.func
def shadow(p: Primitive, x: float, y: float) -> float:
    """Factor on the ground's colour below an object. seed: width of the soft rim [m]; state: strength 0..1.

    Below foliage the shadow is round, else a rectangle.
    """
    q = to_local(p, wp.vec3(x - p.center[0], y - p.center[1], 0.0))
    rim = wp.max(wp.abs(q[0]) - p.half[0], wp.abs(q[1]) - p.half[1])
    if p.material == FOLIAGE:
        rim = wp.sqrt(q[0] * q[0] + q[1] * q[1]) - p.half[0]
    return 1.0 - p.state * wp.clamp(-rim / p.seed, 0.0, 1.0)
