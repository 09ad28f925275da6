"""A small report with everything in it, made from the toy town of the evaluation tests."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from toy_town import ToySource, toy_prepare, toy_scene, toy_score

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.evaluation.agents import CheckpointAgent
from openpair.evaluation.chunk import Task
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import parse_agents, ready_agent
from openpair.evaluation.summary import Summary
from openpair.visualization.gallery_scene import GalleryScene, ScoredPlan, scored_plans
from openpair.visualization.report_data import BranchCurves, Comparison, CurvePanel, ReportData, Series

CANDIDATES = 15


def straight(speed: float, aside: float = 0.0) -> np.ndarray:
    """(8, 3) straight on at a speed [m/s], drifting aside [m] (left positive)."""
    t = 0.5 * np.arange(1, 9)
    return np.stack([speed * t, aside * t / 4.0, np.zeros(8)], axis=1)


def toy_summary(broken: tuple[str, ...] = ()) -> Summary:
    def fast(scene: Scene) -> np.ndarray:
        return straight(9.0)

    def candidates(scene: Scene) -> np.ndarray:
        return np.stack([straight(9.0), straight(10.0)])

    best = CheckpointAgent(fast, "best", uses_truth=True, candidates=candidates)
    agents = (*parse_agents(["human", "constant_velocity"]), ready_agent(CheckpointAgent(fast, "pair")))
    task = Task(
        ToySource((("log-a", 4), ("log-b", 4), ("log-c", 4)), broken),
        (*agents, ready_agent(best)),
        Protocol.V1_1,
        prepare=toy_prepare,
        score=toy_score,
    )
    return evaluate(task).summary


def toy_item(index: int = 0, scene: Scene | None = None) -> GalleryScene:
    scene = scene or toy_scene("log-a", f"log-a-{index:03d}", index)
    plans = np.stack([straight(4.0 + 0.4 * i, 0.25 * (i - 7)) for i in range(CANDIDATES)])
    labels = [f"{i:04b}" for i in range(CANDIDATES)]
    scores = toy_score(toy_prepare(scene, Protocol.V1_1), plans)
    leaves = scored_plans(labels, plans, scores, predicted=np.linspace(-1, 1, CANDIDATES))
    images = {name: np.full((90, 160, 3), 40 * i, np.uint8) for i, name in enumerate(("cam_l0", "cam_f0", "cam_r0"))}
    return GalleryScene(
        scene,
        f"Scene {index}",
        ScoredPlan("human", straight(8.0), 0.8, {"ego_progress": 0.8}),
        ScoredPlan("IL", straight(6.0), 0.6, {"ego_progress": 0.6}, 0.1),
        leaves,
        leaves[9],
        "Shown because it exists.",
        ("better" if index % 2 else "worse",),
        SensorFrame(images, np.zeros((0, 3), np.float32)),
    )


def toy_report(**changes: object) -> ReportData:
    steps = np.arange(20)
    score = CurvePanel(
        "Score",
        "epoch",
        "PDMS",
        (
            Series("selected", steps, 1 - 0.5 * np.exp(-steps / 5), low=steps * 0.0, high=steps * 0.0 + 1),
            Series("human", [0, 19], [0.9, 0.9], dashed=True),
        ),
        percent=True,
    )
    loss = CurvePanel("Loss", "step", "L1 [m]", (Series("training", steps * 100, np.exp(-steps / 5)),), "It falls.")
    data = ReportData(
        title="A toy report",
        headline="The toy agent drives 90 PDMS.",
        paragraphs=("It drives straight on.",),
        evaluation=toy_summary(),
        labels={"pair": "PaIR"},
        descriptions={"pair": "drives at 9 m/s"},
        comparisons=(Comparison("pair", "human", "Is it faster than the human?"),),
        branches=(BranchCurves("Imitation branch", "From the human.", (score, loss)),),
        scenes=tuple(toy_item(i) for i in range(3)),
        made=(("Command", "openpair demo"), ("Machine", "two cores")),
        limits=("A toy.",),
    )
    return replace(data, **changes)
