# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""Oriented boxes: (centre x, centre y, cos heading, sin heading) with half length and half width [m]."""

import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS

wp.set_module_options(MODULE_OPTIONS)


@wp.func
def boxes_touch(
    a: wp.vec4d, half_length_a: wp.float64, half_width_a: wp.float64, b: wp.vec4d, half_b: wp.vec2d
) -> bool:
    """True if two boxes share a point, touching included (separating axes). A half length of 0 makes a a segment."""
    dx = b[0] - a[0]
    dy = b[1] - a[1]
    c = wp.abs(a[2] * b[2] + a[3] * b[3])
    s = wp.abs(a[2] * b[3] - a[3] * b[2])
    if wp.abs(dx * a[2] + dy * a[3]) > half_length_a + half_b[0] * c + half_b[1] * s:
        return False
    if wp.abs(dy * a[2] - dx * a[3]) > half_width_a + half_b[0] * s + half_b[1] * c:
        return False
    if wp.abs(dx * b[2] + dy * b[3]) > half_b[0] + half_length_a * c + half_width_a * s:
        return False
    return wp.abs(dy * b[2] - dx * b[3]) <= half_b[1] + half_length_a * s + half_width_a * c


@wp.func
def segment_touches_box(
    x1: wp.float64,
    y1: wp.float64,
    x2: wp.float64,
    y2: wp.float64,
    box: wp.vec4d,
    half_length: wp.float64,
    half_width: wp.float64,
) -> bool:
    """True if a segment shares a point with a box, touching included (separating axes in the box's frame)."""
    center_x = wp.float64(0.5) * (x1 + x2) - box[0]
    center_y = wp.float64(0.5) * (y1 + y2) - box[1]
    half_x = wp.float64(0.5) * (x2 - x1)
    half_y = wp.float64(0.5) * (y2 - y1)
    along = center_x * box[2] + center_y * box[3]
    across = center_y * box[2] - center_x * box[3]
    half_along = half_x * box[2] + half_y * box[3]
    half_across = half_y * box[2] - half_x * box[3]
    if wp.abs(along) > half_length + wp.abs(half_along):
        return False
    if wp.abs(across) > half_width + wp.abs(half_across):
        return False
    reach = half_length * wp.abs(half_across) + half_width * wp.abs(half_along)
    return wp.abs(along * half_across - across * half_along) <= reach
