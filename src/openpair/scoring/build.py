"""Build the flat tables of a prepared scene: local coordinates, slabs, grid, dense tracks, path stations."""

from __future__ import annotations

import numpy as np
import warp as wp
from numpy.typing import NDArray

from openpair.datatypes.columns import AgentCategory, BoxIndex, MapLayer, Protocol, StateIndex
from openpair.datatypes.scoring_scene import DrivableMap, PolygonSet, RedLights, ScoringScene, Tracks
from openpair.geometry.warp_runtime import start_warp
from openpair.scoring import ego_areas, polygons
from openpair.scoring.arrays import MapArrays
from openpair.scoring.history import history_signals
from openpair.scoring.path import CHUNK_SEGMENTS
from openpair.scoring.strict import without_stood_on
from openpair.scoring.tables import EgoTable, LightTable, MapTable, PathTable, SceneTables, TrackTable
from openpair.simulation.reference import NUM_STEPS, plan_weights

STOPPED_TRACK_SPEED = 0.05
"""A track first seen at most this fast [m/s] counts as stopped."""

MAX_SLABS = 256
"""Slabs of a polygon: as many as it has edges, so that few edges share one; but no more than this."""

LANES = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)
DRIVABLE = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.DRIVABLE_AREA, MapLayer.CARPARK_AREA)


def build_tables(scene: ScoringScene, *, strict: bool = False) -> SceneTables:
    """Tables of one scene; ``strict``: those of the mended variant.

    EP's reference and the human filter are still blank: :mod:`openpair.scoring.score` fills them with the scorer's own
    results for the PDM-Closed trajectory and the human.
    """
    start_warp()
    origin = scene.ego_state[: StateIndex.HEADING]
    lights = scene.red_lights if scene.protocol is Protocol.V2_2 else None
    if strict and lights is not None:
        lights = without_stood_on(lights, scene.ego_state)
    history = history_signals(scene, strict=strict)
    weights = plan_weights(scene.time_us)
    return SceneTables(
        area=build_map(scene.drivable_map, origin),
        tracks=build_tracks(scene.tracks, origin),
        path=build_path(scene.centerline, origin),
        lights=build_lights(lights, origin),
        ego=EgoTable(
            state=np.array(scene.ego_state, np.float64)[None],
            knot_index=weights.index[None],
            knot_weight=weights.weight[None],
            history_range=np.array([0, len(history)], np.int32),
            history=history,
            reference_gain=np.zeros(1),
            forgiven=np.zeros((1, 8), np.int32),
        ),
        max_tracks=len(scene.tracks.tokens),
        max_history=len(history),
    )


def polygon_edges(areas: PolygonSet, origin: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Edges (E, 4) x1, y1, x2, y2 around the origin, and the polygon (E,) each belongs to."""
    xy = areas.xy - origin
    edges = np.concatenate([xy[:-1], xy[1:]], axis=1)
    is_edge = np.ones(len(edges), bool)
    is_edge[areas.ring_offset[1:-1] - 1] = False
    vertices = np.diff(areas.ring_offset[areas.polygon_offset])
    rings = np.diff(areas.polygon_offset)
    owner = np.repeat(np.arange(len(areas), dtype=np.int32), vertices - rings)
    return edges[is_edge], owner


def polygon_boxes(edges: NDArray[np.float64], owner: NDArray[np.int32]) -> NDArray[np.float64]:
    """Bounds (P, 4) min x, min y, max x, max y; every vertex of a closed ring starts an edge."""
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    low = np.minimum.reduceat(edges[:, :2], starts)
    high = np.maximum.reduceat(edges[:, :2], starts)
    return np.concatenate([low, high], axis=1)


def offsets(counts: NDArray[np.int32]) -> NDArray[np.int32]:
    """(n + 1,) offsets of n runs of the given lengths."""
    result = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=result[1:])
    return result


def build_map(drivable_map: DrivableMap, origin: NDArray[np.float64]) -> MapTable:
    """Edges sorted into slabs, polygons sorted into a grid."""
    edges, owner = polygon_edges(drivable_map.polygons, origin)
    order = visiting_order(drivable_map)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    edge_order = np.argsort(rank[owner], kind="stable")
    edges, owner = edges[edge_order], rank[owner[edge_order]].astype(np.int32)
    box = polygon_boxes(edges, owner)
    layer = drivable_map.layer[order]
    is_lane = np.isin(layer, LANES)
    kind = np.where(is_lane, ego_areas.LANE, 0)
    kind |= np.where(np.isin(layer, DRIVABLE), ego_areas.DRIVABLE, 0)
    kind |= np.where(is_lane & drivable_map.on_route[order], ego_areas.ROUTE, 0)
    kind |= np.where(layer == MapLayer.INTERSECTION, ego_areas.INTERSECTION, 0)

    num_polygons = len(box)
    slabs = np.clip(np.bincount(owner, minlength=num_polygons), 1, MAX_SLABS).astype(np.int32)
    slab_start = offsets(slabs)
    height = box[:, 3] - box[:, 1]
    slabs_per_m = np.divide(slabs, height, out=np.zeros(num_polygons), where=height > 0)

    area = MapArrays()
    area.box = wrap(box, wp.vec4d)
    area.slab_start = wrap(slab_start, wp.int32)
    area.slabs_per_m = wrap(slabs_per_m, wp.float64)
    edges = np.ascontiguousarray(edges)
    edge_inputs = [wrap(edges, wp.vec4d), wrap(owner, wp.int32), area]
    slab_edge_start, sorted_edges = sort_into(
        slab_start[-1], len(edges), edge_inputs, polygons.count_slab_edges, polygons.fill_slabs, area, "edge"
    )
    cells = ego_areas.CELLS * ego_areas.CELLS
    cell_start, cell_polygon = sort_into(
        cells, num_polygons, [area], ego_areas.count_cell_polygons, ego_areas.fill_cells, area, "cell_polygon"
    )
    return MapTable(
        polygon_range=np.array([0, num_polygons], np.int32),
        box=box,
        kind=kind.astype(np.int32),
        slab_start=slab_start,
        slabs_per_m=slabs_per_m,
        slab_edge_start=slab_edge_start,
        edge=sorted_edges,
        cell_start=cell_start,
        cell_polygon=cell_polygon,
    )


def visiting_order(drivable_map: DrivableMap) -> NDArray[np.int64]:
    """(P,) the polygons in the order in which they answer soonest: once one drivable polygon or one lane holds the
    whole ego box, the others need not be tried, and that is most often a roadblock and a lane of the route."""
    layer = drivable_map.layer
    is_lane = np.isin(layer, LANES)
    priority = np.select([~is_lane, drivable_map.on_route], [0, 1], 2)
    return np.argsort(priority, kind="stable")


def sort_into(
    bins: int,
    items: int,
    inputs: list[object],
    count_kernel: wp.Kernel,
    fill_kernel: wp.Kernel,
    area: MapArrays,
    target: str,
) -> tuple[NDArray[np.int32], NDArray]:
    """Counting sort of items into the bins that each touches: offsets (bins + 1,) and the entries of all bins."""
    counts = np.zeros(bins, np.int32)
    wp.launch(count_kernel, dim=items, inputs=[*inputs, wrap(counts, wp.int32)], device="cpu")
    start = offsets(counts)
    entries: NDArray = np.empty((start[-1], 4)) if target == "edge" else np.empty(start[-1], np.int32)
    setattr(area, target, wrap(entries, wp.vec4d if target == "edge" else wp.int32))
    cursor = start[:-1].copy()
    wp.launch(fill_kernel, dim=items, inputs=[*inputs, wrap(cursor, wp.int32)], device="cpu")
    return start, entries


def wrap(values: NDArray, dtype: type) -> wp.array:
    """A Warp view of a numpy array on the CPU (no copy)."""
    return wp.array(values, dtype=dtype, device="cpu", copy=False)


def build_tracks(tracks: Tracks, origin: NDArray[np.float64]) -> TrackTable:
    """Poses of every track at every sample."""
    num_tracks, samples = len(tracks.tokens), len(tracks.frame_offset) - 1
    frame = np.repeat(np.arange(samples), np.diff(tracks.frame_offset))
    heading = tracks.box[:, BoxIndex.HEADING]
    rows = np.empty((len(frame), 4))
    rows[:, :2] = tracks.box[:, : BoxIndex.HEADING] - origin
    rows[:, 2], rows[:, 3] = np.cos(heading), np.sin(heading)
    pose = np.full((num_tracks, samples, 4), np.nan)
    pose[tracks.track, frame] = rows

    first_row = np.zeros(num_tracks, np.int64)
    first_row[tracks.track[::-1]] = np.arange(len(frame))[::-1]
    half_size = tracks.box[first_row, BoxIndex.LENGTH : BoxIndex.HEIGHT] / 2
    speed = np.hypot(tracks.velocity[first_row, 0], tracks.velocity[first_row, 1])
    is_static = tracks.category >= AgentCategory.TRAFFIC_CONE
    margin = np.hypot(half_size[:, :1], half_size[:, 1:])
    low = np.full((num_tracks, 2), np.inf)
    high = np.full((num_tracks, 2), -np.inf)
    if num_tracks:
        low = np.fmin.reduce(pose[..., :2], axis=1) - margin
        high = np.fmax.reduce(pose[..., :2], axis=1) + margin
    return TrackTable(
        track_range=np.array([0, num_tracks], np.int32),
        pose=pose,
        half_size=half_size,
        reach=np.concatenate([low, high], axis=1),
        is_stopped=(is_static | (speed <= STOPPED_TRACK_SPEED)).astype(np.int32),
        is_agent=(~is_static).astype(np.int32),
    )


def build_path(centerline: NDArray[np.float64], origin: NDArray[np.float64]) -> PathTable:
    """Points, stations, and bounds of each run of segments."""
    point = centerline[:, :2] - origin
    station = np.zeros(len(point))
    np.cumsum(np.hypot(*np.diff(point, axis=0).T), out=station[1:])
    starts = np.arange(0, len(point) - 1, CHUNK_SEGMENTS)
    both = np.concatenate([np.minimum(point[:-1], point[1:]), -np.maximum(point[:-1], point[1:])], axis=1)
    bounds = np.minimum.reduceat(both, starts) * [1, 1, -1, -1]
    return PathTable(
        point_range=np.array([0, len(point)], np.int32),
        point=point,
        station=station,
        chunk_range=np.array([0, len(starts)], np.int32),
        chunk_box=bounds,
    )


def build_lights(lights: RedLights | None, origin: NDArray[np.float64]) -> LightTable:
    """Edges of the red connectors, and their 41 steps as bits."""
    if lights is None or not lights.tokens:
        return LightTable(
            light_range=np.zeros(2, np.int32),
            box=np.zeros((0, 4)),
            edge_range=np.zeros(1, np.int32),
            edge=np.zeros((0, 4)),
            active=np.zeros(0, np.int64),
        )
    edges, owner = polygon_edges(lights.polygons, origin)
    bits = np.left_shift(np.int64(1), np.arange(NUM_STEPS, dtype=np.int64))
    return LightTable(
        light_range=np.array([0, len(lights.tokens)], np.int32),
        box=polygon_boxes(edges, owner),
        edge_range=offsets(np.bincount(owner, minlength=len(lights.tokens)).astype(np.int32)),
        edge=np.ascontiguousarray(edges),
        active=(lights.active.T.astype(np.int64) * bits).sum(axis=1),
    )
