"""Metric caches laid out as the original's: the same scores, and nothing of a forged one runs."""

from __future__ import annotations

import csv
import importlib
import lzma
import os
import pickle
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
from metric_cache_writer import CacheWriter, installed
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

sys.path.insert(0, str(Path(__file__).parents[1] / "scoring"))
sys.path.insert(0, str(Path(__file__).parents[1] / "front_door"))

from docs_examples import python_block
from scoring_golden import IN_REPOSITORY, load
from shared_data import shared_folder

from openpair.datasets.navsim import metric_cache
from openpair.datasets.navsim.metric_cache import find_metric_caches, read_metric_cache, surface_from_wkb
from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.evaluation.agents import ConstantVelocityAgent, HumanAgent
from openpair.scoring import score_prepared
from openpair.scoring.cases import scene_from_case
from openpair.scoring.epdms import with_extended_comfort

CASES = sorted((IN_REPOSITORY / "v1").glob("*.npz")) + sorted((IN_REPOSITORY / "v2").glob("*.npz"))
BY_NAME = pytest.mark.parametrize("path", CASES, ids=[f"{path.parent.name}-{path.stem}" for path in CASES])


@contextmanager
def no_import_of(*packages: str) -> Iterator[None]:
    """Fails if the body so much as looks for one of these packages or a module of theirs, installed or not."""
    sought: list[str] = []

    class Witness(MetaPathFinder):
        def find_spec(self, name: str, path: Any, target: Any = None) -> None:
            if name.partition(".")[0] in packages:
                sought.append(name)

    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in packages}
    for name in loaded:  # another test's stand-ins would answer an import unseen
        del sys.modules[name]
    witness = Witness()
    sys.meta_path.insert(0, witness)
    try:
        yield
        found = [name for name in sys.modules if name.partition(".")[0] in packages]
    finally:
        sys.meta_path.remove(witness)
        sys.modules.update(loaded)
    assert not sought + found


def test_imports_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("nuplan")
    monkeypatch.setitem(sys.modules, "nuplan", stand_in)
    for package in ("navsim", "nuplan"):  # neither installed nor loaded; loaded by somebody before
        with pytest.raises(AssertionError, match=package), no_import_of("nuplan", "navsim"), suppress(ImportError):
            importlib.import_module(package)
    assert sys.modules["nuplan"] is stand_in
    with no_import_of("nuplan", "navsim"):
        importlib.import_module("json")


@BY_NAME
def test_a_cache_scores_as_the_case_it_was_made_from(path: Path, tmp_path: Path) -> None:
    case = load(path)
    file = CacheWriter(case).write(tmp_path / "log" / "unknown" / "token" / "metric_cache.pkl")
    with no_import_of("nuplan", "navsim"):
        scene = read_metric_cache(file)
    expected = scene_from_case(case, scene.protocol)
    assert scene.token == "token"
    assert scene.protocol is (Protocol.V1_1 if path.parent.name == "v1" else Protocol.V2_2)
    assert scene.time_us == expected.time_us
    np.testing.assert_allclose(scene.ego_state, expected.ego_state, atol=2e-9)
    np.testing.assert_array_equal(scene.centerline, expected.centerline)
    np.testing.assert_array_equal(scene.reference_time_us, expected.reference_time_us)
    assert scene.drivable_map.tokens == expected.drivable_map.tokens
    np.testing.assert_array_equal(scene.drivable_map.layer, expected.drivable_map.layer)
    np.testing.assert_array_equal(scene.drivable_map.on_route, expected.drivable_map.on_route)
    np.testing.assert_array_equal(scene.drivable_map.polygons.xy, expected.drivable_map.polygons.xy)
    np.testing.assert_array_equal(scene.tracks.frame_offset, expected.tracks.frame_offset)
    assert [scene.tracks.tokens[i] for i in scene.tracks.track] == [
        expected.tracks.tokens[i] for i in expected.tracks.track
    ]
    np.testing.assert_allclose(scene.tracks.box[:, :2], expected.tracks.box[:, :2], atol=5e-9)
    if expected.red_lights is not None:
        assert scene.red_lights is not None
        assert scene.red_lights.active.sum() == expected.red_lights.active.sum()
        assert scene.human_trajectory is not None
        np.testing.assert_array_equal(scene.past_time_us, expected.past_time_us)
    scores = score_prepared(scene, case["trajs"])
    original = case["out_score" if scene.protocol is Protocol.V1_1 else "out_score_ec_none"]
    np.testing.assert_allclose(scores.score, original, atol=1e-8)
    np.testing.assert_array_equal(scores.evidence["collision_time_idx"], case["out_collision_time_idx"])
    np.testing.assert_array_equal(scores.evidence["ttc_time_idx"], case["out_ttc_time_idx"])


def test_polygons_from_their_binary_form() -> None:
    holed = Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(2, 2), (3, 2), (3, 3)]])
    rings = [np.asarray(ring.coords) for ring in (holed.exterior, *holed.interiors)]
    flat = [shapely.to_wkb(holed, byte_order=order) for order in (0, 1)]
    with_srid = shapely.to_wkb(shapely.set_srid(holed, 32632), include_srid=True)
    raised = shapely.force_3d(holed, 7.0)
    for data in (*flat, with_srid, shapely.to_wkb(raised), shapely.to_wkb(raised, flavor="iso")):
        for ours, theirs in zip(surface_from_wkb(data).rings, rings, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        "text",
        b"\x02" + bytes(20),
        shapely.to_wkb(MultiPolygon([Polygon([(0, 0), (1, 0), (1, 1)])])),
        shapely.to_wkb(Polygon([(0, 0), (1, 0), (1, 1)]))[:-3],
        shapely.to_wkb(Polygon([(0, 0), (1, 0), (1, 1)])) + b"more",
        struct.pack("<BII", 1, 3, 2**32 - 1),
        struct.pack("<BIII", 1, 3, 1, 2**32 - 1),
    ],
)
def test_other_geometry_is_refused(data: Any) -> None:
    with pytest.raises(pickle.UnpicklingError):
        surface_from_wkb(data)


class Hostile:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def packed(tmp_path: Path, content: Any, writer: CacheWriter | None = None) -> Path:
    path = tmp_path / "metric_cache.pkl"
    with installed({} if writer is None else writer.modules):
        data = pickle.dumps(content)
    path.write_bytes(lzma.compress(data, preset=0))
    return path


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (lambda mark: Hostile(os.system, f"touch {mark}"), "system"),
        (lambda mark: Hostile(exec, f"open({str(mark)!r}, 'w')"), "exec"),
        (lambda mark: Hostile(getattr, "", "join"), "getattr"),
        (lambda mark: Hostile(shapely.from_geojson, "{}"), "from_geojson"),
        (lambda mark: Hostile(np.load, str(mark)), "load"),
    ],
    ids=["system", "exec", "getattr", "shapely", "numpy"],
)
def test_a_forged_cache_is_refused_and_nothing_of_it_runs(tmp_path: Path, attack: Any, named: str) -> None:
    mark = tmp_path / "ran"
    path = packed(tmp_path, {"observation": attack(mark)})
    with pytest.raises(OpenPairError, match=f"{named}.*was not loaded"):
        read_metric_cache(path)
    assert not mark.exists()


def test_classes_of_the_original_carry_no_code_of_its_own(tmp_path: Path) -> None:
    """A name below the original's packages that is none of the admitted ones is refused as well."""
    writer = CacheWriter(load(CASES[0]))
    forged = type("run_everything", (), {})
    forged.__module__ = "navsim.planning.metric_caching.metric_cache"
    vars(writer.modules[forged.__module__])["run_everything"] = forged
    path = packed(tmp_path, forged(), writer)
    with pytest.raises(OpenPairError, match=r"metric_cache\.run_everything"):
        read_metric_cache(path)


def test_attributes_cannot_reach_into_python(tmp_path: Path) -> None:
    writer = CacheWriter(load(CASES[0]))
    path = packed(tmp_path, writer.make("MetricCache", __init__=1), writer)
    with pytest.raises(OpenPairError, match="not a complete pickle"):
        read_metric_cache(path)


def test_files_that_are_no_metric_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpenPairError, match="cannot be read"):
        read_metric_cache(tmp_path / "absent.pkl")
    text = tmp_path / "text.pkl"
    text.write_text("text")
    with pytest.raises(OpenPairError, match="not LZMA-compressed"):
        read_metric_cache(text)
    with pytest.raises(OpenPairError, match="not a metric cache"):
        read_metric_cache(packed(tmp_path, {"a": 1}))
    good = CacheWriter(load(CASES[0])).write(tmp_path / "a" / "token" / "metric_cache.pkl")
    whole = good.read_bytes()
    good.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OpenPairError, match="is cut off"):
        read_metric_cache(good)
    good.write_bytes(whole)
    monkeypatch.setattr(metric_cache, "MAX_BYTES", 1000)
    with pytest.raises(OpenPairError, match="unpacks to more than"):
        read_metric_cache(good)


def test_a_cache_of_another_layout_says_what_is_missing(tmp_path: Path) -> None:
    writer = CacheWriter(load(CASES[0]))
    cache = writer.cache(tmp_path)
    del cache.__dict__["centerline"]
    path = packed(tmp_path, cache, writer)
    with pytest.raises(OpenPairError, match="it has no 'centerline'"):
        read_metric_cache(path)


def test_a_folder_of_caches(tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="no metric caches"):
        find_metric_caches(tmp_path)
    writer = CacheWriter(load(CASES[0]))
    for token in ("b", "a"):
        writer.write(tmp_path / "log" / "unknown" / token / "metric_cache.pkl")
    assert list(find_metric_caches(tmp_path)) == ["a", "b"]
    writer.write(tmp_path / "other" / "unknown" / "a" / "metric_cache.pkl")
    with pytest.raises(OpenPairError, match="scene a has two metric caches"):
        find_metric_caches(tmp_path)


def test_example_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = load(IN_REPOSITORY / "v1" / "case006.npz")
    CacheWriter(case).write(tmp_path / "metric_cache" / "log" / "unknown" / "abc" / "metric_cache.pkl")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"token": "abc", "plans": case["trajs"]}
    exec(compile(python_block("NAVSIM's own metric caches"), "docs/scoring.md", "exec"), names)
    np.testing.assert_allclose(names["scores"].score, case["out_score"], atol=1e-8)


def original_results(version: str, agent: str) -> dict[str, dict[str, str]]:
    """The original's own score table, by token."""
    with (shared_folder("golden/metric_cache") / version / f"{agent}.csv").open() as file:
        return {row["token"]: row for row in csv.DictReader(file)}


def planned_drives(tokens: Iterable[str], agent: str) -> dict[str, NDArray[np.float64]]:
    """(8, 3) what an agent plans on frames of the embedded world, whether or not they are scenes of it."""
    planner = HumanAgent() if agent == "human" else ConstantVelocityAgent()
    world, wanted, drives = WorldDataset("test"), set(tokens), {}
    for log in world.log_names():
        frames, road_map = world.load_log(log)
        for i, frame in enumerate(frames):
            if frame.token in wanted:
                scene = Scene("world", log, road_map, frames[i - 3 : i + 11], 3)
                drives[frame.token] = np.asarray(planner.plan(scene), dtype=np.float64)
    return drives


@pytest.mark.parametrize("agent", ["human", "constant_velocity"])
@pytest.mark.parametrize("version", ["v1.1", "v2.2"])
def test_caches_of_the_original_score_as_the_original_did(version: str, agent: str) -> None:
    """Two agents on caches that NAVSIM's own devkit wrote from scenes of the embedded world."""
    table = original_results(version, agent)
    drives = planned_drives(table, agent)
    caches = find_metric_caches(shared_folder("golden/metric_cache") / version)
    compared = 0
    for token, path in caches.items():
        if token not in table:
            continue
        plan = drives[token]
        scores = score_prepared(read_metric_cache(path), plan[None])
        expected = {name: float(value) for name, value in table[token].items() if name in scores.metrics and value}
        if version == "v2.2":  # two-frame comfort needs the neighbouring scene's plan, which the table knows
            comfort = np.array([float(table[token]["two_frame_extended_comfort"] or "nan")])
            scores = with_extended_comfort(scores, comfort)
        for name, value in expected.items():
            assert scores.metrics[name][0] == pytest.approx(value, abs=1e-7, nan_ok=True), (token, name)
        assert scores.score[0] == pytest.approx(float(table[token]["score"]), abs=1e-7), token
        compared += 1
    assert compared >= 8


def test_caches_of_second_stage_scenes_are_read() -> None:
    caches = find_metric_caches(shared_folder("golden/metric_cache/v2.2_second_stage"))
    assert all(read_metric_cache(path).is_synthetic for path in caches.values())
