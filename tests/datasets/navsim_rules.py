"""Every rule that the original's readers set for logs and maps, as checks of files."""

from __future__ import annotations

import json
import pickle
import pickletools
import re
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely

from openpair.datasets.navsim.geopackage import wkb_of_blob
from openpair.datasets.navsim.logs import CAMERA_KEYS
from openpair.datasets.navsim.maps import LOCATIONS, map_path, read_map
from openpair.datatypes.columns import AgentCategory

FRAME_KEYS = {
    *("token", "frame_idx", "timestamp", "log_name", "log_token", "scene_name", "scene_token", "map_location"),
    *("roadblock_ids", "vehicle_name", "can_bus", "lidar_path", "lidar2ego_translation", "lidar2ego_rotation"),
    *("ego2global_translation", "ego2global_rotation", "ego_dynamic_state", "traffic_lights", "driving_command"),
    *("cams", "sample_prev", "sample_next", "ego2global", "lidar2ego", "lidar2global", "anns"),
}
"""Keys of a frame in NAVSIM's own files."""


def check_log(path: Path) -> list[dict[str, Any]]:
    """Rows of a log, after a check of its pickle and of each row."""
    data = path.read_bytes()
    assert data[:2] == b"\x80\x04", "protocol 4"
    operations = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(data)]
    names = {argument for name, argument in operations if name == "GLOBAL"}
    assert names <= {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}, "numpy 1 module names"
    assert "STACK_GLOBAL" not in {name for name, _ in operations}
    rows = pickle.loads(data)
    assert type(rows) is list
    tokens = [row["token"] for row in rows]
    assert len(set(tokens)) == len(tokens)
    for row, before, after in zip(rows, [None, *tokens], [*tokens[1:], None], strict=False):
        check_row(row, path.stem)
        assert (row["sample_prev"], row["sample_next"]) == (before, after)
    for a, b in pairwise(rows):
        assert abs(b["timestamp"] - a["timestamp"] - 500_000) < 20_000
    return rows


def check_row(row: dict[str, Any], log_name: str) -> None:
    """One frame of a log."""
    assert row.keys() == FRAME_KEYS
    assert re.fullmatch("[0-9a-f]{16}", row["token"])
    assert re.fullmatch("[0-9a-f]{16}", row["scene_token"])
    assert type(row["timestamp"]) is int
    assert row["log_name"] == log_name
    assert row["map_location"] in LOCATIONS
    assert all(type(block) is str and block.isdecimal() for block in row["roadblock_ids"])
    assert row["ego2global_translation"].dtype == np.float64
    assert row["ego2global_translation"].shape == (3,)
    assert abs(np.linalg.norm(row["ego2global_rotation"]) - 1) < 1e-12
    assert len(row["ego_dynamic_state"]) == 4
    assert row["driving_command"].shape == (4,)
    assert row["driving_command"].sum() == 1
    assert row["can_bus"].shape == (18,)
    assert row["ego2global"].shape == row["lidar2global"].shape == row["lidar2ego"].shape == (4, 4)
    for light in row["traffic_lights"]:
        assert type(light) is tuple
        assert (type(light[0]), type(light[1])) == (int, bool)
    assert re.fullmatch(rf"{re.escape(log_name)}/MergedPointCloud/[0-9a-f]{{16}}\.pcd", row["lidar_path"])
    check_cameras(row["cams"], log_name)
    check_annotations(row["anns"])


def check_cameras(cameras: dict[str, Any], log_name: str) -> None:
    """All eight cameras of a frame."""
    assert tuple(cameras) == CAMERA_KEYS
    shapes = {
        "sensor2lidar_rotation": (3, 3),
        "sensor2lidar_translation": (3,),
        "cam_intrinsic": (3, 3),
        "distortion": (5,),
    }
    for key, camera in cameras.items():
        assert re.fullmatch(rf"{re.escape(log_name)}/{key}/[0-9a-f]{{16}}\.jpg", camera["data_path"])
        assert {name: camera[name].shape for name in shapes} == shapes
        rotation = camera["sensor2lidar_rotation"]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) > 0
        assert rotation[2, 1] < -0.9, "the second column is the optical axis that points down"


def check_annotations(annotations: dict[str, Any]) -> None:
    """Objects of a frame."""
    count = len(annotations["track_tokens"])
    assert annotations["gt_boxes"].shape == (count, 7)
    assert annotations["gt_boxes"].dtype == np.float64
    assert annotations["gt_velocity_3d"].shape == (count, 3)
    assert annotations["gt_names"].shape == (count,)
    assert set(annotations["gt_names"].tolist()) <= {category.navsim_name for category in AgentCategory}
    assert len(annotations["instance_tokens"]) == count
    assert len(set(annotations["track_tokens"])) == count
    assert all(type(token) is str for token in annotations["track_tokens"] + annotations["instance_tokens"])


def check_maps(maps_root: Path, columns: dict[str, dict[str, str]] | None = None) -> None:
    """A folder of maps: its index and all four locations.

    Args:
        maps_root: the folder.
        columns: SQL types by column and table that every map must have; None = not checked.
    """
    index = json.loads((maps_root / "nuplan-maps-v1.0.json").read_text())
    assert set(index) == set(LOCATIONS)
    assert all(set(entry) == {"version", "layers"} for entry in index.values())
    for location in LOCATIONS:
        check_map(map_path(maps_root, location), columns)


def columns_of(path: Path) -> dict[str, dict[str, str]]:
    """SQL types by column and table of a map file."""
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT table_name FROM gpkg_contents")]
    return {table: {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({table})")} for table in tables}


def check_map(path: Path, columns: dict[str, dict[str, str]] | None = None) -> None:
    """One map file."""
    if columns is not None:
        assert columns_of(path) == columns
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (0x47504B47,)
    (system,) = connection.execute("SELECT value FROM meta WHERE key = 'projectedCoordSystem'").fetchone()
    assert pyproj.CRS.from_user_input(system).is_projected
    ids: list[int] = []
    for table, kind, srs in connection.execute(
        "SELECT table_name, geometry_type_name, srs_id FROM gpkg_geometry_columns"
    ):
        assert f"EPSG:{srs}" == system
        rows = connection.execute(f"SELECT fid, geom FROM {table}").fetchall()
        ids += [fid for fid, _ in rows]
        geometry = shapely.from_wkb([wkb_of_blob(blob) for _, blob in rows])
        assert {shape.geom_type.upper() for shape in geometry} <= {kind}, "single parts, no MultiPolygon"
        assert not any(shapely.has_z(geometry))
        assert not any(shapely.is_empty(geometry))
    assert len(set(ids)) == len(ids), "one id counter over all layers"
    assert all(a == b for a, b in connection.execute("SELECT fid, lane_fid FROM lanes_polygons"))
    boundaries = {fid for (fid,) in connection.execute("SELECT fid FROM boundaries")}
    for table in (
        *("lanes_polygons", "gen_lane_connectors_scaled_width_polygons"),
        *("lane_groups_polygons", "lane_group_connectors"),
    ):
        for pair in connection.execute(f"SELECT left_boundary_fid, right_boundary_fid FROM {table}"):
            assert set(pair) <= boundaries
    assert all(
        (lane is None) != (connector is None)
        for lane, connector in connection.execute("SELECT lane_fid, lane_connector_fid FROM baseline_paths")
    )
    assert {kind for (kind,) in connection.execute("SELECT boundary_type_fid FROM boundaries")} <= {0, 2}
    check_meaning(path)


def check_meaning(path: Path) -> None:
    """What scores depend on: connectors joined at both ends and covered by intersections, lanes in blocks."""
    road_map = read_map(path, "map")
    crossings = shapely.union_all([polygon.buffer(0.3) for polygon in road_map.intersections.values()])
    connectors = [lane for lane in road_map.lanes.values() if lane.is_connector]
    assert connectors
    for lane in connectors:
        assert len(lane.incoming) == len(lane.outgoing) == 1
        assert crossings.covers(lane.polygon), "connectors do not count as drivable, so intersections must cover them"
    for block in road_map.roadblocks.values():
        assert block.lane_ids
        assert block.polygon is not None
        if block.is_connector:
            assert len(block.incoming) == len(block.outgoing) == 1
            assert block.intersection_id in road_map.intersections
    for lane in road_map.lanes.values():
        assert lane.id in road_map.roadblocks[lane.roadblock_id].lane_ids
        assert set(lane.stop_line_ids) <= set(road_map.stop_lines)
