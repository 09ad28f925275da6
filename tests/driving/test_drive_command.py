"""``openpair drive`` as a user calls it: files, resuming, workers, bad input."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from small_road import FailingAt, SmallLogs, Standing, recording

from openpair.cli.main import main
from openpair.datasets.base import Dataset
from openpair.datasets.world.dataset import WorldDataset
from openpair.driving.records import read_drive_file, read_drives
from openpair.driving.runner import DriveTask, check_agents, named_logs, run_drives
from openpair.errors import OpenPairError
from openpair.evaluation.sources import AgentSource, DatasetSource, parse_agents, ready_agent

NAVSIM = Path(__file__).parents[2].parent / "shared" / "golden" / "navsim"
WORLD = ("--dataset", "world", "--split", "val", "--agent", "constant_velocity", "--replan", 4)
"""Few plans, so that few scenes have to be prepared."""


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["drive", *map(str, arguments)])
    return int(stop.value.code or 0)


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "drives").glob("*.json"))}


def test_two_workers_give_the_same_files_as_one_and_an_interrupted_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert call(*WORLD, "--max-drives", 2, "--workers", 1, "--out", alone) == 0
    assert "constant_velocity" in capsys.readouterr().out
    assert call(*WORLD, "--max-drives", 2, "--workers", 2, "--out", together) == 0
    assert (alone / "drives.csv").read_bytes() == (together / "drives.csv").read_bytes()
    assert files_of(alone) == files_of(together) and len(files_of(alone)) == 2

    before = (alone / "drives.csv").read_bytes()
    (alone / "drives.csv").unlink()
    next((alone / "drives").glob("*.json")).unlink()
    assert call(*WORLD, "--max-drives", 2, "--workers", 1, "--out", alone) == 0
    assert (alone / "drives.csv").read_bytes() == before
    assert json.loads((alone / "summary.json").read_text())["run"]["resumed_logs"] == 1

    # drives of other settings are not mixed in
    assert call(*WORLD, "--max-drives", 1, "--workers", 1, "--out", alone) == 2
    assert "drives of other agents, data or settings" in capsys.readouterr().err
    damaged = next((alone / "drives").glob("*.json"))
    damaged.write_text(damaged.read_text()[:100])
    assert call(*WORLD, "--max-drives", 2, "--workers", 1, "--out", alone) == 2
    assert "Delete it and drive again" in capsys.readouterr().err


def test_a_failure_is_a_row_with_its_reason_and_no_score(tmp_path: Path) -> None:
    dataset: Dataset = SmallLogs()  # type: ignore[assignment]
    agents = (ready_agent(Standing()), ready_agent(FailingAt(3)))
    driven = run_drives(DriveTask(DatasetSource("small", ready=dataset), agents), tmp_path)
    rows = {(row.log, row.agent): row for row in driven.rows}
    assert not rows["log", "standing"].failed and rows["log", "standing"].seconds == 10.0
    assert rows["log", "failing"].error.startswith("after 1.0 s: RuntimeError")
    assert rows["log", "failing"].driving_score is None and rows["log", "failing"].seconds == 1.0
    assert {rows["broken", name].error for name in ("standing", "failing")} == {"broken.pkl: the log is damaged."}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["drives"]["failed"] == 3 and summary["drives"]["expected"] == 4
    assert summary["agents"]["failing"]["means"]["driving_score"]["mean"] is None
    assert summary["agents"]["standing"]["means"]["driving_score"]["num_scenes"] == 1
    assert read_drives(tmp_path / "drives.csv") == driven.rows
    failed = read_drive_file(tmp_path / "drives" / "log__failing.json")
    assert len(failed["ego"]) == 11 and failed["events"] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--replan", 0.25), "a plan cannot be renewed every 0.25 s. Give a multiple of 0.1 s, from 0.1 to 4"),
        (("--max-drives", 0), "0 logs cannot be driven"),
        (("--split", "tset"), "the world has no split 'tset'"),
        (("--workers", -1), "there cannot be -1 workers"),
        (("--log", "agate-01"), "there is no log 'agate-01'. Did you mean 'agate-01"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, options: tuple, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--dataset", "world", "--out", tmp_path / "out", *options) == 2
    assert sentence in capsys.readouterr().err


def test_logs_can_be_named() -> None:
    assert named_logs(["a", "b", "c"], ("c", "a")) == ["a", "c"], "in the order of the dataset"
    assert named_logs(["a", "b"], ()) == ["a", "b"]


def test_who_cannot_drive_is_refused_with_the_reason(tmp_path: Path) -> None:
    class Recorded:
        name, ray_cast = "navsim", False

    checkpoint = AgentSource("net", "checkpoint", tmp_path)
    with pytest.raises(OpenPairError, match="recorded sensors of navsim cannot follow a car"):
        check_agents([checkpoint], Recorded())  # type: ignore[list-item]
    check_agents([checkpoint], WorldDataset("val"))
    check_agents(parse_agents(["human", "constant_velocity", "pdm_closed"]), Recorded())  # type: ignore[arg-type]
    with pytest.raises(OpenPairError, match="a file of plans knows recorded scenes alone"):
        check_agents([AgentSource("plans", "plans", tmp_path / "plans.npz")], WorldDataset("val"))

    class Cheat(Standing):
        uses_truth = True

    cheat = ready_agent(Cheat(uses_truth=True))
    with pytest.raises(OpenPairError, match="lets the true score pick its plan"):
        run_drives(DriveTask(DatasetSource("world", options={"split": "val"}), (cheat,)), tmp_path, max_drives=1)


@pytest.mark.skipif(not NAVSIM.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")
def test_recorded_logs_can_be_driven_without_sensors(tmp_path: Path) -> None:
    agents = ("--agent", "human", "--agent", "pdm_closed")
    assert call("--dataset", "navsim", "--root", NAVSIM, *agents, "--max-drives", 1, "--workers", 1,
                "--out", tmp_path) == 0  # fmt: skip
    human, pdm = read_drives(tmp_path / "drives.csv")
    assert human.progress is not None and human.progress > 0.95
    assert pdm.driving_score is not None and pdm.driving_score > 0.5 and pdm.plans_scored == 27


def test_a_planner_that_remembers_finds_what_the_ego_saw_before() -> None:
    from openpair.driving.driven_scenes import DrivenScenes
    from openpair.driving.loop import drive
    from openpair.driving.traffic import ReplayedTraffic

    seen = DrivenScenes(WorldDataset("val"))
    log = recording()
    finished = drive(log, Standing(), ReplayedTraffic(log), seen=seen)
    scenes = [plan.scene for plan in finished.planned]
    assert seen.predecessor(scenes[0].token) is None
    for before, after in itertools.pairwise(scenes):
        token = seen.predecessor(after.token)
        assert token == before.token and seen.load_scene(token) is before
