"""What is stored comes back: logs, maps, towns; damage is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from openpair.datasets.world.dataset import DATA_DIR, WorldDataset, read_index
from openpair.datasets.world.log_store import AGENT_UNITS, EGO_UNITS, FRAMES, StoredAgent, StoredLog
from openpair.datasets.world.town_map import TownMap, densify, ribbon
from openpair.datasets.world.town_store import StoredTown
from openpair.errors import OpenPairError


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), agents=st.integers(0, 5), signals=st.integers(0, 9))
def test_log_comes_back(seed: int, agents: int, signals: int) -> None:
    rng = np.random.default_rng(seed)
    log = StoredLog(
        "town-000", 1, 700, "timid", [3, 1, 4], [3, 6], rng.integers(-(10**6), 10**6, (FRAMES, len(EGO_UNITS))),
        rng.integers(0, 4, FRAMES), rng.random((signals, FRAMES)) < 0.5,
        [
            StoredAgent(f"v{i}", 0, (450, 180, 150), i, rng.integers(-(10**5), 10**5, (1 + 7 * i, len(AGENT_UNITS))))
            for i in range(agents)
        ],
    )  # fmt: skip
    back = StoredLog.decode(log.encode())
    for name, value in vars(log).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(back, name), value), name
        elif name != "agents":
            assert getattr(back, name) == value, name
    for a, b in zip(log.agents, back.agents, strict=True):
        assert (a.name, a.category, a.size_cm, a.first) == (b.name, b.category, b.size_cm, b.first)
        assert np.array_equal(a.states, b.states)


@pytest.mark.parametrize("town", [town["name"] for town in read_index(DATA_DIR)["towns"]])
def test_every_town_is_sound(town: str) -> None:
    stored = StoredTown.from_file(DATA_DIR / f"{town}.town")
    plain = stored.town_map()
    assert TownMap.decode(plain.encode()) == plain
    road_map = WorldDataset("all", towns=[town]).road_map(town)
    polygons = [lane.polygon for lane in road_map.lanes.values()]
    polygons += [block.polygon for block in road_map.roadblocks.values() if block.polygon is not None]
    layers = (road_map.intersections, road_map.carparks, road_map.crosswalks, road_map.walkways, road_map.stop_lines)
    polygons += [polygon for layer in layers for polygon in layer.values()]
    assert all(polygon.is_valid and polygon.area > 0 for polygon in polygons)
    names = [*road_map.lanes, *road_map.roadblocks, *(name for layer in layers for name in layer)]
    assert len(set(names)) == len(names), "one counter over all layers"
    for block in road_map.roadblocks.values():
        if block.is_connector:
            surface = road_map.intersections[block.intersection_id or ""]
            for name in block.lane_ids:
                assert road_map.lanes[name].polygon.difference(surface).area < 0.05
    for lane in road_map.lanes.values():
        ends = [road_map.lanes[name].baseline[0, :2] for name in lane.outgoing]
        assert all(np.hypot(*(end - lane.baseline[-1, :2])) < 0.05 for end in ends)
        assert np.hypot(*np.diff(lane.baseline[:, :2], axis=0).T).max() <= 1.0 + 1e-6


def test_world_is_small() -> None:
    assert sum(path.stat().st_size for path in DATA_DIR.iterdir()) < 10_000_000


def test_ribbon_is_as_wide_as_asked() -> None:
    line = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 3.0], [25.0, 9.0]])
    outline = shapely.Polygon(ribbon(line, 1.5, 2.0))
    expected = shapely.LineString(line)
    assert outline.is_valid
    assert outline.area == pytest.approx(3.5 * expected.length, rel=0.06)
    assert outline.covers(expected.buffer(1.4, cap_style="flat"))


def test_densify_keeps_vertices() -> None:
    line = np.array([[0.0, 0.0], [2.5, 0.0], [2.5, 4.0]])
    baseline = densify(line, 1.0)
    assert all(np.any(np.all(baseline[:, :2] == vertex, axis=1)) for vertex in line)
    assert np.hypot(*np.diff(baseline[:, :2], axis=0).T).max() <= 1.0
    assert baseline[-1, 2] == baseline[-2, 2]


def test_damage_is_noticed(tmp_path: Path) -> None:
    town = next(DATA_DIR.glob("*.town"))
    for name, data, words in (
        ("foreign", b"hello, this is not a town", "not a town"),
        ("cut", town.read_bytes()[:600], "cannot be read"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(OpenPairError, match=words):
            StoredTown.from_file(path)
    with pytest.raises(OpenPairError, match="no such town"):
        StoredTown.from_file(tmp_path / "absent")
