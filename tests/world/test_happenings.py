"""Scenes by what happens in them: ``openpair world list`` and ``show``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openpair.cli.main import main
from openpair.datasets.happenings import HAPPENINGS, happenings, parse_where
from openpair.datasets.world.dataset import WorldDataset
from openpair.errors import OpenPairError


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["world", *args])
    return int(exit_info.value.code or 0)


def test_listed_scenes_are_as_asked_for(capsys: pytest.CaptureFixture) -> None:
    assert run("list", "--where", "turning left and not braking", "--most", "3") == 0
    lines = capsys.readouterr().out.splitlines()[:3]
    dataset = WorldDataset("test")
    for line in lines:
        scene = dataset.load_scene(line.split()[0])
        assert np.rad2deg(scene.human_trajectory()[-1, 2]) > 20.0
        found = happenings(scene)
        assert "turning left" in found and "braking" not in found and "turning right" not in found


def test_everything_happens_somewhere() -> None:
    dataset = WorldDataset("train", max_scenes=400)
    seen = {name for key in dataset.keys() for name in happenings(dataset.load_scene(key.token))}
    assert set(HAPPENINGS) - seen <= {"standing"}  # 0.3% of the scenes


def test_unknown_words_get_a_suggestion() -> None:
    with pytest.raises(OpenPairError, match="Did you mean 'red light'"):
        parse_where("braking and red ligt")
    with pytest.raises(OpenPairError, match="turning left"):
        parse_where("flying")


def test_a_scene_is_described_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    token = WorldDataset("val").keys()[0].token
    assert run("show", token, "--out", str(tmp_path / "scene.svg")) == 0
    assert "split val" in capsys.readouterr().out
    assert (tmp_path / "scene.svg").read_text().lstrip().startswith("<svg")
    assert run("show", "nothing") == 2
    assert "world list" in capsys.readouterr().err
