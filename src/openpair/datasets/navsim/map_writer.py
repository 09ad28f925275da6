"""Road maps -> a folder of nuPlan maps, with all the layers that the original opens."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from openpair.datasets.environment import DEFAULT_MAP_VERSION
from openpair.datasets.navsim.geopackage_writer import Row, write_geopackage
from openpair.datasets.navsim.map_layers import LAYERS
from openpair.datasets.navsim.maps import LOCATIONS
from openpair.datasets.navsim.stub_map import stub_map
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap
from openpair.errors import OpenPairError

MAP_VERSIONS: Final = {
    "sg-one-north": "9.17.1964",
    "us-ma-boston": "9.12.1817",
    "us-nv-las-vegas-strip": "9.15.1915",
    "us-pa-pittsburgh-hazelwood": "9.17.1937",
}
LOCATION_EPSG: Final = {
    "sg-one-north": 32648,
    "us-ma-boston": 32619,
    "us-nv-las-vegas-strip": 32611,
    "us-pa-pittsburgh-hazelwood": 32617,
}
"""UTM zones of the real locations."""

SOLID_BOUNDARY: Final = 2
SIGNALISED_INTERSECTION: Final = 1
STOP_SIGN_POLYGON: Final = 1
TRAFFIC_LIGHT_POLYGON: Final = 2


def write_maps(maps_root: Path, maps: Mapping[str, RoadMap]) -> None:
    """Write a folder of nuPlan maps: all four locations, the unused ones as stubs, and their index.

    Args:
        maps_root: folder that is made or added to.
        maps: road map by location name.

    Raises:
        OpenPairError: a location that NAVSIM does not know, or a map that the format cannot hold (:func:`write_map`).
    """
    unknown = [location for location in maps if location not in LOCATIONS]
    if unknown:
        raise OpenPairError(f"NAVSIM knows no location '{unknown[0]}'", fix=f"Use one of {', '.join(LOCATIONS)}")
    for location in LOCATIONS:
        road_map = maps[location] if location in maps else stub_map(location, LOCATION_EPSG[location])
        epsg = road_map.epsg or LOCATION_EPSG[location]
        write_map(maps_root / location / MAP_VERSIONS[location] / "map.gpkg", road_map, epsg)
    index = {location: {"version": MAP_VERSIONS[location], "layers": {}} for location in LOCATIONS}
    (maps_root / f"{DEFAULT_MAP_VERSION}.json").write_text(json.dumps(index, indent=1) + "\n")


def write_map(path: Path, road_map: RoadMap, epsg: int) -> None:
    """Write one map as a GeoPackage. The file appears whole or not at all.

    Boundaries of lanes are made from centre line and width, since a :class:`RoadMap` has none.

    Args:
        path: the file.
        road_map: ids are decimal integers, unique over all layers and ascending within each (SQLite hands rows out
            by id, and file order has a meaning).
        epsg: metric coordinate system of the geometry.

    Raises:
        OpenPairError: the ids do not fit the format, or a reference points nowhere.
    """
    tables = _Tables(_next_id(road_map, path))
    _fill(tables, road_map)
    write_geopackage(path, LAYERS, tables.rows, epsg=epsg, meta={"projectedCoordSystem": f"EPSG:{epsg}"})


@dataclass
class _Tables:
    """Rows of all layers, and the one id counter that they share."""

    ids: Iterator[int]
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in LAYERS})

    def add(self, layer: str, geometry: BaseGeometry, fid: str | None = None, **columns: Any) -> int:
        key = next(self.ids) if fid is None else int(fid)
        self.rows[layer].append((key, geometry, columns))
        return key


def _fill(tables: _Tables, road_map: RoadMap) -> None:
    edges: dict[str, tuple[int, int]] = {}
    for lane in road_map.lanes.values():
        width = lane_width(lane)
        left, right = (
            tables.add(
                "boundaries", LineString(offset_line(lane.baseline, side * width / 2)), boundary_type_fid=SOLID_BOUNDARY
            )
            for side in (1, -1)
        )
        edges[lane.id] = left, right
        if lane.is_connector:
            _add_connector(tables, road_map, lane, left, right)
        else:
            tables.add(
                "lanes_polygons",
                lane.polygon,
                lane.id,
                lane_fid=int(lane.id),
                lane_group_fid=_optional_int(lane.roadblock_id),
                lane_index=lane.index,
                lane_type_fid=0,
                speed_limit_mps=lane.speed_limit_mps,
                left_boundary_fid=left,
                right_boundary_fid=right,
                width=width,
            )
        tables.add(
            "baseline_paths",
            LineString(lane.baseline[:, :2]),
            lane_fid=None if lane.is_connector else int(lane.id),
            lane_connector_fid=int(lane.id) if lane.is_connector else None,
            path_type_fid=0,
        )
    for block in road_map.roadblocks.values():
        _add_block(tables, road_map, block, edges)
    guarded = {stop for lane in road_map.lanes.values() for stop in lane.stop_line_ids}
    for key, polygon in road_map.intersections.items():
        tables.add("intersections", polygon, key, intersection_type_fid=SIGNALISED_INTERSECTION, is_mini=0)
    for key, polygon in road_map.stop_lines.items():
        kind = TRAFFIC_LIGHT_POLYGON if key in guarded else STOP_SIGN_POLYGON
        tables.add("stop_polygons", polygon, key, stop_polygon_type_fid=kind, lane_fids="")
        if key in guarded:
            tables.add("traffic_lights", polygon.centroid, stop_polygon_fid=int(key))
    for key, polygon in road_map.crosswalks.items():
        tables.add("crosswalks", polygon, key, intersection_fids="")
    for layer, areas in (
        ("walkways", road_map.walkways),
        ("carpark_areas", road_map.carparks),
        ("generic_drivable_areas", road_map.drivable_areas),
    ):
        for key, polygon in areas.items():
            tables.add(layer, polygon, key)


def _add_connector(tables: _Tables, road_map: RoadMap, lane: Lane, left: int, right: int) -> None:
    start, end = (ends[0] if ends else "" for ends in (lane.incoming, lane.outgoing))
    block = road_map.roadblocks.get(lane.roadblock_id)
    tables.add(
        "lane_connectors",
        LineString(lane.baseline[:, :2]),
        lane.id,
        exit_lane_fid=_optional_int(start),
        entry_lane_fid=_optional_int(end),
        exit_lane_group_fid=_optional_int(road_map.lanes[start].roadblock_id) if start else None,
        entry_lane_group_fid=_optional_int(road_map.lanes[end].roadblock_id) if end else None,
        lane_group_connector_fid=_optional_int(lane.roadblock_id),
        intersection_fid=_optional_int(block.intersection_id if block else None),
        speed_limit_mps=lane.speed_limit_mps,
        traffic_light_stop_line_fids=",".join(lane.stop_line_ids),
        turn_type_fid=turn_type(lane.baseline),
    )
    tables.add(
        "gen_lane_connectors_scaled_width_polygons",
        lane.polygon,
        lane_connector_fid=int(lane.id),
        left_boundary_fid=left,
        right_boundary_fid=right,
    )


def _add_block(tables: _Tables, road_map: RoadMap, block: Roadblock, edges: dict[str, tuple[int, int]]) -> None:
    across = sorted((road_map.lanes[lane] for lane in block.lane_ids), key=lambda lane: lane.index)
    left = edges[across[0].id][0] if across else None
    right = edges[across[-1].id][1] if across else None
    polygon = block.polygon
    if polygon is None:
        union = shapely.union_all([lane.polygon for lane in across])
        polygon = union if isinstance(union, Polygon) else union.convex_hull
    if block.is_connector:
        start, end = (ends[0] if ends else "" for ends in (block.incoming, block.outgoing))
        tables.add(
            "lane_group_connectors",
            polygon,
            block.id,
            from_lane_group_fid=_optional_int(start),
            to_lane_group_fid=_optional_int(end),
            intersection_fid=_optional_int(block.intersection_id),
            left_boundary_fid=left,
            right_boundary_fid=right,
        )
    else:
        tables.add("lane_groups_polygons", polygon, block.id, left_boundary_fid=left, right_boundary_fid=right)
        tables.add("road_segments", polygon)


def lane_width(lane: Lane) -> float:
    """Mean width of a lane [m]: its area over the length of its centre line."""
    length = float(np.hypot(*np.diff(lane.baseline[:, :2], axis=0).T).sum())
    return float(lane.polygon.area) / length if length > 0 else 0.0


def offset_line(baseline: NDArray[np.float64], distance: float) -> NDArray[np.float64]:
    """(M, 2) vertices of a baseline (M, 3) moved to its left by ``distance`` [m]."""
    normal = np.column_stack([-np.sin(baseline[:, 2]), np.cos(baseline[:, 2])])
    return np.asarray(baseline[:, :2] + distance * normal)


def turn_type(baseline: NDArray[np.float64]) -> int:
    """nuPlan's number for the way a connector (M, 3) turns: 0 straight, 1 left, 2 right, 3 U-turn."""
    turn = math.remainder(float(baseline[-1, 2] - baseline[0, 2]), 2 * math.pi)
    if abs(turn) > math.radians(150):
        return 3
    if abs(turn) < math.radians(30):
        return 0
    return 1 if turn > 0 else 2


def _optional_int(key: str | None) -> int | None:
    return int(key) if key else None


def _layers_of(road_map: RoadMap) -> dict[str, Iterable[str]]:
    """Ids of the map by the layer whose keys they become."""
    return {
        "lanes_polygons": [key for key, lane in road_map.lanes.items() if not lane.is_connector],
        "lane_connectors": [key for key, lane in road_map.lanes.items() if lane.is_connector],
        "lane_groups_polygons": [key for key, block in road_map.roadblocks.items() if not block.is_connector],
        "lane_group_connectors": [key for key, block in road_map.roadblocks.items() if block.is_connector],
        "intersections": road_map.intersections,
        "carpark_areas": road_map.carparks,
        "crosswalks": road_map.crosswalks,
        "walkways": road_map.walkways,
        "generic_drivable_areas": road_map.drivable_areas,
        "stop_polygons": road_map.stop_lines,
    }


def _next_id(road_map: RoadMap, path: Path) -> Iterator[int]:
    """Counter for further rows, after a check of the map's own ids and references."""
    used: set[int] = set()
    for layer, keys in _layers_of(road_map).items():
        if not all(key.isdecimal() for key in keys):
            bad = next(key for key in keys if not key.isdecimal())
            raise OpenPairError(f"id '{bad}' is not a decimal integer, as layer '{layer}' needs", where=path)
        numbers = [int(key) for key in keys]
        if numbers != sorted(set(numbers)):
            raise OpenPairError(f"ids of layer '{layer}' are not ascending, so file order would be lost", where=path)
        if used & set(numbers):
            raise OpenPairError(
                f"id {min(used & set(numbers))} of layer '{layer}' occurs in another layer, too", where=path
            )
        used |= set(numbers)
    for table in (road_map.lanes, road_map.roadblocks):
        for item in table.values():
            lost = [key for key in (*item.incoming, *item.outgoing) if key not in table]
            if lost:
                raise OpenPairError(f"{item.id} is joined to {lost[0]}, which the map does not hold", where=path)
            if item.is_connector and (len(item.incoming) > 1 or len(item.outgoing) > 1):
                raise OpenPairError(f"connector {item.id} has several ends on one side", where=path)
    for lane in road_map.lanes.values():
        if lane.roadblock_id and lane.roadblock_id not in road_map.roadblocks:
            raise OpenPairError(f"lane {lane.id} belongs to {lane.roadblock_id}, which is not in the map", where=path)
    return count(max(used, default=0) + 1)
