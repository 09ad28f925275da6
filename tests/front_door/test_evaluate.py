"""``openpair.evaluate`` and ``openpair.compare``: whatever plans is an agent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openpair
from openpair.cli.main import main
from openpair.evaluation.records import read_scores


def stand(scene: openpair.Scene) -> np.ndarray:
    return np.zeros((8, 3))


def test_names_functions_and_open_datasets(tmp_path: Path) -> None:
    evaluation = openpair.evaluate(["human", stand], max_scenes=3, out=tmp_path / "a")
    assert [agent.name for agent in evaluation.summary.agents] == ["human", "stand"]
    assert len(evaluation.rows) == 6 and not any(row.failed for row in evaluation.rows)
    world = openpair.open_dataset("world", split="test")
    again = openpair.evaluate({"H": "human"}, world, max_scenes=3)
    human = [row.score for row in evaluation.rows if row.agent == "human"]
    assert [row.score for row in again.rows] == human
    (found,) = openpair.compare(tmp_path / "a", agents=("stand", "human"))
    assert found.score.difference.mean == pytest.approx(
        np.mean(human) - np.mean([row.score for row in evaluation.rows if row.agent == "stand"])
    )
    with pytest.raises(openpair.OpenPairError, match="two agents"):
        openpair.compare(tmp_path / "a", agents=("human",))


def test_it_is_what_the_command_does(tmp_path: Path) -> None:
    openpair.evaluate(["constant_velocity"], protocol="v2.2", max_scenes=2, out=tmp_path / "python")
    arguments = ["--protocol", "v2.2", "--max-scenes", "2", "--workers", "1", "--out", str(tmp_path / "command")]
    with pytest.raises(SystemExit):
        main(["eval", "--dataset", "world", "--agent", "constant_velocity", *arguments])
    rows = [read_scores(tmp_path / name / "scores.csv") for name in ("python", "command")]
    assert rows[0] == rows[1]


def test_what_cannot_be_evaluated_is_refused(tmp_path: Path) -> None:
    for agents, says in (([], "no agent"), ([stand, stand], "two agents are called 'stand'"), ([3], "does not plan")):
        with pytest.raises(openpair.OpenPairError, match=says):
            openpair.evaluate(agents)  # type: ignore[arg-type]
    with pytest.raises(openpair.OpenPairError, match="no such run folder"):
        openpair.load_planner(tmp_path / "none", openpair.open_dataset("world"))
