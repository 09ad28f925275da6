"""nuPlan's GeoPackage maps -> :class:`RoadMap`, file order and graph as the original reads them."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPolygon, Polygon

from openpair.damage import reading
from openpair.datasets.environment import DEFAULT_MAP_VERSION
from openpair.datasets.navsim.geopackage import GeoPackage, Layer, open_geopackage
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap
from openpair.errors import OpenPairError

LOCATIONS: Final = ("sg-one-north", "us-ma-boston", "us-nv-las-vegas-strip", "us-pa-pittsburgh-hazelwood")
"""The location names that the original accepts."""


def map_path(maps_root: Path, location: str, version: str = DEFAULT_MAP_VERSION) -> Path:
    """File of a location's map, ``<maps_root>/<location>/<version of the location>/map.gpkg``.

    Raises:
        OpenPairError: the folder, its index ``<version>.json`` or the location's entry is missing.
    """
    index_path = maps_root / f"{version}.json"
    if not index_path.is_file():
        raise OpenPairError(
            f"there is no '{index_path.name}', so this is not a folder of nuPlan maps",
            where=maps_root,
            fix="Point NUPLAN_MAPS_ROOT (or --root) to the folder that holds it",
        )
    with reading(index_path, "the index of maps"):
        index = json.loads(index_path.read_text(encoding="utf-8-sig"))
        if not isinstance(index, dict):
            raise ValueError("it names no locations")
        known = {str(name): str(entry["version"]) for name, entry in index.items()}
    if location not in known:
        raise OpenPairError(f"there is no map '{location}' (there are {', '.join(known)})", where=index_path)
    return maps_root / location / known[location] / "map.gpkg"


def read_map(path: Path, name: str) -> RoadMap:
    """Read a map file.

    Args:
        path: a ``map.gpkg``.
        name: location name that the result carries.

    Raises:
        OpenPairError: the file is missing or damaged, or lacks a layer or column.
    """
    with open_geopackage(path) as package, reading(path, "the map"):
        return _road_map(package, name)


def baseline_states(line: LineString) -> NDArray[np.float64]:
    """(M, 3) x [m], y [m], heading [rad]: the line's vertices, heading to the next vertex, the last one repeated."""
    xy = shapely.get_coordinates(line)
    return with_headings(xy)


def with_headings(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, 2) vertices [m] of a line, M >= 2 -> (M, 3) with the heading [rad] to the next vertex, the last repeated.

    The C library's arc tangent, as in the original: numpy's vector version can differ in the last digit.
    """
    heading = [math.atan2(dy, dx) for dx, dy in np.diff(xy, axis=0).tolist()]
    return np.column_stack([xy, [*heading, heading[-1]]])


def _road_map(package: GeoPackage, name: str) -> RoadMap:
    lanes = package.layer("lanes_polygons", ("lane_group_fid", "speed_limit_mps"), ("lane_fid", "lane_index"))
    connectors = package.layer(
        "lane_connectors",
        ("exit_lane_fid", "entry_lane_fid", "lane_group_connector_fid", "speed_limit_mps"),
        ("traffic_light_stop_line_fids",),
    )
    surfaces = package.layer("gen_lane_connectors_scaled_width_polygons", ("lane_connector_fid",))
    baselines = package.layer("baseline_paths", ("lane_fid", "lane_connector_fid"))
    blocks = package.layer("lane_groups_polygons")
    movements = package.layer(
        "lane_group_connectors", ("from_lane_group_fid", "to_lane_group_fid"), ("intersection_fid",)
    )
    source = _Source(package.path)

    connector_surface = source.by_key(surfaces, "lane_connector_fid")
    lane_baseline = source.by_key(baselines, "lane_fid")
    connector_baseline = source.by_key(baselines, "lane_connector_fid")
    lane_ids = {str(fid) for fid in lanes.fid}
    block_ids = {str(fid) for fid in blocks.fid}

    # Edges in file order of the connectors. Edges to lanes or blocks outside the map are left out.
    connector_ends = _ends(connectors, "exit_lane_fid", "entry_lane_fid", lane_ids)
    movement_ends = _ends(movements, "from_lane_group_fid", "to_lane_group_fid", block_ids)
    lane_out, lane_in = _edges(connectors, connector_ends)
    block_out, block_in = _edges(movements, movement_ends)

    all_lanes: dict[str, Lane] = {}
    block_lanes: dict[str, list[str]] = defaultdict(list)
    for i, fid in enumerate(lanes.fid):
        lane_id, block_id = str(fid), _id(lanes.columns["lane_group_fid"][i])
        block_lanes[block_id].append(lane_id)
        all_lanes[lane_id] = Lane(
            id=lane_id,
            is_connector=False,
            roadblock_id=block_id,
            polygon=source.polygon(lanes.geometry[i], lanes.name, fid),
            baseline=source.baseline(lane_baseline.get(lane_id), "lane", lane_id),
            incoming=tuple(lane_in[lane_id]),
            outgoing=tuple(lane_out[lane_id]),
            speed_limit_mps=_number(lanes.columns["speed_limit_mps"][i]),
            index=int(lanes.columns["lane_index"][i] or 0),
        )
    movement_lanes: dict[str, list[str]] = defaultdict(list)
    for i, fid in enumerate(connectors.fid):
        lane_id, block_id = str(fid), _id(connectors.columns["lane_group_connector_fid"][i])
        movement_lanes[block_id].append(lane_id)
        start, end = connector_ends[i]
        all_lanes[lane_id] = Lane(
            id=lane_id,
            is_connector=True,
            roadblock_id=block_id,
            polygon=source.polygon(connector_surface.get(lane_id), surfaces.name, fid),
            baseline=source.baseline(connector_baseline.get(lane_id), "lane connector", lane_id),
            incoming=(start,) if start else (),
            outgoing=(end,) if end else (),
            speed_limit_mps=_number(connectors.columns["speed_limit_mps"][i]),
            stop_line_ids=_id_list(connectors.columns["traffic_light_stop_line_fids"][i]),
        )

    roadblocks: dict[str, Roadblock] = {}
    for i, fid in enumerate(blocks.fid):
        block_id = str(fid)
        roadblocks[block_id] = Roadblock(
            id=block_id,
            is_connector=False,
            polygon=source.polygon(blocks.geometry[i], blocks.name, fid),
            lane_ids=tuple(block_lanes[block_id]),
            incoming=tuple(block_in[block_id]),
            outgoing=tuple(block_out[block_id]),
        )
    for i, fid in enumerate(movements.fid):
        block_id = str(fid)
        start, end = movement_ends[i]
        roadblocks[block_id] = Roadblock(
            id=block_id,
            is_connector=True,
            polygon=source.polygon(movements.geometry[i], movements.name, fid),
            lane_ids=tuple(movement_lanes[block_id]),
            incoming=(start,) if start else (),
            outgoing=(end,) if end else (),
            intersection_id=_id(movements.columns["intersection_fid"][i]) or None,
        )

    return RoadMap(
        name=name,
        lanes=all_lanes,
        roadblocks=roadblocks,
        intersections=source.polygons(package.layer("intersections")),
        carparks=source.polygons(package.layer("carpark_areas")),
        crosswalks=_optional_polygons(package, source, "crosswalks"),
        walkways=_optional_polygons(package, source, "walkways"),
        drivable_areas=_optional_polygons(package, source, "generic_drivable_areas"),
        stop_lines=_optional_polygons(package, source, "stop_polygons"),
        epsg=package.epsg,
    )


class _Source:
    """Turns geometry of a map file into what a :class:`RoadMap` holds, with messages that name the place."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def polygon(self, geometry: Any, layer: str, fid: object) -> Polygon:
        if isinstance(geometry, MultiPolygon) and len(geometry.geoms) == 1:
            geometry = geometry.geoms[0]
        if not isinstance(geometry, Polygon):
            kind = "missing" if geometry is None else f"a {geometry.geom_type}"
            raise OpenPairError(
                f"the surface of element {fid} in layer '{layer}' is {kind}, but must be one polygon", where=self.path
            )
        return geometry

    def baseline(self, geometry: Any, kind: str, lane_id: str) -> NDArray[np.float64]:
        if not isinstance(geometry, LineString) or len(geometry.coords) < 2:
            raise OpenPairError(f"{kind} {lane_id} has no line in layer 'baseline_paths'", where=self.path)
        return baseline_states(geometry)

    def polygons(self, layer: Layer) -> dict[str, Polygon]:
        """Polygons of a layer by id; rows without geometry cover nothing and are left out."""
        pairs = zip(layer.fid, layer.geometry, strict=True)
        return {str(fid): self.polygon(geometry, layer.name, fid) for fid, geometry in pairs if geometry is not None}

    @staticmethod
    def by_key(layer: Layer, column: str) -> dict[str, Any]:
        """Geometry by the id in a column, the first row of an id winning; rows with NULL are left out."""
        result: dict[str, Any] = {}
        for value, geometry in zip(layer.columns[column], layer.geometry, strict=True):
            if key := _id(value):
                result.setdefault(key, geometry)
        return result


def _optional_polygons(package: GeoPackage, source: _Source, name: str) -> dict[str, Polygon]:
    return source.polygons(package.layer(name)) if package.has_layer(name) else {}


def _ends(layer: Layer, start: str, end: str, known: set[str]) -> list[tuple[str, str]]:
    """(start id, end id) of every row; "" for ids that the map does not hold."""
    starts, ends = ([_id(value) for value in layer.columns[column]] for column in (start, end))
    return [(a if a in known else "", b if b in known else "") for a, b in zip(starts, ends, strict=True)]


def _edges(layer: Layer, ends: list[tuple[str, str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Outgoing and incoming connector ids of every lane (or block), file order."""
    outgoing: dict[str, list[str]] = defaultdict(list)
    incoming: dict[str, list[str]] = defaultdict(list)
    for fid, (start, end) in zip(layer.fid, ends, strict=True):
        outgoing[start].append(str(fid))
        incoming[end].append(str(fid))
    return outgoing, incoming


def _id(value: object) -> str:
    """Id as text: 60003, 60003.0 and "60003" are the same; "" for NULL."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, int | float) else str(value)


def _id_list(value: object) -> tuple[str, ...]:
    """Ids in a text column: "60883", "60883,60884" or "[60883, 60884]"."""
    return tuple(re.findall(r"\d+", str(value))) if value is not None else ()


def _number(value: object) -> float | None:
    if value is None:
        return None
    number = float(value)  # type: ignore[arg-type]
    return None if math.isnan(number) else number
