"""The layers of a nuPlan map file, as NAVSIM opens them."""

from __future__ import annotations

from typing import Final

LAYERS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "lanes_polygons": (
        "POLYGON",
        {"lane_fid": "INTEGER", "lane_group_fid": "INTEGER", "lane_index": "INTEGER", "lane_type_fid": "INTEGER",
         "speed_limit_mps": "REAL", "left_boundary_fid": "INTEGER", "right_boundary_fid": "INTEGER",
         "left_has_reflectors": "INTEGER", "right_has_reflectors": "INTEGER", "from_edge_fid": "INTEGER",
         "to_edge_fid": "INTEGER", "width": "REAL"},
    ),
    "lane_connectors": (
        "LINESTRING",
        {"exit_lane_fid": "INTEGER", "entry_lane_fid": "INTEGER", "exit_lane_group_fid": "INTEGER",
         "entry_lane_group_fid": "INTEGER", "lane_group_connector_fid": "INTEGER", "intersection_fid": "INTEGER",
         "speed_limit_mps": "REAL", "traffic_light_stop_line_fids": "TEXT", "turn_type_fid": "INTEGER",
         "overlap_fids": "TEXT", "bulb_fids": "TEXT"},
    ),
    "gen_lane_connectors_scaled_width_polygons": (
        "POLYGON",
        {"lane_connector_fid": "INTEGER", "left_boundary_fid": "INTEGER", "right_boundary_fid": "INTEGER"},
    ),
    "baseline_paths": (
        "LINESTRING",
        {"lane_fid": "INTEGER", "lane_connector_fid": "INTEGER", "path_type_fid": "INTEGER"},
    ),
    "boundaries": ("LINESTRING", {"boundary_type_fid": "INTEGER"}),
    "lane_groups_polygons": (
        "POLYGON",
        {"left_boundary_fid": "INTEGER", "right_boundary_fid": "INTEGER", "from_edge_fid": "INTEGER",
         "to_edge_fid": "INTEGER"},
    ),
    "lane_group_connectors": (
        "POLYGON",
        {"from_lane_group_fid": "INTEGER", "to_lane_group_fid": "INTEGER", "intersection_fid": "INTEGER",
         "left_boundary_fid": "INTEGER", "right_boundary_fid": "INTEGER"},
    ),
    "intersections": ("POLYGON", {"intersection_type_fid": "INTEGER", "is_mini": "INTEGER"}),
    "stop_polygons": ("POLYGON", {"stop_polygon_type_fid": "INTEGER", "lane_fids": "TEXT"}),
    "crosswalks": ("POLYGON", {"intersection_fids": "TEXT"}),
    "walkways": ("POLYGON", {}),
    "carpark_areas": ("POLYGON", {"heading": "REAL"}),
    "road_segments": ("POLYGON", {}),
    "generic_drivable_areas": ("POLYGON", {}),
    "traffic_lights": ("POINT", {"stop_polygon_fid": "INTEGER"}),
}  # fmt: skip
"""Geometry type and attribute columns (with their SQL types) of every layer, in the order they are written."""
