"""``openpair cache``, and ``openpair eval --prepared`` reading what it wrote."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from openpair.cli.main import main
from openpair.evaluation.records import SCORES_FILE
from openpair.features.cache import FeatureStore
from openpair.preparation import PreparedStore

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "navsim"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")


def call(*command: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(part) for part in command])
    return int(stop.value.code or 0)


@pytest.fixture
def where(tmp_path, monkeypatch):
    monkeypatch.setattr("openpair.datasets.navsim.dataset.cache_folder", lambda: tmp_path / "index")
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("\n".join(np.load(GOLDEN / "golden" / "trajectories.npz")["token"][:4]))
    return ["--dataset", "navsim", "--root", GOLDEN, "--tokens", tokens, "--workers", 1]


def test_cached_scenes_give_the_same_file_and_are_not_built_twice(where, tmp_path, capsys):
    out = tmp_path / "cache"
    assert call("cache", *where, "--out", out) == 0
    assert "4 scenes" in capsys.readouterr().out
    (store,) = out.glob("prepared-v1.1-*")
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}
    assert call("cache", *where, "--out", out) == 0
    assert before == {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}
    for name, prepared in (("cached", ["--prepared", out]), ("fresh", [])):
        assert call("eval", *where, *prepared, "--agent", "human", "--out", tmp_path / name) == 0
    assert (tmp_path / "cached" / SCORES_FILE).read_bytes() == (tmp_path / "fresh" / SCORES_FILE).read_bytes()
    assert call("eval", *where, "--prepared", out, "--protocol", "v2.2", "--out", tmp_path / "x") == 2
    assert "no store of scenes prepared for protocol v2.2" in capsys.readouterr().err


def test_scenes_that_fail_are_listed_and_make_the_status_3(where, tmp_path, capsys):
    tokens = Path(where[5])
    tokens.write_text(tokens.read_text() + "\n0123456789abcdef\n")
    assert call("cache", *where, "--out", tmp_path / "cache") == 3
    assert "1 of 5 scenes FAILED" in capsys.readouterr().err
    assert call("cache", *where, "--out", tmp_path / "cache", "--allow-failures") == 0


def test_stale_scenes_are_refused(where, tmp_path, capsys):
    root = tmp_path / "root"
    shutil.copytree(GOLDEN / "navsim_logs", root / "navsim_logs", copy_function=shutil.copyfile)
    shutil.copytree(GOLDEN / "maps", root / "maps", copy_function=shutil.copyfile)
    where[3] = root
    assert call("cache", *where, "--out", tmp_path / "cache") == 0
    map_file = next((root / "maps").glob("us-ma-boston/*/map.gpkg"))
    os.utime(map_file, ns=(0, 0))
    (store,) = (tmp_path / "cache").glob("prepared-*")
    for prepared in (tmp_path / "cache", store):
        assert call("eval", *where, "--prepared", prepared, "--out", tmp_path / "out") == 2
        assert "logs or maps changed" in capsys.readouterr().err
    other = tmp_path / "other.txt"
    other.write_text(str(np.load(GOLDEN / "golden" / "trajectories.npz")["token"][9]))
    where[5] = other
    assert call("eval", *where, "--prepared", store, "--out", tmp_path / "out") == 2
    assert "none of these scenes" in capsys.readouterr().err


def test_a_two_stage_set_is_cached_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("openpair.datasets.navsim.dataset.cache_folder", lambda: tmp_path / "index")
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps(json.loads((GOLDEN / "golden/two_stage/mapping.json").read_text())[1:2]))
    where = ["--dataset", "navsim", "--root", GOLDEN, "--mapping", mapping, "--protocol", "v2.2", "--workers", 1]
    assert call("cache", *where, "--out", tmp_path / "cache") == 0
    agent = ["--stages", 2, "--agent", "constant_velocity"]
    for name, prepared in (("cached", ["--prepared", tmp_path / "cache"]), ("fresh", [])):
        assert call("eval", *where, *agent, *prepared, "--out", tmp_path / name) == 0
    assert (tmp_path / "cached" / SCORES_FILE).read_bytes() == (tmp_path / "fresh" / SCORES_FILE).read_bytes()


def test_features_need_sensors_and_say_so(where, tmp_path, capsys):
    assert call("cache", *where, "--features", "--preset", "demo", "--out", tmp_path / "cache") == 2
    assert "not one of 4 scenes could be built" in capsys.readouterr().err


def test_the_embedded_world_is_cached_with_features(tmp_path):
    from openpair.training.data import StoreLocation

    arguments = ["--dataset", "world", "--split", "val", "--max-scenes", 3, "--features", "--preset", "demo"]
    assert call("cache", *arguments, "--workers", 1, "--out", tmp_path / "cache") == 0
    (prepared,), (features,) = (tmp_path / "cache").glob("prepared-*"), (tmp_path / "cache" / "features").iterdir()
    assert len(PreparedStore(prepared)) == len(FeatureStore(features)) == 3
    assert len(StoreLocation(features, prepared).open().tokens) == 3
