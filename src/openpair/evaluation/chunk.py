"""Evaluate one chunk of scenes in one process: load, prepare, plan, score. Each scene fails alone."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset, SceneKey
from openpair.datatypes.columns import Protocol
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Scene
from openpair.datatypes.scores import PlanScores, metric_names
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.evaluation.agents import Agent, check_plan
from openpair.evaluation.records import ChunkResult, ScoreRow
from openpair.evaluation.sources import AgentContext, AgentSource, DatasetSource

Prepare = Callable[[Scene, Protocol], ScoringScene]
Score = Callable[[ScoringScene, NDArray[np.float64]], PlanScores]


def prepare_scene(scene: Scene, protocol: Protocol) -> ScoringScene:
    """Default preparation: from the scene and its map, with the PDM-Closed reference."""
    from openpair import preparation

    return preparation.prepare_scene(scene, protocol)


def score_plans(prepared: ScoringScene, plans: NDArray[np.float64]) -> PlanScores:
    """Default scoring: exactly as NAVSIM does, (N, 8, 3) plans at once."""
    from openpair import scoring

    return scoring.score_prepared(prepared, plans)


@dataclass(frozen=True)
class Task:
    """Everything a process needs to evaluate chunks; travels to workers by pickling.

    Attributes:
        dataset, agents: what is evaluated.
        protocol: which score.
        seed: seed of agents that draw at random.
        prepare: scene -> prepared scene (exchange it to read prepared scenes from a store).
        score: prepared scene, plans -> scores.
    """

    dataset: DatasetSource
    agents: tuple[AgentSource, ...]
    protocol: Protocol
    seed: int = 0
    prepare: Prepare = prepare_scene
    score: Score = score_plans


@dataclass
class ChunkEvaluator:
    """An open dataset with built agents, ready for chunk after chunk."""

    task: Task
    dataset: Dataset
    agents: list[Agent] = field(default_factory=list)
    _prepared: dict[str, ScoringScene] = field(default_factory=dict)
    _map_digests: dict[int, tuple[RoadMap, bytes]] = field(default_factory=dict)

    @staticmethod
    def start(task: Task, dataset: Dataset | None = None) -> ChunkEvaluator:
        """Open the dataset and build the agents. Raises OpenPairError where one cannot be."""
        evaluator = ChunkEvaluator(task, dataset or task.dataset.open())
        context = AgentContext(evaluator.dataset, evaluator.prepare, task.seed)
        evaluator.agents = [source.build(context) for source in task.agents]
        return evaluator

    def prepare(self, scene: Scene) -> ScoringScene:
        """The prepared scene, made once per chunk."""
        if scene.token not in self._prepared:
            self._prepared[scene.token] = self.task.prepare(scene, self.task.protocol)
        return self._prepared[scene.token]

    def run(self, keys: Sequence[SceneKey]) -> ChunkResult:
        """Rows of all agents on these scenes, scene by scene in order."""
        self._prepared.clear()
        scenes: dict[str, Scene] = {}
        scene_errors: dict[str, str] = {}
        digests: dict[str, str] = {}
        for key in keys:
            try:
                scene = self.dataset.load_scene(key.token)
                self.prepare(scene)
                digests[key.token] = self._digest(scene)
                scenes[key.token] = scene
            except Exception as error:
                scene_errors[key.token] = describe(error)
        plans: dict[str, dict[str, NDArray[np.float64] | str]] = {
            agent.name: self._plan_all(agent, list(scenes.values())) for agent in self.agents
        }
        rows = []
        for key in keys:
            if key.token in scene_errors:
                rows += [self._row(key, agent, error=scene_errors[key.token]) for agent in self.agents]
            else:
                rows += self._score_scene(key, {agent.name: plans[agent.name][key.token] for agent in self.agents})
        truth_agents = tuple(agent.name for agent in self.agents if agent.uses_truth)
        return ChunkResult(rows, [digests.get(key.token, "") for key in keys], truth_agents)

    def _plan_all(self, agent: Agent, scenes: list[Scene]) -> dict[str, NDArray[np.float64] | str]:
        """(N, 8, 3) plans per token (N = 1 without the truth), or the reason why there are none."""
        batch = None if agent.uses_truth else _plan_batch(agent, scenes)
        planned: dict[str, NDArray[np.float64] | str] = {}
        for row, scene in enumerate(scenes):
            try:
                if agent.uses_truth:
                    planned[scene.token] = _candidates(agent, scene)
                else:
                    plan = agent.plan(scene) if batch is None else batch[row]
                    planned[scene.token] = check_plan(plan, agent=agent.name)[None]
            except Exception as error:
                planned[scene.token] = describe(error)
        return planned

    def _score_scene(self, key: SceneKey, plans: dict[str, NDArray[np.float64] | str]) -> list[ScoreRow]:
        """All agents' plans are scored in one call: the scene's part of the work is done once."""
        good = {name: plan for name, plan in plans.items() if not isinstance(plan, str)}
        scores: PlanScores | None = None
        error = ""
        if good:
            try:
                scores = self.task.score(self._prepared[key.token], np.concatenate(list(good.values())))
            except Exception as failure:
                error = describe(failure)
        rows, start = [], 0
        for agent in self.agents:
            plan = plans[agent.name]
            if isinstance(plan, str) or scores is None:
                rows.append(self._row(key, agent, error=plan if isinstance(plan, str) else error))
                continue
            best = start + int(np.argmax(scores.score[start : start + len(plan)]))
            rows.append(self._row(key, agent, scores=scores, index=best))
            start += len(plan)
        return rows

    def _row(
        self, key: SceneKey, agent: Agent, *, scores: PlanScores | None = None, index: int = 0, error: str = ""
    ) -> ScoreRow:
        place = (self.dataset.name, key.log_name, key.token, agent.name, self.task.protocol.value)
        if scores is None:
            return ScoreRow(*place, error=error)
        score = float(scores.score[index])
        if not np.isfinite(score):
            return ScoreRow(*place, error="the score is not a number")
        metrics = {name: float(scores.metrics[name][index]) for name in metric_names(self.task.protocol)}
        return ScoreRow(*place, metrics=metrics, score=score)

    def _digest(self, scene: Scene) -> str:
        """Hash of what the scene says: ego, agents, lights, route and map."""
        digest = hashlib.sha256(f"{scene.log_name}/{scene.token}".encode())
        for frame in scene.frames:
            ego, agents = frame.ego, frame.agents
            names = f"{ego.timestamp_us}{agents.track_tokens}{frame.traffic_lights}{frame.route_roadblock_ids}"
            digest.update(names.encode())
            for array in (ego.pose, ego.velocity, ego.acceleration, agents.category, agents.box, agents.velocity):
                digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self._map_digest(scene.road_map))
        return digest.hexdigest()

    def _map_digest(self, road_map: RoadMap) -> bytes:
        if id(road_map) not in self._map_digests:
            digest = hashlib.sha256(road_map.name.encode())
            for lane in road_map.lanes.values():
                digest.update(f"{lane.id}{lane.roadblock_id}{lane.outgoing}{lane.speed_limit_mps}".encode())
                digest.update(np.ascontiguousarray(lane.baseline).tobytes())
            areas = [b.polygon for b in road_map.roadblocks.values() if b.polygon is not None]
            for polygon in (*areas, *road_map.intersections.values(), *road_map.carparks.values()):
                digest.update(polygon.wkb)
            self._map_digests[id(road_map)] = (road_map, digest.digest())  # holding the map keeps its id unique
        return self._map_digests[id(road_map)][1]


def _plan_batch(agent: Agent, scenes: list[Scene]) -> NDArray | None:
    """(B, 8, 3) plans in one call, or None where the agent cannot: it then plans scene by scene.

    One scene may spoil the call for all; alone, each failure gets its own reason.
    """
    plan_batch = getattr(agent, "plan_batch", None)
    if plan_batch is None or len(scenes) < 2:
        return None
    try:
        plans = np.asarray(plan_batch(scenes))
    except Exception:
        return None
    return plans if len(plans) == len(scenes) else None


def _candidates(agent: Agent, scene: Scene) -> NDArray[np.float64]:
    """(N, 8, 3) checked candidates of an agent that lets the true score pick."""
    plan_candidates = getattr(agent, "plan_candidates", None)
    if plan_candidates is None:
        raise OpenPairError(f"agent '{agent.name}' uses the truth but has no plan_candidates")
    candidates = np.asarray(plan_candidates(scene))
    if candidates.ndim != 3 or len(candidates) == 0:
        raise OpenPairError(f"agent '{agent.name}' gave candidates of shape {candidates.shape}, not (N, 8, 3)")
    return np.stack([check_plan(plan, agent=agent.name) for plan in candidates])


def describe(error: Exception) -> str:
    """Reason of a failure. Errors other than OpenPairError are named, with the line that raised them."""
    if isinstance(error, OpenPairError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {error}"


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Sums in networks depend on the number of threads; one each makes results equal for any number of workers."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
