"""The whole way, as a user goes it, at the smallest size: train, evaluate, report, resume, drive elsewhere."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from openpair.checkpoints import load_checkpoint
from openpair.cli.demo import BASELINES, PLANNERS, TOUR_BASELINES, TOUR_PLANNERS, Demo
from openpair.cli.demo_probe import estimates, is_worthwhile, probe, steps_left
from openpair.cli.demo_steps import Step, Steps
from openpair.cli.main import main
from openpair.configs.experiment import preset

ARGOVERSE2 = Path(__file__).parents[2] / ".." / "shared" / "real" / "argoverse2"
SCENES = 6


def run(*args: object) -> int:
    """Exit status of a command."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(arg) for arg in args])
    return int(exit_info.value.code or 0)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished quick demo."""
    out = tmp_path_factory.mktemp("demo")
    assert run("demo", "--preset", "quick_known", "--out", out, "--test-scenes", SCENES, "--gallery", 1) == 0
    return out


def test_the_demo_scores_every_agent_on_every_scene(demo: Path) -> None:
    summary = json.loads((demo / "summary.json").read_text())
    assert list(summary["agents"]) == [*BASELINES, *PLANNERS]
    assert summary["scenes"]["expected"] == summary["scenes"]["scored"] == SCENES
    with (demo / "scores.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == SCENES * (len(BASELINES) + len(PLANNERS))
    assert all(0.0 <= float(row["score"]) <= 1.0 and row["error"] == "" for row in rows)
    truth = {name for name, agent in summary["agents"].items() if agent["uses_truth"]}
    assert truth == {"pair_best_of_6"}


def test_the_report_is_one_file_that_fetches_nothing(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    assert "PaIR + reward model" in page
    scenes = (demo / "scenes.html").read_text()
    for text in (page, scenes):
        assert not re.search(r'(?:src|href)\s*=\s*["\']https?://', text)
    linked = re.findall(r'href="scenes\.html#scene=(\w+)"', page)
    assert linked and all(f'"{token}"' in scenes for token in linked)


def test_the_plan_says_how_long_each_step_takes_and_what_is_left() -> None:
    lines: list[str] = []
    steps = Steps((Step("prepare", 60.0), Step("train", 600.0)), lines.append)
    assert lines == [
        "2 steps, about 11.0 min on this machine:",
        "  1. prepare (about 60 s)",
        "  2. train (about 10.0 min)",
    ]
    for _ in range(2):
        with steps.step():
            pass
    assert lines[3:] == [
        "step 1 of 2 done in 0 s; 0 s so far, about 10.0 min left",
        "step 2 of 2 done in 0 s; 0 s so far",
    ]
    unknown: list[str] = []
    Steps((Step("prepare", 60.0), Step("train")), unknown.append)
    assert unknown[0] == "2 steps:"


def test_the_probe_measures_every_kind_of_work(tmp_path: Path) -> None:
    config = preset("quick_known")
    task = Demo(config=config)._task
    speed = probe(config, lambda networks, town: task(("human",), ("il", "pair"), networks, town), cores=1)
    assert min(speed.evaluated, *speed.scene_steps.values()) > 0 and min(speed.data, speed.candidates) >= 0
    few = estimates(config, tmp_path, speed, test_scenes=10, reported=1, workers=1)
    many = estimates(config, tmp_path, speed, test_scenes=40, reported=1, workers=2)
    assert len(few) == 6 and many[1:4] == few[1:4] and many[0] == few[0] / 2
    assert many[4] == pytest.approx(2 * few[4])


def test_what_is_trained_already_is_not_counted(demo: Path, tmp_path: Path) -> None:
    assert set(steps_left(preset("quick_known"), demo / "run").values()) == {0}
    assert steps_left(preset("quick"), tmp_path) == {"il": 4, "rl": 3, "reward": 4}
    assert steps_left(preset("quick_known"), tmp_path)["correction"] == 3
    assert is_worthwhile(preset("demo"), tmp_path) and not is_worthwhile(preset("quick"), tmp_path)


def test_a_tour_trains_nothing_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tour = ("demo", "--preset", "tour", "--out", tmp_path, "--gallery", 1, "--workers", 1)
    assert run(*tour, "--test-scenes", 3) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary["agents"]) == [*TOUR_BASELINES, *TOUR_PLANNERS]
    assert summary["scenes"]["scored"] == 3
    assert not (tmp_path / "run").exists()
    page = (tmp_path / "report.html").read_text()
    assert "Nothing was trained in this run" in page and "3 of 981 test scenes" in page
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"every scene: openpair view {tmp_path}")
    assert run("demo", "--preset", "quick", "--out", tmp_path) == 2  # before it trains anything
    assert "the folder holds other results" in capsys.readouterr().err


def test_a_tour_refuses_settings_of_a_training(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("demo", "--preset", "tour", "--out", tmp_path / "out", "--imitation.steps", 5) == 2
    assert "a tour trains nothing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_checkpoints_say_how_they_were_made(demo: Path) -> None:
    for file, kind in (
        ("il/policy", "transfuser"),
        ("rl/sampler", "kinematic"),
        ("reward/reward_model", "pose_aware"),
        ("correction/sampler", "corrector"),
    ):
        network, info = load_checkpoint(demo / "run" / f"{file}.safetensors", kind)
        assert info.seed == 0
        assert info.notes["preset"] == "quick_known"
        assert not network.training


def test_running_it_again_trains_nothing_and_gives_the_same_scores(demo: Path) -> None:
    before = (demo / "scores.csv").read_text()
    weights = (demo / "run" / "il" / "policy.safetensors").stat().st_mtime_ns
    assert run("demo", "--preset", "quick_known", "--out", demo, "--test-scenes", SCENES, "--gallery", 1) == 0
    assert (demo / "scores.csv").read_text() == before
    assert (demo / "run" / "il" / "policy.safetensors").stat().st_mtime_ns == weights


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--seed", 1, "--test-scenes", SCENES), "a run with other settings (preset quick_known)"),
        (("--test-scenes", SCENES - 1), "results of other scenes"),
    ],
)
def test_another_demo_is_refused_in_the_same_folder(
    demo: Path, changed: tuple[object, ...], message: str, capsys: pytest.CaptureFixture
) -> None:
    before = {path: path.read_bytes() for path in (demo / "summary.json", demo / "run" / "experiment.json")}
    assert run("demo", "--preset", "quick_known", "--out", demo, "--gallery", 1, *changed) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert {path: path.read_bytes() for path in before} == before


def test_branches_trained_by_turns_are_those_trained_at_the_same_time(demo: Path, tmp_path: Path) -> None:
    arguments = ("--preset", "quick_known", "--out", tmp_path, "--cache", demo / "data", "--interleave")
    assert run("train", "parallel", *arguments) == 0
    for branch, file in (("il", "policy"), ("rl", "sampler")):
        name = Path(branch) / f"{file}.safetensors"
        assert (tmp_path / name).read_bytes() == (demo / "run" / name).read_bytes()


@pytest.mark.skipif(not ARGOVERSE2.is_dir(), reason="the recorded Argoverse 2 logs (../shared/real) are not here")
def test_the_trained_agent_drives_on_recorded_logs(demo: Path, tmp_path: Path) -> None:
    agents = ("--agent", "human", "--agent", "constant_velocity", "--agent", f"pair={demo / 'run'}")
    arguments = ("--dataset", "argoverse2", "--root", ARGOVERSE2, "--max-scenes", 4, "--out", tmp_path / "out")
    assert run("eval", *arguments, *agents) == 0
    with (tmp_path / "out" / "scores.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["agent"] for row in rows} == {"human", "constant_velocity", "pair"}
    human = [row for row in rows if row["agent"] == "human"]
    assert all(float(r["no_at_fault_collisions"]) == float(r["drivable_area_compliance"]) == 1.0 for r in human)


def test_a_planner_that_lacks_a_network_says_which(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.copytree(demo / "run" / "il", tmp_path / "half" / "il")
    arguments = ("--dataset", "world", "--max-scenes", 1, "--out", tmp_path / "out")
    assert run("eval", *arguments, "--agent", f"{tmp_path / 'half'}@pair") == 2
    assert "needs a sampler and a reward model" in capsys.readouterr().err
    assert not (tmp_path / "out" / "scores.csv").exists()


def test_a_checkpoint_of_another_network_is_refused(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for suffix in (".safetensors", ".json"):
        (tmp_path / "wrong" / "il").mkdir(parents=True, exist_ok=True)
        source = (demo / "run" / "rl" / "sampler").with_suffix(suffix)
        shutil.copy(source, tmp_path / "wrong" / "il" / f"policy{suffix}")
    arguments = ("--dataset", "world", "--max-scenes", 1, "--out", tmp_path / "out")
    assert run("eval", *arguments, "--agent", tmp_path / "wrong") == 2
    assert "a checkpoint of 'kinematic', which is no imitation policy" in capsys.readouterr().err
