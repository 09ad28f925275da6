"""Second-stage scenes: nuPlan objects become frames without nuPlan; everything else is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from openpair.datasets.base import Dataset
from openpair.datasets.navsim.logs import RawLog, read_log
from openpair.datasets.navsim.synthetic import FOLDER, SyntheticScenes, read_synthetic_scene
from openpair.datatypes.road_map import RoadMap
from openpair.errors import OpenPairError
from openpair.geometry.poses import wrap_angle


@pytest.fixture(scope="module")
def dataset(navsim_root: Path) -> SyntheticScenes:
    return SyntheticScenes(navsim_root)


@pytest.fixture(scope="module")
def logs(navsim_root: Path) -> dict[str, RawLog]:
    return {path.stem: read_log(path) for path in (navsim_root / "navsim_logs/mini").glob("*.pkl")}


def test_tokens_follow_the_mapping(dataset: SyntheticScenes, navsim_root: Path) -> None:
    mapping = json.loads((navsim_root / "golden/two_stage/mapping.json").read_text())
    expected = {}
    for entry in mapping:
        for now, previous in entry["pairs"]:
            expected[now], expected[previous] = entry["original"], entry["previous"]
    assert isinstance(dataset, Dataset)
    assert {key.token: dataset.original_token(key.token) for key in dataset.keys()} == expected
    scene = dataset.load_scene("05025f4c31854b600")
    assert (scene.token, scene.original_token, scene.is_synthetic) == ("05025f4c31854b600", "eba08d9ff9818edb", True)
    assert (len(scene.history), len(scene.future)) == (4, 8)


def test_traffic_is_that_of_the_recorded_log(dataset: SyntheticScenes, logs: dict[str, RawLog]) -> None:
    """These scenes shift the ego alone, so agents and lights must be those of the log at the same time stamps."""
    compared = 0
    for key in dataset.keys():
        scene = dataset.load_scene(key.token)
        log = logs[key.log_name]
        index_at = {row["timestamp"]: index for index, row in enumerate(log.rows)}
        for frame in (*scene.history, *scene.future):
            recorded = log.frame(index_at[frame.ego.timestamp_us])
            assert dict(frame.traffic_lights) == dict(recorded.traffic_lights)
            row_of = {token: row for row, token in enumerate(recorded.agents.track_tokens)}
            rows = [row_of[token] for token in frame.agents.track_tokens]
            assert len(rows) > 3
            assert np.array_equal(frame.agents.category, recorded.agents.category[rows])
            difference = frame.agents.box - recorded.agents.box[rows]
            difference[:, 2] = wrap_angle(difference[:, 2])
            np.testing.assert_allclose(difference, 0, atol=2e-9)
            np.testing.assert_allclose(frame.agents.velocity, recorded.agents.velocity[rows], atol=1e-12)
            compared += len(rows)
        recorded = log.frame(index_at[scene.current.ego.timestamp_us])
        shift = np.hypot(*(scene.current.ego.pose - recorded.ego.pose)[:2])
        assert 0.1 < shift < 4
        assert scene.current.route_roadblock_ids == recorded.route_roadblock_ids
        assert np.array_equal(scene.current.driving_command, recorded.driving_command)
    assert compared > 5000


class Foreign:
    """Pickles as a call of a given function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def test_hostile_and_damaged_scenes(dataset: SyntheticScenes, navsim_root: Path, tmp_path: Path) -> None:
    source = navsim_root / FOLDER / "05025f4c31854b600.pkl"
    whole = source.read_bytes()
    path = tmp_path / source.name

    def error_of(data: bytes) -> str:
        path.write_bytes(data)
        with pytest.raises(OpenPairError) as caught:
            read_synthetic_scene(path, lambda name: RoadMap(name, {}, {}))
        assert str(path) in str(caught.value)
        with pytest.raises(OpenPairError):
            SyntheticScenes(navsim_root, folder=tmp_path).load_scene(path.stem)
        return str(caught.value)

    assert "was not loaded" in error_of(pickle.dumps({"frames": Foreign(Path.mkdir, tmp_path / "created")}))
    assert not (tmp_path / "created").exists()
    assert "was not loaded" in error_of(whole.replace(b"TimePoint", b"TimeBomb_"))
    assert "not a complete pickle" in error_of(whole[:-5])
    assert "not a second-stage scene" in error_of(pickle.dumps([1]))
    assert "not a second-stage scene" in error_of(pickle.dumps({"frames": []}))
    assert "tokens do not agree" in error_of(whole.replace(b"05025f4c31854b600", b"05025f4c31854b6ff"))
    assert "damaged" in error_of(whole.replace(b"ego_pose", b"ego_pole"))
    assert "damaged" in error_of(whole.replace(b"track_token", b"track_tokem"))

    shutil.copyfile(source, path)
    assert len(SyntheticScenes(navsim_root, folder=tmp_path)) == 1
    with pytest.raises(OpenPairError, match="1 of 2 second-stage scenes are missing"):
        SyntheticScenes(navsim_root, folder=tmp_path, tokens=["05025f4c31854b600", "x"])
    with pytest.raises(OpenPairError, match="no second-stage scenes"):
        SyntheticScenes(navsim_root, folder=tmp_path / "absent")
    with pytest.raises(OpenPairError, match="no second-stage scene 'x'"):
        dataset.load_scene("x")
