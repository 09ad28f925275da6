"""A town made ready for many look-ups: search trees and flat arrays, built once and shared by all its scenes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon

from openpair.datatypes.columns import MapLayer
from openpair.datatypes.road_map import DEFAULT_SPEED_LIMIT_MPS, Lane, Roadblock, RoadMap
from openpair.errors import OpenPairError
from openpair.preparation.block_search import shortest_block_path
from openpair.preparation.map_shapes import MapShapes
from openpair.preparation.polygons import flatten_polygons

LOOP_OVERLAP_M2 = 1.0
"""Two connectors of a route that share more than this area form a loop."""

LANES = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)

KEPT_INDICES = 64
"""Maps whose index stays in memory; the one used longest ago is dropped first."""


class MapIndex:
    """Search trees and arrays over one :class:`RoadMap`.

    Attributes:
        road_map: the town.
        shapes: its elements as flat arrays.
        element_surfaces: (E,) their shapely polygons; empty where ``element_fault`` says why one cannot be used.
        element_fault: (E,) "" or what is wrong with a surface.
    """

    def __init__(self, road_map: RoadMap) -> None:
        if not road_map.roadblocks or not road_map.lanes:
            raise OpenPairError(
                "the map has no roadblocks or no lanes",
                where=f"map {road_map.name}",
                fix="Scoring needs lanes that belong to roadblocks; check that all layers of the map were read",
            )
        for block in road_map.roadblocks.values():
            for lane_id in block.lane_ids:
                if lane_id not in road_map.lanes:
                    raise OpenPairError(
                        f"roadblock {block.id} names lane {lane_id}, which the map does not have",
                        where=f"map {road_map.name}",
                        fix="Check that all layers of the map were read",
                    )
        self.road_map = road_map
        self.blocks = [b for b in road_map.roadblocks.values() if not b.is_connector]
        self.connector_blocks = [b for b in road_map.roadblocks.values() if b.is_connector]
        block_polygons = self._block_polygons(self.blocks)
        connector_polygons = self._block_polygons(self.connector_blocks)
        self._polygon_of_connector = dict(zip([b.id for b in self.connector_blocks], connector_polygons, strict=True))
        self.trees = {
            MapLayer.ROADBLOCK: self._tree("roadblock", [b.id for b in self.blocks], block_polygons),
            MapLayer.ROADBLOCK_CONNECTOR: self._tree(
                "roadblock connector", [b.id for b in self.connector_blocks], connector_polygons
            ),
            MapLayer.INTERSECTION: self._tree(
                "intersection", list(road_map.intersections), _objects(road_map.intersections.values())
            ),
            MapLayer.CARPARK_AREA: self._tree("carpark", list(road_map.carparks), _objects(road_map.carparks.values())),
        }
        self._collect_elements(block_polygons)
        self._overlaps: dict[tuple[str, str], bool] = {}
        self.block_path = lru_cache(maxsize=4096)(self._block_path)

    def _tree(self, kind: str, ids: Sequence[str], polygons: NDArray[np.object_]) -> shapely.STRtree:
        """Search tree; a surface whose place is unknown would never be found, so that it is refused at once."""
        xy, owner = shapely.get_coordinates(polygons, return_index=True)
        lost = owner[~np.isfinite(xy).all(axis=1)]
        if len(lost):
            raise OpenPairError(
                f"{kind} {ids[int(lost[0])]} has coordinates that are not finite",
                where=f"map {self.road_map.name}",
                fix="Repair the map",
            )
        return shapely.STRtree(polygons)

    def _block_polygons(self, blocks: Iterable[Roadblock]) -> NDArray[np.object_]:
        """Polygons of blocks; where a source gives none, the union of the block's lanes."""
        lanes = self.road_map.lanes
        return _objects(
            b.polygon if b.polygon is not None else shapely.union_all([lanes[i].polygon for i in b.lane_ids])
            for b in blocks
        )

    def _collect_elements(self, block_polygons: NDArray[np.object_]) -> None:
        road_map = self.road_map
        lanes = [lane for lane in road_map.lanes.values() if not lane.is_connector]
        connectors = [lane for lane in road_map.lanes.values() if lane.is_connector]
        layers: list[tuple[MapLayer, list[str], list[Polygon]]] = [
            (MapLayer.ROADBLOCK, [b.id for b in self.blocks], list(block_polygons)),
            (MapLayer.LANE, [lane.id for lane in lanes], [lane.polygon for lane in lanes]),
            (MapLayer.LANE_CONNECTOR, [lane.id for lane in connectors], [lane.polygon for lane in connectors]),
            (MapLayer.INTERSECTION, list(road_map.intersections), list(road_map.intersections.values())),
            (MapLayer.CARPARK_AREA, list(road_map.carparks), list(road_map.carparks.values())),
        ]
        sizes = [len(ids) for _, ids, _ in layers]
        self.first_element = dict(
            zip([layer for layer, _, _ in layers], np.cumsum([0, *sizes[:-1]]).tolist(), strict=True)
        )
        element_layer = np.repeat(np.array([layer for layer, _, _ in layers], np.int64), sizes)
        element_tokens = [token for _, ids, _ in layers for token in ids]
        baselines = [
            road_map.lanes[token].baseline if layer in LANES else np.zeros((0, 3))
            for layer, token in zip(element_layer, element_tokens, strict=True)
        ]
        surfaces = [polygon for _, _, polygons in layers for polygon in polygons]
        self.element_fault = [
            _surface_fault(surface) or (_baseline_fault(line) if layer in LANES else "")
            for surface, line, layer in zip(surfaces, baselines, element_layer, strict=True)
        ]
        self.element_surfaces = _objects(
            Polygon() if fault else p for p, fault in zip(surfaces, self.element_fault, strict=True)
        )
        self.shapes = MapShapes(
            layer=element_layer,
            tokens=tuple(element_tokens),
            polygons=flatten_polygons(self.element_surfaces),
            baseline_offset=np.cumsum([0, *(len(line) for line in baselines)]),
            baselines=np.concatenate(baselines),
        )
        self.lane_element = {
            lane.id: self.first_element[MapLayer.LANE] + i for i, lane in enumerate(lanes + connectors)
        }
        self.lane_elements = {
            b.id: np.array([self.lane_element[i] for i in b.lane_ids], np.int64) for b in road_map.roadblocks.values()
        }

    @cached_property
    def lane_lines(self) -> dict[str, LineString]:
        """Baselines of all lanes and connectors by id."""
        lanes = self.road_map.lanes.values()
        return {lane.id: LineString(lane.baseline[:, :2] if len(lane.baseline) > 1 else []) for lane in lanes}

    def lane_polygons(self, lane_ids: Sequence[str]) -> NDArray[np.object_]:
        """(n,) surfaces of lanes and connectors."""
        return _objects(self.road_map.lanes[lane_id].polygon for lane_id in lane_ids)

    def lane(self, lane_id: str) -> Lane:
        return self.road_map.lanes[lane_id]

    def block(self, block_id: str) -> Roadblock:
        return self.road_map.roadblocks[block_id]

    def speed_limit_mps(self, lane_id: str) -> float:
        """Limit of a lane or connector [m/s]; 15 where the map has none."""
        limit = self.lane(lane_id).speed_limit_mps
        return DEFAULT_SPEED_LIMIT_MPS if limit is None or not np.isfinite(limit) else float(limit)

    def connectors_overlap(self, a: str, b: str) -> bool:
        """True if two roadblock connectors share more than 1 m^2."""
        key = (a, b) if a < b else (b, a)
        if key not in self._overlaps:
            first, second = self._polygon_of_connector[a], self._polygon_of_connector[b]
            self._overlaps[key] = bool(
                shapely.intersects(first, second) and shapely.intersection(first, second).area > LOOP_OVERLAP_M2
            )
        return self._overlaps[key]

    def _block_path(
        self, start: str, targets: tuple[str, ...], forward: bool, max_blocks: int
    ) -> tuple[str, ...] | None:
        """Remembered :func:`shortest_block_path` along (or against) the driving direction."""
        blocks = self.road_map.roadblocks

        def neighbors(block_id: str) -> Sequence[str]:
            block = blocks[block_id]
            return [i for i in (block.outgoing if forward else block.incoming) if i in blocks]

        return shortest_block_path(start, frozenset(targets), neighbors, max_blocks)


_indices: OrderedDict[int, MapIndex] = OrderedDict()


def map_index(road_map: RoadMap) -> MapIndex:
    """The index of a map: built at the first call, then shared by all scenes of that map."""
    key = id(road_map)
    index = _indices.get(key)
    if index is None or index.road_map is not road_map:
        index = _indices[key] = MapIndex(road_map)
    _indices.move_to_end(key)
    while len(_indices) > KEPT_INDICES:
        _indices.popitem(last=False)
    return index


def _objects(items: Iterable[object]) -> NDArray[np.object_]:
    items = list(items)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _surface_fault(surface: object) -> str:
    """Why a surface cannot be used, or "" if it can."""
    if not isinstance(surface, Polygon):
        return f"is a {getattr(surface, 'geom_type', type(surface).__name__)}, not a Polygon"
    if surface.is_empty:
        return "is empty"
    if not np.isfinite(shapely.get_coordinates(surface)).all():
        return "has coordinates that are not finite"
    if not surface.area > 0:
        return "has no area"
    return ""


def _baseline_fault(baseline: NDArray[np.float64]) -> str:
    """Why a baseline cannot be used, or "" if it can."""
    if len(baseline) < 2:
        return "has a baseline with fewer than two points"
    if not np.isfinite(baseline).all():
        return "has a baseline with coordinates that are not finite"
    return ""
