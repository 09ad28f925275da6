"""Runs are listed with their state and best figures; what is not installed is said before anything is built."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from openpair.checkpoints import to_plain
from openpair.cli.main import main
from openpair.configs.experiment import preset
from openpair.configs.run_list import list_runs
from openpair.errors import OpenPairError
from openpair.training import figure_log
from openpair.training.figure_log import NoLog, check_log, open_log


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose imitation is done and whose reinforcement is at step 2 of 3."""
    folder = tmp_path / "runs" / "a"
    curves = {
        "il": [{"step": 2, "loss": 1.0, "val_distance_m": 3.0}, {"step": 4, "val_distance_m": 4.0}],
        "rl": [{"step": 2, "val_best_of_tree": 0.5}],
    }
    for branch, points in curves.items():
        (folder / branch).mkdir(parents=True)
        (folder / branch / "curve.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    (folder / "experiment.json").write_text(json.dumps(to_plain(preset("quick"))))
    return folder


def test_runs_are_listed_with_state_and_best_figure(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = (run / "rl" / "curve.jsonl").stat().st_mtime
    il, rl = list_runs(run.parent, now_s=written + 10)
    assert (il.branch, il.step, il.steps, il.state, il.best, il.latest) == ("il", 4, 4, "done", 3.0, 4.0)
    assert (rl.branch, rl.step, rl.steps, rl.state, rl.best) == ("rl", 2, 3, "running", 0.5)
    os.utime(run / "rl" / "curve.jsonl", (written - 3600, written - 3600))
    assert list_runs(run)[1].state == "stopped"
    with pytest.raises(SystemExit) as ended:
        main(["runs", str(run.parent)])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert "val_distance_m" in lines[1] and "3.0000" in lines[1] and "stopped" in lines[2]


def test_folders_without_runs_are_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(OpenPairError, match="no such folder"):
        list_runs(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OpenPairError, match="no run was started"):
        list_runs(tmp_path / "empty")
    (run / "experiment.json").write_text("{")
    with pytest.raises(OpenPairError, match="cannot be read"):
        list_runs(run)


def test_a_log_without_its_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(figure_log.MODULES, "wandb", "a_library_that_nobody_has")
    with pytest.raises(OpenPairError, match="'wandb' is not installed"):
        check_log("wandb")
    assert isinstance(open_log("none", tmp_path), NoLog)


def test_figures_and_pictures_reach_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'openpair[watch]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = open_log("tensorboard", tmp_path)
    log.write(3, {"loss": 0.5})
    log.show(4, {"scene_0": np.zeros((20, 30, 3), np.uint8)})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(3, 0.5)]
    assert [(event.step, event.width, event.height) for event in events.Images("scene_0")] == [(4, 30, 20)]
