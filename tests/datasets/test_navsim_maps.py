"""Maps from golden GeoPackages: polygons, lines and graph as the original reads them; damaged maps refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely

from openpair.datasets.navsim.geopackage import geometry_blob, open_geopackage, wkb_of_blob
from openpair.datasets.navsim.maps import map_path, read_map
from openpair.datatypes.columns import MapLayer
from openpair.datatypes.road_map import RoadMap
from openpair.errors import OpenPairError

TOWNS = ("us-ma-boston", "sg-one-north")


@pytest.fixture(scope="module")
def towns(navsim_root: Path) -> dict[str, RoadMap]:
    return {name: read_map(map_path(navsim_root / "maps", name), name) for name in TOWNS}


@pytest.mark.parametrize("town", TOWNS)
@pytest.mark.parametrize("version", ["v1.1", "v2.2"])
def test_polygons_are_those_of_the_metric_cache(
    navsim_root: Path, towns: dict[str, RoadMap], town: str, version: str
) -> None:
    road_map = towns[town]
    cache = np.load(navsim_root / f"golden/cache/{version}/map_{town}.npz")
    source = {
        MapLayer.LANE: lambda token: road_map.lanes[token].polygon,
        MapLayer.LANE_CONNECTOR: lambda token: road_map.lanes[token].polygon,
        MapLayer.ROADBLOCK: lambda token: road_map.roadblocks[token].polygon,
        MapLayer.INTERSECTION: lambda token: road_map.intersections[token],
        MapLayer.CARPARK_AREA: lambda token: road_map.carparks[token],
    }
    assert len(cache["token"]) > 200
    for i, (layer, token) in enumerate(zip(cache["type"], cache["token"], strict=True)):
        start, end = cache["poly_offset"][i : i + 2]
        ring = shapely.get_coordinates(source[MapLayer(layer)](str(token)).exterior)
        assert np.array_equal(ring, cache["poly_xy"][start:end])


def test_baselines_are_those_of_the_centerlines(navsim_root: Path, towns: dict[str, RoadMap]) -> None:
    known = {
        name: {tuple(state) for lane in town.lanes.values() for state in lane.baseline} for name, town in towns.items()
    }
    caches = [p for p in (navsim_root / "golden/cache/v1.1").glob("*.npz") if not p.stem.startswith("map_")]
    assert len(caches) == 56
    for path in caches:
        cache = np.load(path)
        states = known[str(cache["location"])]
        assert all(tuple(state) in states for state in cache["centerline"]), path.stem


@pytest.mark.parametrize("town", TOWNS)
def test_graph_is_consistent(towns: dict[str, RoadMap], town: str) -> None:
    road_map = towns[town]
    for table in (road_map.lanes, road_map.roadblocks):
        for key, item in table.items():
            assert item.id == key
            for other in item.outgoing:
                assert key in table[other].incoming
                assert table[other].is_connector != item.is_connector
            for other in item.incoming:
                assert key in table[other].outgoing
            if item.is_connector:
                assert len(item.outgoing) == len(item.incoming) == 1
        flags = [item.is_connector for item in table.values()]
        assert flags == sorted(flags)
    for block in road_map.roadblocks.values():
        assert block.lane_ids
        assert all(road_map.lanes[lane].roadblock_id == block.id for lane in block.lane_ids)
    for lane in road_map.lanes.values():
        assert lane.id in road_map.roadblocks[lane.roadblock_id].lane_ids
        assert set(lane.stop_line_ids) <= set(road_map.stop_lines)
    assert any(lane.stop_line_ids for lane in road_map.lanes.values())
    assert any(polygon.interiors for polygon in (lane.polygon for lane in road_map.lanes.values())) is False


def test_file_order_is_kept(navsim_root: Path, towns: dict[str, RoadMap]) -> None:
    connection = sqlite3.connect(map_path(navsim_root / "maps", TOWNS[0]))
    order = [
        str(row[0])
        for table in ("lanes_polygons", "lane_connectors")
        for row in connection.execute(f"SELECT fid FROM {table}")
    ]
    assert list(towns[TOWNS[0]].lanes) == order
    for block_id, block in towns[TOWNS[0]].roadblocks.items():
        if not block.is_connector:
            rows = connection.execute(
                "SELECT fid FROM lane_group_connectors WHERE from_lane_group_fid = ?", (int(block_id),)
            )
            assert block.outgoing == tuple(str(row[0]) for row in rows)


def copy_of_map(navsim_root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "map.gpkg"
    shutil.copyfile(map_path(navsim_root / "maps", "us-nv-las-vegas-strip"), path)
    return path


def test_degrees_are_reprojected(navsim_root: Path, tmp_path: Path) -> None:
    """A map stored in EPSG:4326, as nuPlan's are, comes out in the metric system that its meta table names."""
    path = copy_of_map(navsim_root, tmp_path)
    metric = read_map(path, "town")
    to_degrees = pyproj.Transformer.from_crs(metric.epsg, 4326, always_xy=True)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO gpkg_spatial_ref_sys VALUES ('WGS 84', 4326, 'EPSG', 4326, 'ignored', '')")
        for (table,) in connection.execute("SELECT table_name FROM gpkg_geometry_columns").fetchall():
            for fid, blob in connection.execute(f"SELECT fid, geom FROM {table}").fetchall():
                geometry = shapely.transform(
                    shapely.from_wkb(wkb_of_blob(blob)),
                    lambda xy: np.stack(to_degrees.transform(xy[:, 0], xy[:, 1]), axis=1),
                )
                envelope = geometry_blob(shapely.to_wkb(geometry), 4326)
                envelope = envelope[:3] + b"\x03" + envelope[4:8] + struct.pack("<4d", *([0.0] * 4)) + envelope[8:]
                connection.execute(f"UPDATE {table} SET geom = ? WHERE fid = ?", (envelope, fid))
        connection.execute("UPDATE gpkg_geometry_columns SET srs_id = 4326")
    read = read_map(path, "town")
    assert read.epsg == metric.epsg
    for key, lane in metric.lanes.items():
        np.testing.assert_allclose(read.lanes[key].baseline[:, :2], lane.baseline[:, :2], atol=1e-6)


def test_speed_limits_null_and_nan_are_none(navsim_root: Path, tmp_path: Path) -> None:
    path = copy_of_map(navsim_root, tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE lanes_polygons SET speed_limit_mps = NULL")
        connection.execute("UPDATE lane_connectors SET speed_limit_mps = 'nan'")
    limits = {lane.speed_limit_mps for lane in read_map(path, "town").lanes.values()}
    assert limits == {None}


def test_bad_maps(navsim_root: Path, tmp_path: Path) -> None:
    def error_of(*statements: str) -> str:
        path = copy_of_map(navsim_root, tmp_path)
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        with pytest.raises(OpenPairError) as caught:
            read_map(path, "town")
        assert str(path) in str(caught.value)
        return str(caught.value)

    assert "no layer 'intersections'" in error_of("DELETE FROM gpkg_geometry_columns WHERE table_name='intersections'")
    assert "cannot be read" in error_of("DROP TABLE intersections")
    assert "lacks the column exit_lane_fid" in error_of("ALTER TABLE lane_connectors RENAME COLUMN exit_lane_fid TO x")
    assert "damaged geometry" in error_of("UPDATE lanes_polygons SET geom = x'47500003'")
    assert "damaged geometry" in error_of("UPDATE lanes_polygons SET geom = substr(geom, 1, 30)")
    assert "has no line" in error_of("DELETE FROM baseline_paths")
    assert "is missing" in error_of("DELETE FROM gen_lane_connectors_scaled_width_polygons")
    assert "unknown coordinate system" in error_of("UPDATE meta SET value = 'EPSG:0'")

    path = tmp_path / "map.gpkg"
    whole = path.read_bytes()
    for content in (b"", b"not a database at all" * 100, whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(OpenPairError, match="map"):
            read_map(path, "town")
    with pytest.raises(OpenPairError, match="no such map file"), open_geopackage(tmp_path / "absent.gpkg"):
        pass


def test_map_root_messages(navsim_root: Path, tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match=r"nuplan-maps-v1.0.json"):
        map_path(tmp_path, "us-ma-boston")
    with pytest.raises(OpenPairError, match="no map 'atlantis'"):
        map_path(navsim_root / "maps", "atlantis")
    (tmp_path / "nuplan-maps-v1.0.json").write_text("[1]")
    with pytest.raises(OpenPairError, match="cannot be read"):
        map_path(tmp_path, "us-ma-boston")
    (tmp_path / "nuplan-maps-v1.0.json").write_text(json.dumps({"a": {"version": "1"}}))
    assert map_path(tmp_path, "a") == tmp_path / "a/1/map.gpkg"
