"""Unfinished results are taken up by the same evaluation alone: data, code of plug-ins, settings."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from toy_town import Interrupting, ToyDataset, toy_prepare, toy_score

from openpair.datasets.base import data_fingerprint
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.errors import OpenPairError
from openpair.evaluation.chunk import Task
from openpair.evaluation.identity import plugin_files, request_of
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import parse_agents


class DriveInAFile(ToyDataset):
    """A toy town whose car drives as fast as its log file says."""

    def __init__(self, log: Path) -> None:
        super().__init__({"log-a": 40})
        self.log = log

    def fingerprint(self) -> str:
        return data_fingerprint([self.log], [key.token for key in self.keys()])

    def load_scene(self, token: str) -> Scene:
        scene = super().load_scene(token)
        factor = float(self.log.read_text())
        frames = []
        for frame in scene.frames:
            pose = frame.ego.pose * np.array([factor, 1.0, 1.0])
            frames.append(replace(frame, ego=replace(frame.ego, pose=pose)))
        return replace(scene, frames=tuple(frames))


@dataclass(frozen=True)
class FileSource:
    root: Path
    name: str = "toy"
    options: dict[str, object] = field(default_factory=dict)

    def open(self) -> DriveInAFile:
        return DriveInAFile(self.root)


def task_of(log: Path) -> Task:
    return Task(FileSource(log), parse_agents(["human"]), Protocol.V1_1, prepare=toy_prepare, score=toy_score)  # type: ignore[arg-type]


def test_a_log_that_changes_between_interruption_and_resume_leaves_no_old_row(tmp_path: Path) -> None:
    log, out = tmp_path / "log.txt", tmp_path / "out"
    log.write_text("1.0")
    with pytest.raises(KeyboardInterrupt):
        evaluate(replace(task_of(log), score=Interrupting(20)), out_dir=out)
    log.write_text("0.50")
    with pytest.raises(OpenPairError, match="unfinished results of other data"):
        evaluate(task_of(log), out_dir=out)
    resumed = evaluate(task_of(log), out_dir=out, overwrite=True)
    assert resumed.summary.run["resumed_scenes"] == 0
    assert resumed.rows == evaluate(task_of(log)).rows
    assert {row.score for row in resumed.rows} == {0.4}


def test_the_same_data_are_taken_up(tmp_path: Path) -> None:
    log, out = tmp_path / "log.txt", tmp_path / "out"
    log.write_text("1.0")
    with pytest.raises(KeyboardInterrupt):
        evaluate(replace(task_of(log), score=Interrupting(20)), out_dir=out)
    assert evaluate(task_of(log), out_dir=out).summary.run["resumed_scenes"] == 16


def test_a_plug_in_is_all_the_code_it_imports_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text("import math\nfrom steering import turn\ndef make(context): return turn\n")
    (tmp_path / "steering.py").write_text("def turn(scene):\n    from wheels import four\n    return four\n")
    (tmp_path / "wheels.py").write_text("four = 4\n")
    (tmp_path / "unrelated.py").write_text("raise RuntimeError('never run')\n")
    entry = f"{tmp_path / 'driver.py'}:make"
    assert [path.name for path in plugin_files(entry)] == ["driver.py", "steering.py", "wheels.py"]
    assert "steering" not in sys.modules
    log = tmp_path / "log.txt"
    log.write_text("1.0")

    def identity() -> dict[str, str]:
        task = replace(task_of(log), agents=parse_agents([entry]))
        dataset = task.dataset.open()
        return request_of(task, dataset, dataset.keys(), {source.name: source.sha256() for source in task.agents})

    first = identity()
    (tmp_path / "unrelated.py").write_text("pass\n")
    assert identity() == first
    (tmp_path / "wheels.py").write_text("four = 5\n")
    assert identity() != first
