"""Frames from golden logs: equal to what the original reads, to the last digit where its file keeps it."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest

from openpair.datasets.navsim.logs import RawLog, read_log, yaw_of_quaternion
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.geometry.poses import wrap_angle


@pytest.fixture(scope="module")
def logs(navsim_root: Path) -> dict[str, RawLog]:
    return {path.stem: read_log(path) for path in sorted((navsim_root / "navsim_logs/mini").glob("*.pkl"))}


def test_human_trajectories(navsim_root: Path, logs: dict[str, RawLog]) -> None:
    """The golden file and the scene reader of the original differ by 1.5e-9 m between two of its own code paths."""
    golden = np.load(navsim_root / "golden/trajectories.npz")
    rows = list(csv.DictReader((navsim_root / "golden/scenes.csv").open()))
    assert len(rows) == 105
    for row, human in zip(rows, golden["human"], strict=True):
        log, index = logs[row["log_name"]], int(row["frame_idx"])
        frames = tuple(log.frame(i) for i in range(index - 3, index + 11))
        scene = Scene("navsim", log.name, RoadMap("", {}, {}), frames)
        assert scene.token == row["token"]
        np.testing.assert_allclose(scene.human_trajectory(), human, atol=2e-9, rtol=0)


def golden_caches(root: Path, version: str) -> list[Path]:
    return sorted(p for p in (root / "golden/cache" / version).glob("*.npz") if not p.stem.startswith("map_"))


@pytest.mark.parametrize("version", ["v1.1", "v2.2"])
def test_states_and_agents_against_metric_caches(navsim_root: Path, logs: dict[str, RawLog], version: str) -> None:
    caches = golden_caches(navsim_root, version)
    assert len(caches) == 56
    for path in caches:
        cache = np.load(path)
        log, index = logs[str(cache["log_name"])], int(cache["frame_idx"])
        frame = log.frame(index)
        assert frame.token == path.stem
        assert frame.ego.timestamp_us == cache["time_us"]
        assert np.array_equal(frame.ego.state_vector(), cache["ego_state"])
        if version == "v1.1":
            assert list(frame.route_roadblock_ids) == cache["given_roadblock_ids"].tolist()
        else:
            past = [log.frame(i).ego for i in range(index - 3, index + 1)]
            assert [ego.timestamp_us for ego in past] == cache["past_time_us"].tolist()
            assert np.array_equal([ego.state_vector() for ego in past], cache["past_states"])

        rows = slice(*cache["trk_frame_offset"][:2])  # sample 0; tracks of a single other frame are frozen into it
        tokens = cache["trk_token"][cache["trk_token_idx"][rows]]
        row_of = {token: i for i, token in enumerate(frame.agents.track_tokens)}
        seen = np.array([token in row_of for token in tokens])
        order = [row_of[token] for token in tokens[seen]]
        assert seen.sum() > 0.5 * len(frame.agents)
        difference = frame.agents.box[order] - cache["trk_box"][rows][seen]
        difference[:, 2] = wrap_angle(difference[:, 2])  # the cache's headings went through sine and cosine
        assert np.array_equal(difference[:, [0, 1, 3, 4, 5]], np.zeros_like(difference[:, :5]))
        np.testing.assert_allclose(difference[:, 2], 0, atol=2e-15)
        assert np.array_equal(frame.agents.category[order], cache["trk_type"][rows][seen])
        velocity = cache["trk_vel"][rows][seen]
        moving = ~np.isnan(velocity)
        np.testing.assert_allclose(frame.agents.velocity[order][moving], velocity[moving], atol=1e-14, rtol=0)


def test_ego_dynamics_are_rounded_to_float32(logs: dict[str, RawLog]) -> None:
    log = next(iter(logs.values()))
    recorded = np.array([row["ego_dynamic_state"] for row in log.rows], dtype=np.float64)
    read = np.array([[*log.frame(i).ego.velocity, *log.frame(i).ego.acceleration] for i in range(len(log))])
    assert np.array_equal(read, recorded.astype(np.float32))
    assert not np.array_equal(read, recorded)


def test_yaw_has_the_original_minus_sign_and_normalises() -> None:
    yaw, roll = 0.7, 0.02
    # yaw about z after roll about x: w, x, y, z of q_z * q_x
    q = np.array([np.cos(yaw / 2) * np.cos(roll / 2), np.cos(yaw / 2) * np.sin(roll / 2)])
    q = np.array([q[0], q[1], np.sin(yaw / 2) * np.sin(roll / 2), np.sin(yaw / 2) * np.cos(roll / 2)])
    w, x, y, z = q
    assert yaw_of_quaternion(q) == np.arctan2(2 * (w * z - x * y), 1 - 2 * (y * y + z * z))
    assert abs(yaw_of_quaternion(q) - yaw) > 1e-5
    assert yaw_of_quaternion(5 * q) == pytest.approx(yaw_of_quaternion(q), abs=1e-15)
    assert yaw_of_quaternion((np.cos(yaw / 2), 0, 0, np.sin(yaw / 2))) == pytest.approx(yaw, abs=1e-15)


def test_cameras_and_paths(logs: dict[str, RawLog], tmp_path: Path) -> None:
    log = next(iter(logs.values()))
    frame = log.frame(0)
    front = frame.cameras["cam_f0"]
    assert len(frame.cameras) == 8
    assert front.image_path == log.rows[0]["cams"]["CAM_F0"]["data_path"]
    np.testing.assert_allclose(front.rotation[:, 2], [1, 0, 0], atol=1e-12)  # the optical axis looks ahead
    assert log.frame(0, tmp_path).lidar_path == str(tmp_path / log.rows[0]["lidar_path"])


def test_bad_logs(tmp_path: Path, navsim_root: Path) -> None:
    path = tmp_path / "log.pkl"

    def error_of(content: object) -> str:
        path.write_bytes(pickle.dumps(content, protocol=4))
        with pytest.raises(OpenPairError) as caught:
            read_log(path).frame(0)
        assert str(path) in str(caught.value)
        return str(caught.value)

    rows = pickle.loads(next((navsim_root / "navsim_logs/mini").glob("*.pkl")).read_bytes())
    assert "not a NAVSIM log" in error_of({"token": 1})
    assert "not a NAVSIM log" in error_of([])
    assert "frame 1 lacks timestamp" in error_of([rows[0], {k: v for k, v in rows[1].items() if k != "timestamp"}])
    names = rows[0]["anns"]["gt_names"].astype("U20")
    names[0] = "unicorn"
    assert "unicorn" in error_of([{**rows[0], "anns": {**rows[0]["anns"], "gt_names": names}}])
    boxes = rows[0]["anns"]["gt_boxes"][:-1]
    assert f"{len(boxes)} boxes" in error_of([{**rows[0], "anns": {**rows[0]["anns"], "gt_boxes": boxes}}])
    boxes = rows[0]["anns"]["gt_boxes"][:, :6]
    assert "not in NAVSIM's format" in error_of([{**rows[0], "anns": {**rows[0]["anns"], "gt_boxes": boxes}}])
    assert "not in NAVSIM's format" in error_of([{**rows[0], "ego2global_rotation": [1, 0]}])
    with pytest.raises(OpenPairError, match="no such log"):
        read_log(tmp_path / "absent.pkl")
