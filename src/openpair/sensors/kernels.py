"""JIT-compiled ray casting: one thread a pixel or a laser beam. The same source runs on CPU and CUDA.

Everything is in the ego rear-axle frame of the rendered instant, float32; distances below 200 m keep that exact to
far less than a texel. Camera rays are scaled to an optical depth of 1, so the ray parameter of a hit *is* its depth.
"""
# No ``from __future__ import annotations``: Warp reads the annotations of kernels at run time.

import warp as wp

wp.config.quiet = True
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
SKY = wp.constant(-1)
GROUND = wp.constant(-2)
TILE_PX = wp.constant(16)
"""Side of a screen tile; each tile keeps its own list of primitives, nearest first."""
LIDAR_COLUMNS = wp.constant(16)
"""Azimuths of a LiDAR bin, which keeps its own list likewise."""

TEXTURE_BITS = wp.constant(9)
"""A ground tile has 2 ** TEXTURE_BITS texels on each side at its finest level."""
TEXTURE_LEVELS = wp.constant(5)
HAZE_M = wp.constant(260.0)
"""Distance after which 1/e of an object's own colour is left."""


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


# ---------------------------------------------------------------------------------------------------- intersections


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


# ----------------------------------------------------------------------------------------------------------- texture


@wp.func
def hash01(a: int, b: int) -> float:
    """A number in [0, 1) that looks random, from two whole numbers."""
    h = wp.uint32(a) * wp.uint32(73856093) + wp.uint32(b) * wp.uint32(19349663)
    h = (h ^ (h >> wp.uint32(15))) * wp.uint32(83492791)
    h = h ^ (h >> wp.uint32(13))
    return float(h & wp.uint32(65535)) / 65536.0


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
            top = texel(ground, ix, iy, level, offset) * (1.0 - ax) + texel(ground, ix + 1, iy, level, offset) * ax
            low = texel(ground, ix, iy + 1, level, offset) * (1.0 - ax) + texel(ground, ix + 1, iy + 1, level, offset) * ax
            total = top * (1.0 - ay) + low * ay
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


# ----------------------------------------------------------------------------------------------------------- cameras


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
    haze = 1.0 - wp.exp(-best * length / HAZE_M)
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
    """Four rays instead of one for pixels on the edge of an object (rotated grid)."""
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
    total = wp.vec3(0.0, 0.0, 0.0)
    for i in range(4):
        dy = (float(i) - 1.5) * 0.25
        dx = (float((i * 2 + 1) % 5) - 2.0) * 0.25 + 0.125
        if i >= 2:
            dx = dx - 0.25
        direction = ray(view, float(row) + dy, float(col) + dx)
        color, _t, _winner = trace(
            view.origin, direction, view.step_u, view.sun, primitives, near, boxes, members, tile, counts[tile], ground,
            float(row) + dy, float(col) + dx,
        )  # fmt: skip
        total += wp.vec3(wp.min(color[0], 1.0), wp.min(color[1], 1.0), wp.min(color[2], 1.0))
    for c in range(3):
        rgb[row, out, c] = to_byte(total[c] * 0.25)


# ----------------------------------------------------------------------------------------------------------- binning


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


# ------------------------------------------------------------------------------------------------------------- LiDAR


@wp.kernel
def scan(
    origin: wp.vec3,
    beams: wp.array2d(dtype=wp.float32),
    headings: wp.array2d(dtype=wp.float32),
    primitives: wp.array(dtype=Primitive),
    near: wp.array(dtype=wp.float32),
    members: wp.array2d(dtype=wp.int32),
    counts: wp.array(dtype=wp.int32),
    max_range: float,
    points: wp.array3d(dtype=wp.float32),
    ranges: wp.array2d(dtype=wp.float32),
):
    """One ray a beam and azimuth -> point [m] and range [m], MISS where nothing is hit within range.

    beams: (E, 2) cosine and sine of the elevation; headings: (A, 2) of the azimuth; ``near`` is the horizontal distance
    at which a primitive begins.
    """
    column, beam = wp.tid()
    tile = column / LIDAR_COLUMNS
    flat = beams[beam, 0]
    direction = wp.vec3(headings[column, 0] * flat, headings[column, 1] * flat, beams[beam, 1])
    best = float(max_range)
    if direction[2] < 0.0:
        best = wp.min(best, -origin[2] / direction[2])
    for k in range(counts[tile]):
        index = members[tile, k]
        if near[index] > best * flat:
            break
        t = hit(primitives[index], origin, direction)
        if t < best:
            best = t
    if best >= max_range:
        ranges[column, beam] = MISS
        return
    ranges[column, beam] = best
    points[column, beam, 0] = origin[0] + best * direction[0]
    points[column, beam, 1] = origin[1] + best * direction[1]
    points[column, beam, 2] = wp.max(origin[2] + best * direction[2], 0.0)


@wp.kernel
def bin_sectors(
    sectors: wp.array2d(dtype=wp.float32),
    order: wp.array(dtype=wp.int32),
    num_azimuths: int,
    members: wp.array2d(dtype=wp.int32),
    counts: wp.array(dtype=wp.int32),
):
    """Lists, for every LiDAR bin, the primitives whose sector (middle, half width) [rad] meets it."""
    tile = wp.tid()
    step = 2.0 * wp.pi / float(num_azimuths)
    width = step * float(LIDAR_COLUMNS)
    middle = float(tile) * width + 0.5 * (width - step)
    n = int(0)
    for k in range(order.shape[0]):
        i = order[k]
        gap = wp.abs(sectors[i, 0] - middle)
        gap = gap - 2.0 * wp.pi * wp.floor(gap / (2.0 * wp.pi))
        gap = wp.min(gap, 2.0 * wp.pi - gap)
        if gap <= sectors[i, 1] + 0.5 * width:
            members[tile, n] = i
            n += 1
    counts[tile] = n
