"""The networks that come with the package: found by name, and as good as they were when they were put there."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest

import openpair
from openpair.evaluation.sources import parse_agent
from openpair.planning.pretrained import FOLDER, run_folder

SCENES = 12
"""Of the validation towns, spread over them."""


def test_they_score_what_they_scored_when_they_were_put_there() -> None:
    evaluation = openpair.evaluate(["pretrained", "pretrained@il"], split="val", max_scenes=SCENES)
    assert not any(row.failed for row in evaluation.rows)
    means = {
        name: fmean(100 * row.score for row in evaluation.rows if row.agent == name and row.score is not None)
        for name in ("pretrained", "pretrained@il")
    }
    # Processors differ in last bits, which may turn a sub-metric of a scene.
    assert means["pretrained"] == pytest.approx(88.12, abs=4.0)
    assert means["pretrained@il"] == pytest.approx(85.17, abs=4.0)


def test_a_policy_of_ones_own_gets_their_tree_and_reward_model() -> None:
    source = parse_agent("constant_velocity+pretrained")
    assert source.root is not None and source.path == FOLDER and source.is_planner


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_folder(Path("pretrained")) == FOLDER
    (tmp_path / "pretrained").mkdir()
    assert run_folder(Path("pretrained")) == Path("pretrained")


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 10e6
