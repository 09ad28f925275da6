"""A small result of the embedded world with everything a viewer meets, and a server over it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viewer_server import Served, serving

from openpair.cli.main import main
from openpair.datasets.registry import open_dataset
from openpair.datatypes.columns import Protocol
from openpair.evaluation.chunk import Task
from openpair.evaluation.plans_file import write_plans
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import AgentSource, DatasetSource
from openpair.viewer.book import Book
from openpair.viewer.columns import DataOrigin
from openpair.viewer.desk import SceneDesk
from openpair.viewer.results import open_results
from openpair.viewer.scan import SceneScan

SCENES = 3


def open_world(origin: DataOrigin, protocol: Protocol):
    """The embedded world, whatever the result says."""
    return open_dataset("world", None, split=origin.split)


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``openpair eval`` wrote of three scenes: baselines, and "mine", which leaves the road in the first."""
    folder = tmp_path_factory.mktemp("results") / "toy"
    dataset = open_dataset("world", None, split="test")
    keys = dataset.keys()
    tokens = [keys[i].token for i in (0, len(keys) // 2, len(keys) - 1)]
    poses = np.stack([dataset.load_scene(token).human_trajectory() for token in tokens])
    poses[0] = np.linspace([1.0, -2.0, -0.5], [8.0, -14.0, -1.0], 8)
    plans = folder.parent / "mine.npz"
    write_plans(plans, tokens, poses)
    sources = (
        AgentSource("human", "human"),
        AgentSource("constant_velocity", "constant_velocity"),
        AgentSource("mine", "plans", plans),
    )
    task = Task(DatasetSource("world", None, {"split": "test"}), sources, Protocol.V1_1)
    evaluate(task, out_dir=folder)
    return folder


@pytest.fixture(scope="session")
def open_desk(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SceneDesk]:
    """Opens results as the command does, on the embedded world."""

    def open_them(*folders: Path) -> SceneDesk:
        book = Book([r for folder in folders for r in open_results(folder)], open_world)
        return SceneDesk(book, scan=SceneScan(book, tmp_path_factory.mktemp("cache")))

    return open_them


@pytest.fixture(scope="session")
def served(result: Path, open_desk: Callable[..., SceneDesk]) -> Iterator[Served]:
    desk = open_desk(result)
    desk.start()
    with serving(desk) as running:
        yield running


@pytest.fixture(scope="session")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two agents in one log; few plans, so that few scenes are prepared."""
    folder = tmp_path_factory.mktemp("drives") / "two"
    agents = ("--agent", "human", "--agent", "constant_velocity")
    words = ["drive", "--dataset", "world", *agents, "--replan", "4", "--max-drives", "1", "--workers", "1"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--out", str(folder)])
    assert not stop.value.code
    return folder


@pytest.fixture
def copied(result: Path, tmp_path: Path) -> Path:
    """A copy of the result to damage."""
    return Path(shutil.copytree(result, tmp_path / "copy"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from watched_page import CHROMIUM, FLAGS, playwright

    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def watched(browser) -> Iterator[Any]:
    from watched_page import Watched

    one = Watched(browser)
    yield one
    one.page.close()
    assert one.complaints == []
