"""Several results open together: their scenes side by side, and any of them in detail, made when it is asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datasets.happenings import HAPPENINGS
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.evaluation.agents import ConstantVelocityAgent, HumanAgent, PdmClosedAgent, check_plan
from openpair.preparation.prepare import prepare_scene
from openpair.scoring import score_prepared
from openpair.viewer.columns import DataOrigin, Result
from openpair.viewer.result_table import Column, ResultTable
from openpair.visualization.drawing import lidar_part
from openpair.visualization.explanation import explain_all
from openpair.visualization.scene_data import camera_data, scene_data
from openpair.visualization.scene_view import NUM_TONES, DrawnPlan, SceneView

OpenDataset = Callable[[DataOrigin, Protocol], Dataset]
SCENES_KEPT = 48
CAMERA_SIZE = (384, 216)


class Book(ResultTable):
    """Results of scenes that are looked at together.

    Args:
        results: none where training runs alone are looked at.
        open_dataset: opens where a result's scenes come from; may raise OpenPairError, which every scene then says.
    """

    kind = "scenes"
    thing = "scene"
    happenings = HAPPENINGS

    def __init__(self, results: Sequence[Result], open_dataset: OpenDataset) -> None:
        super().__init__(results)
        self._open_dataset = open_dataset
        self._datasets: dict[int, Dataset] = {}
        self._scenes: OrderedDict[tuple[int, str], tuple[Scene, ScoringScene]] = OrderedDict()
        self._lock = threading.RLock()

    def can_draw(self, column: Column) -> bool:
        """Whether the agent's plans are known."""
        return column.column.read_plans is not None or _baseline(column.column.agent) is not None

    def dataset(self, result: Result) -> Dataset:
        """The dataset of a result. Raises OpenPairError where it is not there."""
        number = self.results.index(result)
        with self._lock:
            if number not in self._datasets:
                same = (
                    self._datasets[other]
                    for other in self._datasets
                    if self.results[other].origin == result.origin and self.results[other].protocol is result.protocol
                )
                self._datasets[number] = next(same, None) or self._open_dataset(result.origin, result.protocol)
            return self._datasets[number]

    def scene(self, token: str, keys: Sequence[str]) -> dict[str, Any]:
        """One scene with the plans of some agents, drawn and explained.

        Raises OpenPairError where the scene cannot be loaded. Plans that are not known are said under ``missing``:
        (label, reason).
        """
        with self._lock:
            view, missing = self.view(token, keys)
            log = self.logs[self.place(token)]
            return {**scene_data(view, log=log), "missing": missing}

    def view(self, token: str, keys: Sequence[str]) -> tuple[SceneView, list[tuple[str, str]]]:
        """The scene with plans, and (label, reason) of the agents without one."""
        place = self.place(token)
        columns = [self.column(key) for key in keys]
        first = next((c.result for c in columns if c.rows[place] >= 0), None) or self._result_of(place)
        scene, prepared = self._prepared(first, token)
        plans: list[tuple[Column, NDArray[np.float64]]] = []
        missing: list[tuple[str, str]] = []
        for column in columns:
            if column.result.protocol is not first.protocol:
                missing.append((column.label, f"it was scored by {column.result.protocol.value}"))
                continue
            reason = self._why_not(column, place)
            plan = None if reason else self._plan(column, scene, prepared)
            if plan is None:
                missing.append((column.label, reason or self._no_plan(column)))
            else:
                plans.append((column, plan))
        explained = explain_all(
            prepared, [plan for _, plan in plans], [c.label for c, _ in plans], human_filter=first.human_filter
        )
        tones = iter(range(len(plans)))
        drawn = tuple(
            DrawnPlan(
                column.key,
                explanation,
                None if _is_human(column) else next(tones) % NUM_TONES,
                score=float(column.column.scores[column.rows[place]]),
            )
            for (column, _), explanation in zip(plans, explained, strict=True)
        )
        return SceneView(prepared, drawn, surroundings=scene), missing

    def sensors(self, token: str) -> dict[str, Any]:
        """Camera strip and LiDAR of a scene. Raises OpenPairError where the dataset has none."""
        with self._lock:
            _, prepared = self._prepared(self._result_of(self.place(token)), token)
            sensors = self.sensor_frame(token, CAMERA_SIZE)
            points = np.zeros((0, 3)) if sensors.lidar_points is None else sensors.lidar_points
            return {"camera": camera_data(sensors), "lidar": lidar_part(points, SceneView(prepared, ()))}

    def sensor_frame(self, token: str, size: tuple[int, int]) -> SensorFrame:
        """Cameras of ``size`` (width, height) and LiDAR. Raises OpenPairError where the dataset has none."""
        with self._lock:
            result = self._result_of(self.place(token))
            return self.dataset(result).load_sensors(self._prepared(result, token)[0], size=size)

    def camera(self, token: str) -> dict[str, Any] | None:
        """The camera strip alone; None where the dataset has no images of the scene."""
        try:
            return self.sensors(token)["camera"]
        except OpenPairError:
            return None

    def scene_of(self, column: Column, token: str) -> tuple[Scene, ScoringScene]:
        """The scene of one agent's result, as loaded and as prepared."""
        with self._lock:
            self.place(token)
            return self._prepared(column.result, token)

    def warm_up(self) -> None:
        """Load what scoring needs, so that the first scene does not have to wait for it."""
        if self.tokens:
            self.scene(self.tokens[0], [column.key for column in self.columns if self.can_draw(column)][:1])

    def visit(self, token: str) -> None:
        """Prepare a scene, so that the map around it is open. Raises OpenPairError where it cannot be."""
        with self._lock:
            self._prepared(self._result_of(self.place(token)), token)

    def loaded(self, token: str) -> Scene:
        """The scene of the dataset, not kept: for a pass over all of them."""
        with self._lock:
            return self.dataset(self._result_of(self.place(token))).load_scene(token)

    def _result_of(self, place: int) -> Result:
        return next(c.result for c in self.columns if c.rows[place] >= 0)

    def _prepared(self, result: Result, token: str) -> tuple[Scene, ScoringScene]:
        key = (self.results.index(result), token)
        if key not in self._scenes:
            scene = self.dataset(result).load_scene(token)
            self._scenes[key] = (scene, prepare_scene(scene, result.protocol))
            while len(self._scenes) > SCENES_KEPT:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(key)
        return self._scenes[key]

    @staticmethod
    def _why_not(column: Column, place: int) -> str:
        row = int(column.rows[place])
        return "it was not asked for this scene" if row < 0 else column.column.errors.get(row, "")

    @staticmethod
    def _no_plan(column: Column) -> str:
        if column.column.read_plans is None:
            return "the result holds its scores alone: evaluate again to keep the plans"
        return "its file of plans has none for this scene"

    @staticmethod
    def _plan(column: Column, scene: Scene, prepared: ScoringScene) -> NDArray[np.float64] | None:
        """(8, 3); of several, the one with the greatest true score. None where it is not known."""
        if column.column.read_plans is not None:
            plans = column.column.read_plans().get(scene.token)
            if plans is None:
                return None
            best = 0 if len(plans) == 1 else int(np.argmax(score_prepared(prepared, plans).score))
            return np.asarray(plans[best], np.float64)
        baseline = _baseline(column.column.agent)
        return None if baseline is None else check_plan(baseline(scene, prepared), agent=column.column.agent)


def _baseline(agent: str) -> Callable[[Scene, ScoringScene], Any] | None:
    """How a plan follows from the scene, for agents whose plan does."""
    baselines: dict[str, Callable[[Scene, ScoringScene], Any]] = {
        "human": lambda scene, _: HumanAgent().plan(scene),
        "constant_velocity": lambda scene, _: ConstantVelocityAgent().plan(scene),
        "pdm_closed": lambda scene, prepared: PdmClosedAgent(lambda _: prepared).plan(scene),
    }
    return baselines.get(agent.rpartition(".")[2])


def _is_human(column: Column) -> bool:
    return column.column.agent.rpartition(".")[2] == "human"
