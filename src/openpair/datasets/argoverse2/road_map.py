"""Argoverse 2 vector map -> :class:`RoadMap`: roadblocks, intersections and drivable area as NAVSIM thinks of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from openpair.datasets.argoverse2.lanes import (
    DisjointSets,
    LaneSegment,
    groups_of_neighbors,
    lane_segments,
    points_of,
    same_direction,
    valid_polygon,
)
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap
from openpair.errors import OpenPairError

BLOCK_SEAM_M: Final = 0.02
"""Lanes of a block are widened by this before they are united, so that no seam is left between them."""

CONNECTOR_SEAM_M: Final = 0.05
INTERSECTION_CLOSING_M: Final = 3.0
"""Gaps between connectors narrower than twice this belong to the intersection."""

CARPARK_OVERLAP_M: Final = 0.05
CARPARK_SIMPLIFY_M: Final = 0.01
CARPARK_MIN_AREA_M2: Final = 0.5
_CIRCLE_SEGMENTS: Final = 16


def build_road_map(vector_map: dict[str, dict[str, Any]], name: str, speed_limit_mps: float, where: object) -> RoadMap:
    """The road map of a log.

    Args:
        vector_map: the log's map as read from its file.
        name: name of the log.
        speed_limit_mps: limit of every lane (Argoverse 2 has none).
        where: file, for messages.

    Raises:
        OpenPairError: an entry of the map is damaged.
    """
    segments = lane_segments(vector_map, where)
    blocks = groups_of_neighbors(segments, connectors=False)
    block_of = {lane: f"rb{lanes[0]}" for lanes in blocks for lane in lanes}
    incoming = _reversed(segments)
    movements = _movements(segments, block_of, incoming)
    block_of |= {lane: f"rc{lanes[0]}" for lanes in movements for lane in lanes}

    outlines = [_block_outline([segments[lane].polygon for lane in lanes]) for lanes in blocks]
    drivable = _drivable_area(vector_map, where)
    intersections = _intersections([s.polygon for s in segments.values() if s.is_connector], drivable)
    carparks = _carparks(drivable, [*outlines, *intersections])

    ordered = sorted(segments.values(), key=lambda segment: segment.is_connector)
    lanes_ = {s.id: _lane(s, block_of[s.id], incoming[s.id], speed_limit_mps, segments) for s in ordered}
    roadblocks = {}
    for lanes, outline in [*zip(blocks, outlines, strict=True), *((lanes, None) for lanes in movements)]:
        block_id = block_of[lanes[0]]
        roadblocks[block_id] = Roadblock(
            id=block_id,
            is_connector=outline is None,
            polygon=outline,
            lane_ids=tuple(lanes),
            incoming=_other_blocks(block_id, (block for lane in lanes for block in incoming[lane]), block_of),
            outgoing=_other_blocks(
                block_id, (block for lane in lanes for block in segments[lane].successors), block_of
            ),
        )
    return RoadMap(
        name=name,
        lanes=lanes_,
        roadblocks=roadblocks,
        intersections={f"int{i}": polygon for i, polygon in enumerate(intersections)},
        carparks={f"drv{i}": polygon for i, polygon in enumerate(carparks)},
        crosswalks=_crosswalks(vector_map, where),
    )


def _lane(
    segment: LaneSegment, block: str, incoming: tuple[str, ...], limit: float, segments: dict[str, LaneSegment]
) -> Lane:
    index, left, seen = 0, segment.neighbors[0], {segment.id}
    while left in segments and left not in seen and same_direction(segments[left], segment):
        seen.add(left)
        index, left = index + 1, segments[left].neighbors[0]
    return Lane(
        id=segment.id,
        is_connector=segment.is_connector,
        roadblock_id=block,
        polygon=segment.polygon,
        baseline=segment.baseline,
        incoming=incoming,
        outgoing=segment.successors,
        speed_limit_mps=limit,
        index=index,
    )


def _reversed(segments: dict[str, LaneSegment]) -> dict[str, tuple[str, ...]]:
    """Lanes that lead into each lane, file order."""
    incoming: dict[str, list[str]] = defaultdict(list)
    for key, segment in segments.items():
        for successor in segment.successors:
            incoming[successor].append(key)
    return {key: tuple(incoming[key]) for key in segments}


def _movements(
    segments: dict[str, LaneSegment], block_of: dict[str, str], incoming: dict[str, tuple[str, ...]]
) -> list[list[str]]:
    """Connectors grouped by neighbourhood, and further where they lead between the same two blocks."""
    groups = DisjointSets([key for key, segment in segments.items() if segment.is_connector])
    for lanes in groups_of_neighbors(segments, connectors=True):
        for lane in lanes[1:]:
            groups.join(lanes[0], lane)
    between: dict[tuple[str, str], str] = {}
    for key in groups.parent:
        for start in incoming[key]:
            for end in segments[key].successors:
                if start in block_of and end in block_of:
                    groups.join(between.setdefault((block_of[start], block_of[end]), key), key)
    return groups.as_lists()


def _other_blocks(block_id: str, lanes: Any, block_of: dict[str, str]) -> tuple[str, ...]:
    """Blocks of some lanes, each once, without the block itself."""
    return tuple(dict.fromkeys(block_of[lane] for lane in lanes if block_of[lane] != block_id))


def _block_outline(polygons: list[Polygon]) -> Polygon:
    union = shapely.union_all([polygon.buffer(BLOCK_SEAM_M, join_style="mitre") for polygon in polygons])
    return Polygon(_parts(union)[0].exterior)


def _intersections(connectors: list[Polygon], drivable: BaseGeometry) -> list[Polygon]:
    """Connectors united and closed; what closing adds must be drivable. Largest first, without holes."""
    if not connectors:
        return []
    united = shapely.union_all([_round(polygon, CONNECTOR_SEAM_M) for polygon in connectors])
    closed = _round(_round(united, INTERSECTION_CLOSING_M), -INTERSECTION_CLOSING_M)
    return _without_holes(united.union(closed.intersection(drivable)))


def _carparks(drivable: BaseGeometry, covered: list[Polygon]) -> list[Polygon]:
    """Drivable area that no roadblock or intersection covers, overlapping them a little. Largest first, no holes."""
    rest = drivable.difference(_round(shapely.union_all(covered), -CARPARK_OVERLAP_M, segments=8))
    pieces = _without_holes(rest.simplify(CARPARK_SIMPLIFY_M))
    return [piece for piece in pieces if piece.area >= CARPARK_MIN_AREA_M2]


def _drivable_area(vector_map: dict[str, dict[str, Any]], where: object) -> BaseGeometry:
    try:
        areas = [points_of(entry["area_boundary"]) for entry in vector_map["drivable_areas"].values()]
    except (KeyError, TypeError, ValueError) as error:
        raise OpenPairError(f"a drivable area of the map is damaged ({error!r})", where=where) from None
    return shapely.union_all([Polygon(area) if Polygon(area).is_valid else Polygon(area).buffer(0) for area in areas])


def _crosswalks(vector_map: dict[str, dict[str, Any]], where: object) -> dict[str, Polygon]:
    result = {}
    for key, entry in vector_map.get("pedestrian_crossings", {}).items():
        try:
            result[f"cw{key}"] = valid_polygon(np.vstack([points_of(entry["edge1"]), points_of(entry["edge2"])[::-1]]))
        except (KeyError, TypeError, ValueError) as error:
            raise OpenPairError(f"crossing {key} of the map is damaged ({error!r})", where=where) from None
    return {key: polygon for key, polygon in result.items() if polygon.area > 0}


def _round(geometry: BaseGeometry, distance: float, segments: int = _CIRCLE_SEGMENTS) -> BaseGeometry:
    return geometry.buffer(distance, quad_segs=segments)


def _parts(geometry: BaseGeometry) -> list[Polygon]:
    """Polygons of a geometry, largest first."""
    pieces = getattr(geometry, "geoms", [geometry])
    polygons = [piece for piece in pieces if isinstance(piece, Polygon) and not piece.is_empty]
    return sorted(polygons, key=lambda polygon: -polygon.area)


def _without_holes(geometry: BaseGeometry) -> list[Polygon]:
    """Polygons of a geometry, those with holes cut through the holes from south to north. Largest first."""
    result: list[Polygon] = []
    pending = _parts(geometry)
    while pending:
        polygon = pending.pop()
        if not polygon.interiors:
            result.append(polygon)
            continue
        middle = polygon.interiors[0].centroid.x
        west, south, east, north = polygon.bounds
        for half in (box(west - 1, south - 1, middle, north + 1), box(middle, south - 1, east + 1, north + 1)):
            pending += _parts(polygon.intersection(half))
    return _parts(MultiPolygon(result)) if result else []
