# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
"""What the kernels read: prepared scenes as flat arrays, lengths and positions in metres around each scene's origin.

The origin is the measured rear axle, so that UTM-sized coordinates cost no precision. Several scenes lie behind one
another; ``..._range[b] .. ..._range[b + 1]`` are the entries of scene b. No entry is padded except the time axis of
tracks.
"""

import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS

wp.set_module_options(MODULE_OPTIONS)


@wp.struct
class MapArrays:
    """Polygons with their edges sorted into horizontal slabs, and a square grid that finds polygons near a point.

    polygon_range (B+1,); box (P,) min x, min y, max x, max y; kind (P,) bits of ``ego_areas``;
    slab_start (P+1,) first slab of each polygon; slabs_per_m (P,);
    slab_edge_start (S+1,) first edge of each slab; edge (E,) x1, y1, x2, y2;
    cell_start (B * cells + 1,) first entry of each grid cell; cell_polygon: polygons that an ego box centred in the
    cell could touch.
    """

    polygon_range: wp.array(dtype=wp.int32)
    box: wp.array(dtype=wp.vec4d)
    kind: wp.array(dtype=wp.int32)
    slab_start: wp.array(dtype=wp.int32)
    slabs_per_m: wp.array(dtype=wp.float64)
    slab_edge_start: wp.array(dtype=wp.int32)
    edge: wp.array(dtype=wp.vec4d)
    cell_start: wp.array(dtype=wp.int32)
    cell_polygon: wp.array(dtype=wp.int32)


@wp.struct
class TrackArrays:
    """Agents at 10 Hz.

    track_range (B+1,); pose (K, F) x, y, cos and sin of the heading, NaN where absent; half_size (K,) half length,
    half width; reach (K,) min x, min y, max x, max y of the boxes over time; is_stopped, is_agent (K,) 0 or 1.
    """

    track_range: wp.array(dtype=wp.int32)
    pose: wp.array2d(dtype=wp.vec4d)
    half_size: wp.array(dtype=wp.vec2d)
    reach: wp.array(dtype=wp.vec4d)
    is_stopped: wp.array(dtype=wp.int32)
    is_agent: wp.array(dtype=wp.int32)


@wp.struct
class PathArrays:
    """Centrelines.

    point_range (B+1,); point (M,) x, y; station (M,) distance along the line [m]; chunk_range (B+1,);
    chunk_box (C,) bounds of each run of ``path.CHUNK`` segments.
    """

    point_range: wp.array(dtype=wp.int32)
    point: wp.array(dtype=wp.vec2d)
    station: wp.array(dtype=wp.float64)
    chunk_range: wp.array(dtype=wp.int32)
    chunk_box: wp.array(dtype=wp.vec4d)


@wp.struct
class LightArrays:
    """Red lane connectors (v2.2).

    light_range (B+1,); box (L,); edge_range (L+1,); edge (E,) x1, y1, x2, y2;
    active (L,) bit i set where red at step i.
    """

    light_range: wp.array(dtype=wp.int32)
    box: wp.array(dtype=wp.vec4d)
    edge_range: wp.array(dtype=wp.int32)
    edge: wp.array(dtype=wp.vec4d)
    active: wp.array(dtype=wp.int64)


@wp.struct
class EgoArrays:
    """The ego of each scene.

    state (B, 11) measured, global frame; knot_index, knot_weight (B, 41) interpolation of plans;
    history_range (B+1,) and history (H, 3) recorded past at 0.1 s: heading [rad], ax, ay [m/s^2] (v2.2);
    reference_gain (B,) progress [m] of the PDM-Closed trajectory times its multipliers;
    forgiven (B, 8) 1 where the human filter sets a sub-metric to 1 (v2.2; columns of ``aggregation.ResultIndex``).
    """

    state: wp.array2d(dtype=wp.float64)
    knot_index: wp.array2d(dtype=wp.int32)
    knot_weight: wp.array2d(dtype=wp.float64)
    history_range: wp.array(dtype=wp.int32)
    history: wp.array2d(dtype=wp.float64)
    reference_gain: wp.array(dtype=wp.float64)
    forgiven: wp.array2d(dtype=wp.int32)
