"""Bad input of ``openpair drive``: every failure is a sentence and no score, and what others drove is kept."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_road import FailingAt, SmallLogs, Standing, recording

from openpair.datatypes.road_map import RoadMap
from openpair.driving import runner
from openpair.driving.records import DriveRow, read_drives
from openpair.driving.runner import NOT_JUDGED, NOT_STARTED, DriveTask, finished_rows, run_drives
from openpair.errors import OpenPairError
from openpair.evaluation.agents import Agent
from openpair.evaluation.sources import DatasetSource, ready_agent


def driven(dataset: object, agents: list[Agent], out: Path) -> dict[tuple[str, str], DriveRow]:
    """Rows of drives.csv, by log and agent."""
    task = DriveTask(DatasetSource("small", ready=dataset), tuple(map(ready_agent, agents)))  # type: ignore[arg-type]
    run_drives(task, out)
    return {(row.log, row.agent): row for row in read_drives(out / "drives.csv")}


def has_no_score(row: DriveRow) -> bool:
    return row.driving_score is row.nuplan_score is row.mean_plan_score is row.route_completion is None


def test_logs_that_nobody_can_drive_are_rows_with_their_reason(tmp_path: Path) -> None:
    good = recording(frames=24)
    short = SimpleNamespace(road_map=good.road_map, frames=recording(frames=14).frames[:13])
    bare = SimpleNamespace(road_map=RoadMap("bare", {}, {}), frames=good.frames)
    gap = SimpleNamespace(road_map=good.road_map, frames=good.frames[:9] + good.frames[10:])
    rows = driven(SmallLogs({"good": good, "short": short, "bare": bare, "gap": gap}), [Standing()], tmp_path)  # type: ignore[dict-item]
    assert not rows["good", "standing"].failed
    reasons = {
        "short": "short: the log is too short to drive: 13 frames without a gap, 14 are needed. Choose longer logs.",
        "bare": "bare: the log has no map to drive on. Check the dataset's maps.",
        "gap": "gap: the log is too short to drive: 9 frames without a gap, 14 are needed. Choose longer logs.",
    }
    for log, reason in reasons.items():
        row = rows[log, "standing"]
        assert row.error == reason and row.end == NOT_STARTED and has_no_score(row)
    means = json.loads((tmp_path / "summary.json").read_text())["agents"]["standing"]["means"]
    assert means["driving_score"]["num_scenes"] == 1


def test_a_dataset_without_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match=r"no log holds a whole scene.*--root and --split, or choose longer logs"):
        driven(SmallLogs({}), [Standing()], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("nan", "agent 'failing' planned a pose that is NaN or infinite."),
        ("words", "agent 'failing' planned no array of numbers (could not convert string to float"),
        ("exit", "SystemExit at small_road.py"),
        ("unprintable", r"no file \udcff"),
    ],
)
def test_an_agent_that_fails_in_the_middle_spoils_nothing_else(tmp_path: Path, how: str, reason: str) -> None:
    logs = SmallLogs({"log": recording(frames=16)})
    rows = driven(logs, [FailingAt(3, how), Standing()], tmp_path)
    failed = rows["log", "failing"]
    assert failed.error.startswith("after 1.0 s: ") and reason in failed.error
    assert has_no_score(failed) and failed.seconds == 1.0 and failed.plans == 2
    assert not rows["log", "standing"].failed and rows["log", "standing"].driving_score is not None


def test_a_drive_that_cannot_be_judged_has_a_reason_and_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = runner.judge

    def sometimes(drive: object) -> object:
        if drive.agent == "failing":  # type: ignore[attr-defined]
            raise ValueError("no such lane")
        return judge(drive)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "judge", sometimes)
    rows = driven(SmallLogs({"log": recording(frames=16)}), [FailingAt(99), Standing()], tmp_path)
    failed = rows["log", "failing"]
    assert failed.end == NOT_JUDGED and failed.error.endswith("no such lane") and has_no_score(failed)
    assert not rows["log", "standing"].failed


def test_drives_never_replace_one_another(tmp_path: Path) -> None:
    logs = SmallLogs({"log": recording(frames=16)})
    with pytest.raises(OpenPairError, match=r"'a b' and 'a/b' would be files of the same name.*Name them apart"):
        driven(logs, [Standing("a b"), Standing("a/b")], tmp_path / "out")
    with pytest.raises(OpenPairError, match=r"too long for a file.*Give a short one"):
        driven(logs, [Standing("a" * 300)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "cause"),
    [("", "Expecting value"), ("[]", "holds no JSON object"), ("{}", "no 'format'"),
     ('{"format": 1, "row": {"log": "a", "agent": "b"}}', "no 'fingerprint'"),
     ('{"format": 1, "fingerprint": "f"}', "no 'row'"), ('{"format": 2}', "this is format 2")],
)  # fmt: skip
def test_a_damaged_file_of_a_drive_is_named(tmp_path: Path, content: str, cause: str) -> None:
    (tmp_path / "log__agent.json").write_text(content)
    with pytest.raises(OpenPairError, match=f"log__agent.json: .*{cause}"):
        finished_rows(tmp_path, "f")


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    half = tmp_path / "drives" / ".log__standing.json.part"
    half.parent.mkdir()
    half.write_text('{"row": ')
    rows = driven(SmallLogs({"log": recording(frames=16)}), [Standing()], tmp_path)
    assert not rows["log", "standing"].failed
    assert [path.name for path in half.parent.iterdir()] == ["log__standing.json"]
