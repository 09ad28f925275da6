"""``openpair bench navtrain`` on a split of three logs: what it makes up is what the filter names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openpair.benchmarks.navtrain import filter_text
from openpair.benchmarks.navtrain_logs import NUM_LOGS, NUM_TOKENS, frames_of_log, made_up_filter, write_logs
from openpair.cli.main import main
from openpair.datasets.navsim.dataset import NavsimDataset
from openpair.datasets.navsim.logs import read_log
from openpair.datasets.navsim.scene_filter import SceneFilter, read_scene_filter

NAMES = ("2021.01.01.00.00.00_veh-01_00000_00040", "2021.01.01.00.00.00_veh-01_00050_00140", "short_00000_00001")
TOKENS = tuple(f"{i:016x}" for i in range(1, 60))


def test_made_up_logs_hold_exactly_the_scenes_of_the_filter(tmp_path: Path) -> None:
    scene_filter = SceneFilter(frame_interval=1, log_names=NAMES, tokens=TOKENS)
    folder = tmp_path / "navsim_logs" / "trainval"
    sizes = list(write_logs(folder, scene_filter, objects=5))
    assert sorted(sizes) == sorted(path.stat().st_size for path in folder.iterdir())
    (tmp_path / "maps").mkdir()
    dataset = NavsimDataset(tmp_path, scene_filter=scene_filter, index_folder=tmp_path)
    assert {key.token for key in dataset.keys()} == set(TOKENS)
    assert {key.log_name for key in dataset.keys()} == set(NAMES)
    log = read_log(folder / f"{NAMES[1]}.pkl")
    assert len({log.token(i) for i in range(len(log))}) == len(log) >= frames_of_log(NAMES[1]) == 180
    assert len(log.frame(7).agents) == 5


def test_the_made_up_filter_is_of_navtrains_size(tmp_path: Path) -> None:
    scene_filter = made_up_filter()
    assert len(set(scene_filter.log_names)) == NUM_LOGS and len(set(scene_filter.tokens)) == NUM_TOKENS
    path = tmp_path / "filter.yaml"
    path.write_text(filter_text(scene_filter.log_names, scene_filter.tokens))
    assert read_scene_filter(path) == scene_filter


def test_the_command_prints_its_figures_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen, folder = tmp_path / "filter.yaml", tmp_path / "logs"
    chosen.write_text(filter_text(NAMES, TOKENS))
    folder.mkdir()
    with pytest.raises(SystemExit) as stop:
        main(["bench", "navtrain", "--tokens", str(chosen), "--folder", str(folder), "--objects", "3", "--json"])
    assert not stop.value.code
    output = capsys.readouterr().out
    figures = json.loads(output[output.index("{") :])
    assert (figures["logs"], figures["scenes"]) == (3, 59)
    assert figures["first_open_s"] > 0 and figures["later_open_memory_mb"] > 0
    assert not list(folder.iterdir())


def test_a_filter_without_logs_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = tmp_path / "tokens.txt"
    chosen.write_text("\n".join(TOKENS))
    with pytest.raises(SystemExit) as stop:
        main(["bench", "navtrain", "--tokens", str(chosen), "--folder", str(tmp_path)])
    assert stop.value.code == 2 and "does not name both logs and tokens" in capsys.readouterr().err
