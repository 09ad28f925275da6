"""What the writers write: reads back as it was, and obeys every rule that the original's readers set."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from navsim_rules import FRAME_KEYS, check_log, check_maps, columns_of
from shapely.geometry import MultiPolygon, box

from openpair.datasets.navsim.geopackage import wkb_of_blob
from openpair.datasets.navsim.log_writer import write_log
from openpair.datasets.navsim.logs import RawLog, read_log
from openpair.datasets.navsim.map_writer import write_map, write_maps
from openpair.datasets.navsim.maps import LOCATIONS, map_path, read_map
from openpair.datasets.navsim.stub_map import stub_map
from openpair.datatypes.agents import Agents
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Frame
from openpair.errors import OpenPairError
from openpair.geometry.poses import wrap_angle


@pytest.fixture(scope="module")
def golden_logs(navsim_root: Path) -> list[RawLog]:
    return [read_log(path) for path in sorted((navsim_root / "navsim_logs/mini").glob("*.pkl"))]


def frames_of(log: RawLog) -> list[Frame]:
    return [log.frame(i) for i in range(len(log))]


def assert_frames_equal(a: Frame, b: Frame) -> None:
    """Positions to 1 nm (one unit in the last place at UTM size), angles and velocities to 1e-14, the rest exactly."""
    assert (a.token, a.ego.timestamp_us) == (b.token, b.ego.timestamp_us)
    assert (a.traffic_lights, a.route_roadblock_ids) == (b.traffic_lights, b.route_roadblock_ids)
    assert np.array_equal(a.driving_command, b.driving_command)
    assert np.array_equal(a.ego.pose[:2], b.ego.pose[:2])
    assert abs(wrap_angle(a.ego.pose[2:] - b.ego.pose[2:])[0]) < 1e-15
    assert np.array_equal(a.ego.velocity, b.ego.velocity)
    assert np.array_equal(a.ego.acceleration, b.ego.acceleration)
    assert a.agents.track_tokens == b.agents.track_tokens
    assert np.array_equal(a.agents.category, b.agents.category)
    difference = a.agents.box - b.agents.box
    assert np.abs(difference[:, :2]).max(initial=0) < 1e-9
    assert np.abs(wrap_angle(difference[:, 2])).max(initial=0) < 2e-15
    assert np.array_equal(a.agents.box[:, 3:], b.agents.box[:, 3:])
    assert np.array_equal(a.agents.center_z, b.agents.center_z)
    np.testing.assert_allclose(a.agents.velocity, b.agents.velocity, atol=2e-14, rtol=0)
    assert a.cameras.keys() == b.cameras.keys()
    for name, camera in a.cameras.items():
        other = b.cameras[name]
        for field in ("rotation", "translation", "intrinsics"):
            np.testing.assert_allclose(getattr(camera, field), getattr(other, field), atol=1e-14)
        assert (camera.distortion, camera.size) == (other.distortion, other.size)


def test_logs_read_back_as_written(golden_logs: list[RawLog], tmp_path: Path) -> None:
    for log in golden_logs:
        path = tmp_path / "mini" / f"{log.name}.pkl"
        frames = frames_of(log)
        write_log(path, frames, map_location=log.map_location)
        written = read_log(path)
        assert written.map_location == log.map_location
        assert len(written) == len(log)
        for a, b in zip(frames, frames_of(written), strict=True):
            assert_frames_equal(a, b)
            assert a.lidar_path == b.lidar_path
            assert a.cameras["cam_b0"].image_path == b.cameras["cam_b0"].image_path
        assert [p.name for p in path.parent.iterdir()].count(path.name) == 1
        again = tmp_path / "again" / path.name
        write_log(again, frames, map_location=log.map_location)
        assert path.read_bytes() == again.read_bytes()


def test_written_log_obeys_the_format(golden_logs: list[RawLog], tmp_path: Path) -> None:
    """Keys, types and shapes are those of NAVSIM's own files; names are numpy 1's; the protocol is 4."""
    log = golden_logs[0]
    frames = [replace(frame, cameras={}, lidar_path=None) for frame in frames_of(log)]
    frames[1] = replace(frames[1], agents=Agents.empty(), traffic_lights=())
    path = tmp_path / "2021.03.02.00.00.00_veh-x_00000_00020.pkl"
    write_log(path, frames, map_location="us-ma-boston")
    rows = check_log(path)
    assert len(rows) == len(frames)
    assert log.rows[0].keys() == FRAME_KEYS
    assert rows[0]["lidar_path"] == f"{path.stem}/MergedPointCloud/{rows[0]['token']}.pcd"
    assert len(rows[1]["anns"]["track_tokens"]) == 0
    for a, b in zip(frames, frames_of(read_log(path)), strict=True):
        assert_frames_equal(replace(a, cameras=b.cameras), b)


def test_logs_that_cannot_be_written(golden_logs: list[RawLog], tmp_path: Path) -> None:
    frames = frames_of(golden_logs[0])[:3]
    bad_box = frames[0].agents.box.copy()
    bad_box[0, 0] = np.nan
    for bad, location, message in [
        (frames, "atlantis", "no location 'atlantis'"),
        ([], "us-ma-boston", "without frames"),
        ([replace(frames[0], token="xyz")], "us-ma-boston", "16 hex"),
        ([frames[0], frames[0]], "us-ma-boston", "each once"),
        (frames[::-1], "us-ma-boston", "time order"),
        ([replace(frames[0], route_roadblock_ids=("a1",))], "us-ma-boston", "decimal"),
        ([replace(frames[0], agents=replace(frames[0].agents, box=bad_box))], "us-ma-boston", "finite"),
    ]:
        with pytest.raises(OpenPairError, match=message):
            write_log(tmp_path / "log.pkl", bad, map_location=location)
    assert list(tmp_path.iterdir()) == []


def assert_maps_equal(a: RoadMap, b: RoadMap) -> None:
    assert (a.name, a.epsg) == (b.name, b.epsg)
    for table_a, table_b in ((a.lanes, b.lanes), (a.roadblocks, b.roadblocks)):
        assert list(table_a) == list(table_b)
        for x, y in zip(table_a.values(), table_b.values(), strict=True):
            for name in x.__dataclass_fields__:
                u, v = getattr(x, name), getattr(y, name)
                if name == "polygon":
                    assert shapely.equals_exact(u, v, 0.0)
                elif name == "baseline":
                    assert np.array_equal(u, v)
                else:
                    assert u == v, (x.id, name)
    for name in ("intersections", "carparks", "crosswalks", "walkways", "drivable_areas", "stop_lines"):
        u, v = getattr(a, name), getattr(b, name)
        assert list(u) == list(v)
        assert all(shapely.equals_exact(u[key], v[key], 0.0) for key in u)


@pytest.mark.parametrize("location", LOCATIONS)
def test_maps_read_back_as_written(navsim_root: Path, tmp_path: Path, location: str) -> None:
    original = read_map(map_path(navsim_root / "maps", location), location)
    some_lane = next(iter(original.lanes))
    original.lanes[some_lane] = replace(original.lanes[some_lane], speed_limit_mps=None)
    original.drivable_areas["999999"] = box(0, 0, 9, 9).difference(box(3, 3, 4, 4))
    write_map(tmp_path / "a.gpkg", original, original.epsg or 0)
    assert_maps_equal(original, read_map(tmp_path / "a.gpkg", location))
    write_map(tmp_path / "b.gpkg", original, original.epsg or 0)
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gpkg", "b.gpkg"]


def test_written_maps_obey_the_format(navsim_root: Path, tmp_path: Path) -> None:
    """All locations with all layers and columns, one id counter, single polygons, a projected system under 'meta'."""
    town = read_map(map_path(navsim_root / "maps", "us-ma-boston"), "us-ma-boston")
    write_maps(tmp_path / "maps", {"us-ma-boston": town})
    columns = columns_of(map_path(navsim_root / "maps", "us-ma-boston"))
    assert len(columns) == 16
    check_maps(tmp_path / "maps", columns)
    assert_maps_equal(town, read_map(map_path(tmp_path / "maps", "us-ma-boston"), "us-ma-boston"))


def test_left_boundaries_lie_left(navsim_root: Path, tmp_path: Path) -> None:
    town = read_map(map_path(navsim_root / "maps", "us-ma-boston"), "us-ma-boston")
    write_map(tmp_path / "map.gpkg", town, 32619)
    connection = sqlite3.connect(tmp_path / "map.gpkg")
    lines = {
        fid: shapely.from_wkb(wkb_of_blob(blob)) for fid, blob in connection.execute("SELECT fid, geom FROM boundaries")
    }
    for fid, left, right in connection.execute("SELECT fid, left_boundary_fid, right_boundary_fid FROM lanes_polygons"):
        lane = town.lanes[str(fid)]
        middle = lane.baseline[len(lane.baseline) // 2]
        normal = np.array([-np.sin(middle[2]), np.cos(middle[2])])
        assert shapely.get_coordinates(lines[left])[len(lane.baseline) // 2] @ normal > middle[:2] @ normal + 1
        assert shapely.get_coordinates(lines[right])[len(lane.baseline) // 2] @ normal < middle[:2] @ normal - 1
        assert lane.polygon.buffer(0.2).covers(lines[left])


def test_maps_that_cannot_be_written(tmp_path: Path) -> None:
    town = stub_map("us-ma-boston", 32619)
    for bad, message in [
        (replace(town, walkways={"a": box(0, 0, 1, 1)}), "not a decimal integer"),
        (replace(town, walkways={"8": box(0, 0, 1, 1), "7": box(0, 0, 1, 1)}), "not ascending"),
        (replace(town, walkways={"11": box(0, 0, 1, 1)}), "another layer"),
        (replace(town, lanes={key: lane for key, lane in town.lanes.items() if key != "12"}), "does not hold"),
        (replace(town, roadblocks={}), "not in the map"),
        (replace(town, walkways={"99": MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)])}), "must be one polygon"),
    ]:
        with pytest.raises(OpenPairError, match=message):
            write_map(tmp_path / "map.gpkg", bad, 32619)  # type: ignore[arg-type]
    with pytest.raises(OpenPairError, match="no location 'atlantis'"):
        write_maps(tmp_path, {"atlantis": town})
    assert list(tmp_path.iterdir()) == []
