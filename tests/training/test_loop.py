"""The training loop on a real, tiny problem: a line fitted by gradient descent."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from openpair.errors import OpenPairError
from openpair.training.branch import Branch
from openpair.training.config import LoopConfig
from openpair.training.figure_log import NoLog
from openpair.training.loop import BranchRun, Progress, read_curve, run_interleaved
from openpair.training.order import BatchOrder
from openpair.training.schedule import warmup_cosine
from openpair.training.shown_scenes import ShownScene


class LineBranch(Branch):
    """Fits y = 2 x + 1 with noisy inputs, so that the generator's state matters."""

    best_figure = "bias"

    def __init__(self, name: str = "line", total_steps: int = 30, learning_rate: float = 0.1) -> None:
        self.name = name
        self.total_steps = total_steps
        torch.manual_seed(0)
        self.network = nn.Linear(1, 1)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=learning_rate)
        self.generator = torch.Generator().manual_seed(7)
        self.order = BatchOrder(num_items=10, batch_size=4, seed=1)
        self.weight = 1.0

    def step(self, index: int) -> dict[str, float]:
        x = torch.as_tensor(self.order.indices(index)).float()[:, None] / 10
        x = x + 0.01 * torch.randn(x.shape, generator=self.generator)
        loss = (self.network(x) - 2 * x - 1).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.weight *= 0.99
        return {"loss": loss.item()}

    def tokens_of(self, index: int) -> list[str]:
        return [f"point-{i}" for i in self.order.indices(index)]

    def validate(self) -> dict[str, float]:
        return {"bias": self.network.bias.item()}

    def export(self, folder: Path, metrics: dict[str, float]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "exported").write_text(str(metrics["val_bias"]))

    def scalars(self) -> dict[str, float]:
        return {"weight": self.weight}

    def restore_scalars(self, scalars: dict[str, float]) -> None:
        self.weight = scalars["weight"]


def silent(progress: Progress) -> None:
    """Listens to nothing."""


def start(branch: Branch, folder: Path, fingerprint: str = "a") -> BranchRun:
    return BranchRun(branch, folder, LoopConfig(log_every=5, validate_every=10, save_every=6), fingerprint, silent)


def test_an_interrupted_run_ends_with_the_same_weights_and_curve(tmp_path: Path) -> None:
    whole, first, second = LineBranch(), LineBranch(), LineBranch()
    run_interleaved([start(whole, tmp_path / "whole")])
    broken = start(first, tmp_path / "broken")
    for _ in range(15):  # saved at 12: three steps are lost and done again
        broken.advance()
    resumed = start(second, tmp_path / "broken")
    assert resumed.next_step == 12
    run_interleaved([resumed])
    assert torch.equal(whole.network.weight, second.network.weight)
    assert whole.weight == second.weight
    assert read_curve(tmp_path / "whole") == read_curve(tmp_path / "broken")
    assert (tmp_path / "broken" / "exported").exists()


class Shown(NoLog):
    """A log that holds the pictures of each step."""

    def __init__(self) -> None:
        self.pictures: dict[int, dict[str, int]] = {}

    def show(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        self.pictures[step] = {name: int(picture[0, 0, 0]) for name, picture in pictures.items()}


class ShowingLine(LineBranch):
    def shown_scenes(self) -> list[ShownScene]:
        plan = np.full((8, 3), 10 * self.validate()["bias"])
        return [ShownScene(token, {"human": plan}, plan[None], np.ones(1)) for token in ("a", "b")]


def test_pictures_are_drawn_at_each_validation_for_those_who_look(tmp_path: Path) -> None:
    def draw(scene: ShownScene) -> NDArray[np.uint8]:
        return np.full((1, 1, 3), scene.plans["human"][0, 0], np.uint8)

    log, config = Shown(), LoopConfig(log_every=5, validate_every=10, save_every=6)
    run_interleaved([BranchRun(ShowingLine(), tmp_path / "seen", config, "a", silent, log, draw)])
    biases = {p["step"]: p["val_bias"] for p in read_curve(tmp_path / "seen") if "val_bias" in p}
    assert log.pictures == {
        step: dict.fromkeys(("scene_0", "scene_1"), int(10 * bias)) for step, bias in biases.items()
    }
    assert [*log.pictures] == [10, 20, 30]
    unseen = Shown()
    run_interleaved([BranchRun(ShowingLine(), tmp_path / "unseen", config, "a", silent, unseen)])
    assert not unseen.pictures


def test_interleaving_changes_nothing(tmp_path: Path) -> None:
    alone, left, right = LineBranch(), LineBranch(), LineBranch("other", total_steps=60)
    run_interleaved([start(alone, tmp_path / "alone")])
    run_interleaved([start(left, tmp_path / "left"), start(right, tmp_path / "right")])
    assert torch.equal(alone.network.weight, left.network.weight)


def test_a_run_with_another_configuration_is_not_resumed(tmp_path: Path) -> None:
    run_interleaved([start(LineBranch(), tmp_path, "a")])
    with pytest.raises(OpenPairError, match="another configuration"):
        start(LineBranch(), tmp_path, "b")


def test_divergence_is_said_at_once(tmp_path: Path) -> None:
    run = start(LineBranch(learning_rate=float("inf")), tmp_path)
    with pytest.raises(OpenPairError, match=r"diverged at step \d+: .*its scenes are point-\d"):
        run_interleaved([run])


def test_every_epoch_sees_every_item_once() -> None:
    order = BatchOrder(num_items=12, batch_size=4, seed=3)
    for epoch in range(3):
        seen = [i for k in range(3) for i in order.indices(epoch * 3 + k).tolist()]
        assert sorted(seen) == list(range(12))
    assert order.indices(0).tolist() == BatchOrder(12, 4, 3).indices(0).tolist()


def test_the_schedule_warms_up_and_cools_down() -> None:
    factor = [warmup_cosine(s, 100, warmup_steps=10, final_fraction=0.01) for s in range(100)]
    assert factor[0] == pytest.approx(0.1)
    assert factor[9] == factor[10] == pytest.approx(1.0)
    assert factor[-1] == pytest.approx(0.01)
    assert all(a >= b for a, b in pairwise(factor[10:]))


def test_averaged_weights_are_exported_and_resumed(tmp_path: Path) -> None:
    config = LoopConfig(log_every=5, validate_every=10, save_every=6, average=0.9, keep_last=2, keep_best=True)
    whole, first, second = LineBranch(), LineBranch(), LineBranch()
    run_interleaved([BranchRun(whole, tmp_path / "whole", config, "a", silent)])
    broken = BranchRun(first, tmp_path / "broken", config, "a", silent)
    for _ in range(15):
        broken.advance()
    run_interleaved([BranchRun(second, tmp_path / "broken", config, "a", silent)])
    assert whole.average is not None and second.average is not None
    assert all(torch.equal(value, second.average.tensors[name]) for name, value in whole.average.tensors.items())
    assert not torch.equal(whole.average.tensors["weight"], whole.network.weight)
    assert read_curve(tmp_path / "whole") == read_curve(tmp_path / "broken")
    validated = [point["val_bias"] for point in read_curve(tmp_path / "whole") if "val_bias" in point]
    assert validated[-1] == pytest.approx(float(whole.average.tensors["bias"]))  # the average is what is judged
    kept = sorted(path.name for path in (tmp_path / "whole" / "snapshots").iterdir())
    assert kept == ["step-0000020", "step-0000030"]
    best = float((tmp_path / "whole" / "best" / "exported").read_text())
    assert best == max(validated)


def test_sigterm_saves_the_state(tmp_path: Path) -> None:
    branch = LineBranch()
    run = start(branch, tmp_path)
    step = branch.step

    def step_and_signal(index: int) -> dict[str, float]:
        if index == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(index)

    branch.step = step_and_signal  # type: ignore[method-assign]
    with pytest.raises(SystemExit) as ended:
        run_interleaved([run])
    assert ended.value.code == 143
    assert start(LineBranch(), tmp_path).next_step == 3


def test_states_are_saved_by_time_too(tmp_path: Path) -> None:
    run = BranchRun(LineBranch(), tmp_path, LoopConfig(save_seconds=0.0), "a", silent)
    run.advance()
    assert start(LineBranch(), tmp_path).next_step == 1
