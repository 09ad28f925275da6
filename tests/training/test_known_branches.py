"""Every branch trains on the truth and resumes to the same bits; what it learned is evaluated as any other network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from openpair.cli.main import main
from openpair.configs.experiment import preset
from openpair.configs.runs import BRANCH_FILES, RunPlan
from openpair.configs.train import build_stores
from openpair.training.data import DataSpec, StoreLocation
from openpair.training.loop import BranchRun


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoreLocation]:
    config = preset("quick_known")
    specs = {
        name: DataSpec(options={"split": split, "max_scenes": count})
        for name, split, count in (("train", "train", 8), ("validation", "val", 4))
    }
    return build_stores(specs, config, tmp_path_factory.mktemp("data"), 1)


def plan_in(folder: Path, stores: dict[str, StoreLocation]) -> RunPlan:
    return RunPlan(preset("quick_known"), stores["train"], stores["validation"], folder)


def train(plan: RunPlan, branch: str, *, interrupted_after: int | None = None) -> None:
    def start() -> BranchRun:
        return plan.starter(branch)("cpu", lambda progress: None)

    run = start()
    if interrupted_after is not None:
        for _ in range(interrupted_after):
            run.advance()
        run = start()
    while not run.done:
        run.advance()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, stores: dict[str, StoreLocation]) -> RunPlan:
    """All networks, trained without interruption."""
    plan = plan_in(tmp_path_factory.mktemp("run"), stores)
    for branch in ("il", "rl", "reward", "correction", "sequential"):
        train(plan, branch)
    return plan


def test_interrupted_branches_end_with_the_same_weights(
    tmp_path: Path, trained: RunPlan, stores: dict[str, StoreLocation]
) -> None:
    plan = plan_in(tmp_path, stores)
    for branch, after in (("il", 3), ("rl", 2), ("reward", 3), ("correction", 2), ("sequential", 1)):
        train(plan, branch, interrupted_after=after)
        ours, theirs = (load_file(run.folder / BRANCH_FILES[branch]) for run in (plan, trained))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), branch


@pytest.mark.parametrize(
    ("branch", "plans"),
    [("rl", ["human", "root"]), ("reward", ["human", "chosen", "root"]), ("correction", ["human", "root"])],
)
def test_branches_show_trees_and_stay_as_they_are(trained: RunPlan, branch: str, plans: list[str]) -> None:
    run = trained.starter(branch)("cpu", lambda progress: None)
    draw = replace(trained, log="tensorboard").draw()
    assert draw is not None and trained.draw() is None  # nobody looks
    before = {name: value.clone() for name, value in run.branch.state_tensors().items()}
    shown = run.branch.shown_scenes()
    assert all(torch.equal(value, before[name]) for name, value in run.branch.state_tensors().items())
    assert len(shown) == 4
    for scene in shown:
        assert [*scene.plans] == plans and len(scene.candidates) == len(scene.scores) > 0
        assert ((scene.scores >= 0) & (scene.scores <= 1)).all()
    picture = draw(shown[0])
    assert picture.ndim == 3 and picture.dtype == np.uint8 and np.ptp(picture) > 0


def test_pictures_reach_tensorboard(tmp_path: Path, trained: RunPlan) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'openpair[watch]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(replace(trained, folder=tmp_path, log="tensorboard"), "rl")
    events = EventAccumulator(str(tmp_path / "rl" / "tensorboard")).Reload()
    assert events.Tags()["images"] == [f"scene_{i}" for i in range(4)]
    (event,) = events.Images("scene_0")
    assert event.step == 3 and event.width == 600 and event.encoded_image_string.startswith(b"\x89PNG")


def evaluate(folder: Path, out: Path, *options: Sequence[str]) -> dict[str, float]:
    command = ["eval", "--dataset", "world", "--split", "val", "--max-scenes", "2", "--workers", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--agent", str(folder), "--out", str(out), *map(str, options)])
    assert ended.value.code == 0
    summary: dict[str, float] = json.loads((out / "summary.json").read_text())
    return summary


def test_a_run_without_vision_is_evaluated(tmp_path: Path, trained: RunPlan) -> None:
    assert evaluate(trained.folder, tmp_path / "pair")
    assert evaluate(trained.folder / BRANCH_FILES["il"], tmp_path / "il")
