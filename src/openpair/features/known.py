"""From a scene to the truth as vectors (:mod:`openpair.datatypes.known_input`). Nothing of the future goes in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from openpair.datatypes.columns import NUM_HISTORY_FRAMES, NUM_POSES, BoxIndex
from openpair.datatypes.known_input import GREEN, NO_LIGHT, RED, KnownConfig
from openpair.datatypes.road_map import Lane, RoadMap
from openpair.datatypes.scene import Frame, Scene
from openpair.geometry.poses import global_to_local

Arrays = dict[str, NDArray[Any]]
Points = NDArray[np.float64]

CENTIMETRE: Final = 0.01
"""Unit of polylines in a store [m]: whole numbers of two bytes."""

CLOSED_GAPS_M: Final = 0.1
"""Gaps between the surfaces of lanes narrower than twice this are no edges."""


def encode_known(scene: Scene, config: KnownConfig) -> Arrays:
    """The inputs of a scene in stored form: polylines in centimetres."""
    arrays: Arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in config.stored().items()}
    pose = scene.current.ego.pose
    nearest = _nearest_agents(scene.current, config)
    tokens = [scene.current.agents.track_tokens[i] for i in nearest]
    history = scene.history[-NUM_HISTORY_FRAMES:]
    for slot, frame in enumerate(history, start=NUM_HISTORY_FRAMES - len(history)):
        rows, found = _tracked(frame, tokens)
        agents = frame.agents
        local = global_to_local(agents.box[found, : BoxIndex.HEADING + 1], pose)
        arrays["known_agents"][rows, slot] = np.concatenate([local, _turned(agents.velocity[found], pose)], axis=1)
        arrays["known_agent_seen"][rows, slot] = True
    current = scene.current.agents
    size = current.box[nearest, BoxIndex.LENGTH : BoxIndex.WIDTH + 1]
    arrays["known_agent_kinds"][: len(nearest)] = np.column_stack([size, current.category[nearest]])
    _put_lanes(arrays, scene, config)
    _put_edges(arrays, scene, config)
    return arrays


def decode_known(stored: Arrays, config: KnownConfig) -> Arrays:
    """Stored inputs of one or many scenes -> float32 metres, flags bool."""
    decoded = {name: np.asarray(stored[name]) for name in config.stored()}
    for name in ("known_lanes", "known_edges"):
        decoded[name] = decoded[name].astype(np.float32) * np.float32(CENTIMETRE)
    return decoded


def future_targets(scene: Scene, config: KnownConfig) -> Arrays:
    """Where the agents of ``known_agents`` will be: ``agent_future`` (A, 8, 3) x, y [m], heading [rad], ego rear-axle
    frame of now, and ``agent_future_seen`` (A, 8) bool."""
    arrays: Arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in config.stored_targets().items()}
    nearest = _nearest_agents(scene.current, config)
    tokens = [scene.current.agents.track_tokens[i] for i in nearest]
    for step, frame in enumerate(scene.future[:NUM_POSES]):
        rows, found = _tracked(frame, tokens)
        boxes = frame.agents.box[found, : BoxIndex.HEADING + 1]
        arrays["agent_future"][rows, step] = global_to_local(boxes, scene.current.ego.pose)
        arrays["agent_future_seen"][rows, step] = True
    return arrays


def _nearest_agents(frame: Frame, config: KnownConfig) -> NDArray[np.int64]:
    """(n,) rows of the agents of a frame that are shown, in the order in which they are."""
    away = np.linalg.norm(frame.agents.box[:, :2] - frame.ego.pose[:2], axis=1)
    order = np.argsort(away, kind="stable")[: config.agents]
    return order[away[order] <= config.ahead_m + config.radius_m]


def _tracked(frame: Frame, tokens: list[str]) -> tuple[list[int], list[int]]:
    """Positions among ``tokens`` of those that a frame has, and their rows in the frame."""
    row_of = {token: row for row, token in enumerate(frame.agents.track_tokens)}
    known = [(position, row_of[token]) for position, token in enumerate(tokens) if token in row_of]
    return [position for position, _ in known], [row for _, row in known]


def _turned(velocity: Points, pose: Points) -> Points:
    """Velocities (n, 2), global axes -> ego axes."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return velocity @ np.array([[c, -s], [s, c]])


def _put_lanes(arrays: Arrays, scene: Scene, config: KnownConfig) -> None:
    road_map, pose = scene.road_map, scene.current.ego.pose
    lights = {lane: RED if is_red else GREEN for lane, is_red in scene.current.traffic_lights}
    lanes = [lane for lane in road_map.lanes.values() if _may_be_near(lane, pose, config)]
    cut = [pieces_of(lane.baseline[:, :2], config) for lane in lanes]
    kinds = [
        np.tile(
            (float(lane.is_connector), 0.0, lights.get(lane.id, NO_LIGHT), lane.speed_limit_mps or 0.0), (len(p), 1)
        )
        for lane, p in zip(lanes, cut, strict=True)
    ]
    if not cut:
        return
    pieces, kind = np.concatenate(cut), np.concatenate(kinds)
    local, order = _near_pieces(pieces, pose, config, config.lanes)
    if road_map.intersections and len(order):
        middles = shapely.points(pieces[order, config.points // 2])
        tree = shapely.STRtree(list(road_map.intersections.values()))
        kind[order[np.unique(tree.query(middles, predicate="intersects")[0])], 1] = 1.0
    arrays["known_lanes"][: len(order)] = np.round(local[order] / CENTIMETRE)
    arrays["known_lane_kinds"][: len(order)] = kind[order]
    arrays["known_lane_there"][: len(order)] = True


def _put_edges(arrays: Arrays, scene: Scene, config: KnownConfig) -> None:
    pose = scene.current.ego.pose
    rings = [ring for ring in drivable_rings(scene.road_map, pose, config) if len(ring) > 2]
    if not rings:
        return
    pieces = np.concatenate([pieces_of(ring, config) for ring in rings])
    local, order = _near_pieces(pieces, pose, config, config.edges)
    arrays["known_edges"][: len(order)] = np.round(local[order] / CENTIMETRE)
    arrays["known_edge_there"][: len(order)] = True


def pieces_of(line: Points, config: KnownConfig) -> Points:
    """A line (V, 2) cut into equal pieces of at most ``piece_m``, each (points, 2); none for a line without length."""
    step = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(step)])
    if along[-1] < CENTIMETRE:
        return np.zeros((0, config.points, 2))
    count = int(np.ceil(along[-1] / config.piece_m - 1e-9))
    inner = config.points - 1
    at = np.linspace(0.0, along[-1], count * inner + 1)
    points = np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])])
    return np.asarray(points[np.arange(count)[:, None] * inner + np.arange(config.points)])


def _near_pieces(pieces: Points, pose: Points, config: KnownConfig, most: int) -> tuple[Points, NDArray[np.int64]]:
    """Pieces (n, P, 2), global -> the same in the ego frame, and which of them are shown, the nearest first."""
    poses = np.zeros((*pieces.shape[:2], 3))
    poses[..., :2] = pieces
    local = global_to_local(poses, pose)[..., :2]
    away = np.linalg.norm(local - (config.ahead_m, 0.0), axis=-1).min(axis=1)
    order = np.argsort(away, kind="stable")[:most]
    return local, order[away[order] <= config.radius_m]


def _centre(pose: Points, config: KnownConfig) -> Points:
    return np.asarray(pose[:2] + config.ahead_m * np.array([np.cos(pose[2]), np.sin(pose[2])]))


def _may_be_near(lane: Lane, pose: Points, config: KnownConfig) -> bool:
    """False for lanes whose bounding box lies beyond the radius."""
    low, high = lane.baseline[:, :2].min(axis=0), lane.baseline[:, :2].max(axis=0)
    centre = _centre(pose, config)
    away = np.maximum(np.maximum(low - centre, centre - high), 0.0)
    return bool(np.hypot(*away) <= config.radius_m)


def drivable_rings(road_map: RoadMap, pose: Points, config: KnownConfig) -> list[Points]:
    """Closed lines (V, 2), global frame, around what is drivable near the centre; drivable on their left.

    Drivable is what the scorer takes for it: lanes, connectors, roadblocks, intersections and carparks.
    """
    blocks = (block.polygon for block in road_map.roadblocks.values() if block.polygon is not None)
    lanes = (lane.polygon for lane in road_map.lanes.values())
    surfaces = np.array([*lanes, *blocks, *road_map.intersections.values(), *road_map.carparks.values()], dtype=object)
    if not len(surfaces):
        return []
    centre = shapely.Point(*_centre(pose, config))
    near = surfaces[shapely.distance(surfaces, centre) <= config.radius_m]
    gap = CLOSED_GAPS_M
    whole = shapely.union_all(near).buffer(gap, join_style="mitre").buffer(-gap, join_style="mitre")
    rings = _oriented_rings(getattr(whole, "geoms", (whole,)))
    return [_from_farthest(shapely.get_coordinates(ring), pose) for ring in rings]


def _oriented_rings(parts: Iterable[Polygon]) -> list[Any]:
    oriented = [shapely.geometry.polygon.orient(part) for part in parts if not part.is_empty]
    return [ring for part in oriented for ring in (part.exterior, *part.interiors)]


def _from_farthest(ring: Points, pose: Points) -> Points:
    """The same closed line, beginning where it is farthest from the ego: so pieces do not depend on the map's axes."""
    open_ring = ring[:-1]
    start = int(np.argmax(np.linalg.norm(open_ring - pose[:2], axis=1)))
    turned = np.roll(open_ring, -start, axis=0)
    return np.concatenate([turned, turned[:1]])
