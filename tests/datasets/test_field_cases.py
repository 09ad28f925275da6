"""Data as users have them: what is odd about a log is said, or does not matter. Made from the golden logs."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openpair.cli.doctor_data import data_checks
from openpair.datasets.environment import cache_folder, navsim_folders, settings
from openpair.datasets.navsim.dataset import NavsimDataset
from openpair.datasets.navsim.scene_filter import SceneFilter, read_scene_filter
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.preparation import prepare_scene

LOG = "2021.03.03.01.00.00_veh-cologne3-stop_00001_00020"
WINDOWS = SceneFilter(frame_interval=1)
Rows = list[dict[str, Any]]


@pytest.fixture
def root(tmp_path: Path, navsim_root: Path) -> Path:
    (tmp_path / "navsim_logs" / "mini").mkdir(parents=True)
    (tmp_path / "maps").symlink_to(navsim_root / "maps")
    shutil.copyfile(navsim_root / "navsim_logs" / "mini" / f"{LOG}.pkl", log_file(tmp_path))
    return tmp_path


def log_file(root: Path, name: str = LOG) -> Path:
    return root / "navsim_logs" / "mini" / f"{name}.pkl"


def change(root: Path, edit: Callable[[Rows], Any]) -> None:
    """Rewrite the log; ``edit`` changes its rows, or returns others."""
    rows = pickle.loads(log_file(root).read_bytes())
    log_file(root).write_bytes(pickle.dumps(edit(rows) or rows, protocol=4))


def failures(root: Path) -> dict[str, str]:
    """Why scenes cannot be loaded, by token."""
    dataset = NavsimDataset(root, split="mini", scene_filter=WINDOWS, missing="per_scene")
    result = {}
    for key in dataset.keys():
        try:
            dataset.load_scene(key.token)
        except OpenPairError as error:
            result[key.token] = str(error)
    return result


def doctor(root: Path) -> list[str]:
    return [check.finding for check in data_checks(root, "mini", None, {}) if check.status == "missing"]


def test_the_golden_log_is_in_order(root: Path) -> None:
    assert failures(root) == {} and doctor(root) == []


def without_frame_20(rows: Rows) -> Rows:
    return [*rows[:20], *rows[21:]]


def backwards(rows: Rows) -> None:
    rows[20]["timestamp"] = rows[18]["timestamp"]


def quaternion(value: float) -> Callable[[Rows], None]:
    def edit(rows: Rows) -> None:
        rows[20]["ego2global_rotation"] = np.full(4, value)

    return edit


def velocity_unknown(rows: Rows) -> None:
    rows[20]["ego_dynamic_state"] = [float("nan"), 0.0, 0.0, 0.0]


def agent_velocity_unknown(rows: Rows) -> None:
    velocity = np.array(rows[20]["anns"]["gt_velocity_3d"])
    velocity[0] = np.nan
    rows[20]["anns"]["gt_velocity_3d"] = velocity


def degrees(rows: Rows) -> None:
    boxes = np.array(rows[20]["anns"]["gt_boxes"])
    boxes[0, 6] = 90.0
    rows[20]["anns"]["gt_boxes"] = boxes


def token_twice(rows: Rows) -> None:
    rows[30]["token"] = rows[20]["token"]


WRONG = [
    (without_frame_20, "1.000 s apart"),
    (backwards, "s apart"),
    (quaternion(0.0), "not a rotation"),
    (quaternion(float("nan")), "not a rotation"),
    (quaternion(3.0), "not a rotation"),
    (velocity_unknown, "NaN"),
    (agent_velocity_unknown, "NaN"),
    (degrees, "degrees"),
    (token_twice, "stands on"),
]


@pytest.mark.parametrize(("edit", "words"), WRONG)
def test_what_is_wrong_in_a_log_is_said_for_its_scenes_and_by_doctor(
    root: Path, edit: Callable[[Rows], Any], words: str
) -> None:
    change(root, edit)
    failed = failures(root)
    assert failed and all(words in reason for reason in failed.values())
    assert len(failed) < len(NavsimDataset(root, split="mini", scene_filter=WINDOWS)), "scenes elsewhere go on"
    found = doctor(root)
    assert found and any(words.replace("stands on", "stands there and on") in finding for finding in found)
    if words.endswith("apart"):
        assert all(reason.count(" us)") == 1 for reason in failed.values()), "both time stamps"


def test_a_token_in_two_logs_names_both(root: Path) -> None:
    shutil.copyfile(log_file(root), log_file(root, "copy"))
    failed = failures(root)
    assert failed and all(LOG in reason and "log copy" in reason for reason in failed.values())
    assert "stands there and on" in doctor(root)[0]


def test_long_tokens_stay_whole(root: Path) -> None:
    def lengthen(rows: Rows) -> None:
        for number, row in enumerate(rows):
            row["token"] = "a" * 30 + f"{number:05d}"

    before = len(NavsimDataset(root, split="mini", scene_filter=WINDOWS))
    change(root, lengthen)
    dataset = NavsimDataset(root, split="mini", scene_filter=WINDOWS)
    assert len(dataset) == before > 5
    assert dataset.load_scene(dataset.keys()[0].token).token == dataset.keys()[0].token


def test_a_log_without_annotations_is_read_and_its_agents_are_unknown(root: Path) -> None:
    def strip(rows: Rows) -> None:
        for row in rows:
            del row["anns"]

    change(root, strip)
    dataset = NavsimDataset(root, split="mini", scene_filter=SceneFilter(frame_interval=1, num_future_frames=0))
    scene = pickle.loads(pickle.dumps(dataset.load_scene(dataset.keys()[0].token)))
    assert scene.current.ego.velocity.shape == (2,)
    for ask in (lambda: len(scene.current.agents), lambda: scene.current.agents.box):
        with pytest.raises(OpenPairError, match="no annotations"):
            ask()
    notes = [check for check in data_checks(root, "mini", None, {}) if check.subject == "annotations, mini"]
    assert notes[0].status == "note" and doctor(root) == []


def test_scenes_need_as_much_future_as_they_are_used_for(root: Path) -> None:
    """v2.2 looks at 8 frames after the current one, v1.1 at 10, planning at none; a list of tokens allows all three."""
    whole = NavsimDataset(root, split="mini", scene_filter=WINDOWS)
    token = whole.keys()[3].token
    scene = whole.load_scene(token)
    expected = prepare_scene(scene, Protocol.V2_2)
    current = next(i for i, row in enumerate(pickle.loads(log_file(root).read_bytes())) if row["token"] == token)
    change(root, lambda rows: rows[: current + 9])
    assert token not in {key.token for key in NavsimDataset(root, split="mini", scene_filter=WINDOWS).keys()}
    for chosen in (SceneFilter.of_tokens([token]), SceneFilter(frame_interval=1, num_future_frames=8)):
        cut = NavsimDataset(root, split="mini", scene_filter=chosen).load_scene(token)
        assert len(cut.future) == 8
        ours = prepare_scene(cut, Protocol.V2_2)
        np.testing.assert_array_equal(ours.tracks.box, expected.tracks.box)
        np.testing.assert_array_equal(ours.reference_states, expected.reference_states)
        np.testing.assert_array_equal(cut.human_trajectory(), scene.human_trajectory())
        with pytest.raises(OpenPairError, match=r"8 frames after the current one; protocol v1\.1 needs 10"):
            prepare_scene(cut, Protocol.V1_1)
    change(root, lambda rows: rows[: current + 4])
    planned = NavsimDataset(root, split="mini", scene_filter=SceneFilter.of_tokens([token])).load_scene(token)
    assert len(planned.future) == 3
    with pytest.raises(OpenPairError, match="3 frames after the current one, a human plan needs 8"):
        planned.human_trajectory()


def test_hidden_files_are_no_logs(root: Path) -> None:
    before = NavsimDataset(root, split="mini").keys()
    log_file(root, f"._{LOG}").write_bytes(b"\x00\x05\x16\x07 macOS")
    (root / "navsim_logs" / ".trash").mkdir()
    assert NavsimDataset(root, missing="per_scene").keys() == before and doctor(root) == []


BOM = b"\xef\xbb\xbf"


def test_byte_order_marks_are_no_part_of_a_list(tmp_path: Path) -> None:
    for name, text in [("a.csv", "token\nabc\n"), ("a.txt", "abc\n"), ("a.yaml", "tokens:\n- abc\n")]:
        (tmp_path / name).write_bytes(BOM + text.encode())
        assert read_scene_filter(tmp_path / name).tokens == ("abc",)
    (tmp_path / "c.yaml").write_bytes(BOM + b"NUPLAN_MAP_VERSION: v\n")
    assert settings({"OPENPAIR_CONFIG": str(tmp_path / "c.yaml")})["NUPLAN_MAP_VERSION"] == "v"


@pytest.mark.parametrize("token", ["0123456701234567", "1234567890123456", "12e4567890123456", "1_0", "true", "1:30"])
@pytest.mark.parametrize("style", ["tokens: [{}]", "tokens:\n  - {}", "tokens:\n- {} # a comment", "{{tokens: [{}]}}"])
def test_tokens_are_text_in_every_style_of_yaml(tmp_path: Path, style: str, token: str) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(style.format(token))
    assert read_scene_filter(path).tokens == (token,)


def test_numbers_and_flags_of_a_filter_are_what_they_were(tmp_path: Path) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text("{num_history_frames: 4, num_future_frames: 8, has_route: false, max_scenes: null, tokens: null}")
    assert read_scene_filter(path) == SceneFilter(num_future_frames=8, has_route=False)
    path.write_text("num_history_frames: four")
    with pytest.raises(OpenPairError, match="num_history_frames"):
        read_scene_filter(path)


def test_a_tilde_is_the_home_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    environment = {"OPENSCENE_DATA_ROOT": f"~/{root.name}", "HOME": str(root.parent)}
    assert navsim_folders(None, environment).logs == root / "navsim_logs"
    assert navsim_folders(Path(f"~/{root.name}"), {}).logs == root / "navsim_logs"


def test_caches_go_elsewhere_where_the_home_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    folder = cache_folder()
    assert not str(folder).startswith("/proc")
    assert folder.parent.is_dir() and folder.parent.stat().st_mode & 0o077 == 0


def test_openscenes_own_layout_is_named(root: Path) -> None:
    (root / "navsim_logs").rename(root / "meta_datas")
    with pytest.raises(OpenPairError, match="OpenScene") as caught:
        NavsimDataset(root)
    assert "ln -s" in caught.value.fix
