"""Scenes and drives for the Rerun viewer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from openpair.cli.main import main
from openpair.errors import OpenPairError
from openpair.viewer.rerun_log import recording, score_until


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return int(stop.value.code or 0)


def test_the_score_over_time_ends_at_the_score(result, open_desk):
    book = open_desk(result).book
    view, _ = book.view(book.tokens[0], ["0.mine", "0.human"])
    mine = view.plans[0].explanation
    over_time = [score_until(mine, step) for step in range(41)]
    assert mine.score == 0.0 and mine.first is not None and mine.first.step is not None
    assert over_time[-1] == mine.score
    assert over_time[mine.first.step] == 0.0 and all(score > 0.0 for score in over_time[: mine.first.step])
    assert (np.diff(over_time) <= 0.0).all()


def test_without_rerun_it_says_how_to_get_it(result, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert run("view", result, "--rerun", tmp_path / "scene.rrd", "--no-cameras") == 2
    assert "pip install 'openpair[rerun]'" in capsys.readouterr().err
    assert run("view", result, "--rerun", tmp_path / "scene.rrd", "--scene", "a", "--scene", "b") == 2
    assert "2 scenes are named" in capsys.readouterr().err


def test_a_scene_is_logged(result, tmp_path, capsys):
    pytest.importorskip("rerun", reason="Rerun is not installed (extra rerun)")
    path = tmp_path / "scene.rrd"
    assert run("view", result, "--agent", "mine", "--agent", "human", "--rerun", path, "--no-cameras") == 0
    assert str(path) in capsys.readouterr().out
    logged = contents(path)
    for entity in ("/world/map/centerlines", "/world/mine/motion", "/world/human/ego", "/score/mine", "/offences/mine"):
        assert entity in logged, entity
    assert "/cameras" not in logged
    with pytest.raises(OpenPairError, match=r"not \.rrd"), recording(tmp_path / "scene.txt", "", np.zeros(3)):
        pass
    with pytest.raises(OpenPairError, match="cannot write"), recording(tmp_path / "no" / "a.rrd", "", np.zeros(3)):
        pass


def test_drives_are_logged(drives, tmp_path):
    pytest.importorskip("rerun", reason="Rerun is not installed (extra rerun)")
    path = tmp_path / "drive.rrd"
    assert run("view", drives, "--rerun", path, "--no-cameras") == 0
    logged = contents(path)
    assert all(f"/world/{agent}/way" in logged for agent in ("human", "constant_velocity"))


def contents(path: Path) -> str:
    """What Rerun's own tool says of a recording."""
    command = [sys.executable, "-m", "rerun", "rrd", "print", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout + done.stderr
