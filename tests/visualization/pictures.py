"""A small report with everything in it: figures of the toy town, scenes of the straight road."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
sys.path.insert(0, str(Path(__file__).parents[1] / "scoring"))

from straight_road import agent, scene, straight_plan
from toy_town import ToySource, toy_prepare, toy_score

from openpair.datatypes.columns import AgentCategory, Protocol
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.evaluation.agents import CheckpointAgent
from openpair.evaluation.chunk import Task
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import parse_agents, ready_agent
from openpair.evaluation.summary import Summary
from openpair.scoring import score_prepared
from openpair.visualization.report_data import BranchCurves, Comparison, CurvePanel, ReportData, Series
from openpair.visualization.scene_view import GalleryScene, SceneView, scored_plans, view_scene

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


def parked_car() -> ScoringScene:
    """A car stands 30 m ahead on the ego's lane: who holds 10 m/s hits it at 2.4 s."""
    return scene(Protocol.V1_1, [agent("parked", AgentCategory.VEHICLE, 30.0)])


def toy_view(prepared: ScoringScene | None = None) -> SceneView:
    """The human stops, "pair" drives on into the parked car, "il" slowly; leaves at various speeds."""
    prepared = prepared or parked_car()
    plans = [("human", straight_plan(4.0)), ("pair", straight_plan(10.0)), ("il", straight_plan(6.0))]
    candidates = np.stack([straight(4.0 + 0.4 * i, 0.05 * (i - 7)) for i in range(CANDIDATES)])
    names, predicted = [f"{i:04b}" for i in range(CANDIDATES)], np.linspace(0, 1, CANDIDATES).tolist()
    leaves = scored_plans(names, candidates, score_prepared(prepared, candidates), predicted)
    return view_scene(prepared, plans, leaves=leaves)


def toy_item(index: int = 0) -> GalleryScene:
    images = {name: np.full((90, 160, 3), 40 * i, np.uint8) for i, name in enumerate(("cam_l0", "cam_f0", "cam_r0"))}
    return GalleryScene(
        toy_view(),
        f"Scene {index}",
        "log-a",
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
        method="pair",
    )
    return replace(data, **changes)
