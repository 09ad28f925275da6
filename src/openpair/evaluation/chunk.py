"""Evaluate one chunk of scenes in one process: load, prepare, plan, score. Each scene fails alone."""

from __future__ import annotations

import hashlib
import itertools
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

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
from openpair.evaluation.reactive import score_reactive, without_human
from openpair.evaluation.records import ChunkResult, ScoreRow
from openpair.evaluation.sources import AgentContext, AgentSource, DatasetSource
from openpair.geometry.poses import local_to_global
from openpair.preparation.prepare import prepare_scene
from openpair.scoring import score_prepared
from openpair.scoring.epdms import StageMapping, StageRow, epdms, two_stage_scores
from openpair.scoring.extended_comfort import MAX_GAP_S, extended_comfort

STAGES = ("combined", "stage_one", "stage_two")
EXTENDED_COMFORT = "two_frame_extended_comfort"

Prepare = Callable[..., ScoringScene]
"""(scene, protocol) -> prepared scene; see :func:`openpair.preparation.prepare.prepare_scene`."""

Score = Callable[..., PlanScores]
"""(prepared scene, plans (N, 8, 3), human_filter=bool) -> scores; see :func:`openpair.scoring.score_prepared`."""


@dataclass(frozen=True)
class Task:
    """Everything a process needs to evaluate chunks; travels to workers by pickling.

    Attributes:
        dataset, agents: what is evaluated.
        protocol: which score.
        seed: seed of agents that draw at random.
        human_filter: v2.2: forgive what the human himself did, as the original does by default.
        all_scenes: evaluate every scene of the dataset even if plans are given for some alone; the others then count
            as failed.
        stages: 1 = recorded traffic is replayed; 2 = traffic answers the plans, and scenes come in mappings (navhard).
        carry_exemptions: do as one process of the original does: what touched the ego in one scene is left out of the
            reference planner's world in all later ones. Scenes then depend on their order and are evaluated in one
            process, in the dataset's order.
        prepare: scene -> prepared scene (exchange it to read prepared scenes from a store).
        score: prepared scene, plans -> scores (one stage).
    """

    dataset: DatasetSource
    agents: tuple[AgentSource, ...]
    protocol: Protocol
    seed: int = 0
    human_filter: bool = True
    all_scenes: bool = False
    stages: int = 1
    carry_exemptions: bool = False
    prepare: Prepare = prepare_scene
    score: Score = score_prepared


@dataclass(frozen=True)
class Chunk:
    """The unit of work.

    Attributes:
        keys: neighbouring scenes of one log.
        before: the scene before the first of them in the same log, if there is one: v2.2 compares neighbours.
        mapping: two stages: which of the scenes follow which.
    """

    keys: tuple[SceneKey, ...]
    before: SceneKey | None = None
    mapping: StageMapping | None = None

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class _SceneResult:
    """Rows of a scene, and what its successor compares itself with.

    Attributes:
        rows: one per agent.
        time_us: time stamp of the scene; None where it could not be loaded.
        states: (41, 11) simulated states by agent, v2.2 only.
        start: (3,) pose of the rear axle now, global frame; None where the scene could not be loaded.
        endpoints: (3,) last pose of each agent's plan, global frame.
    """

    rows: list[ScoreRow]
    time_us: int | None = None
    states: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    start: NDArray[np.float64] | None = None
    endpoints: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass
class ChunkEvaluator:
    """An open dataset with built agents, ready for chunk after chunk."""

    task: Task
    dataset: Dataset
    agents: list[Agent] = field(default_factory=list)
    _prepared: dict[str, ScoringScene] = field(default_factory=dict)
    _carried: set[str] = field(default_factory=set)
    _last_map: tuple[RoadMap, bytes] | None = None

    @staticmethod
    def start(task: Task, dataset: Dataset | None = None) -> ChunkEvaluator:
        """Open the dataset and build the agents. Raises OpenPairError where one cannot be."""
        evaluator = ChunkEvaluator(task, task.dataset.open() if dataset is None else dataset)
        context = AgentContext(evaluator.dataset, evaluator.prepare, task.seed)
        evaluator.agents = [source.build(context) for source in task.agents]
        return evaluator

    def prepare(self, scene: Scene) -> ScoringScene:
        """The prepared scene, made once per chunk."""
        if scene.token not in self._prepared:
            carried = {"carried_exemptions": self._carried} if self.task.carry_exemptions else {}
            prepared = self.task.prepare(scene, self.task.protocol, **carried)
            self._prepared[scene.token] = without_human(prepared) if scene.is_synthetic else prepared
        return self._prepared[scene.token]

    def run(self, chunk: Chunk) -> ChunkResult:
        """Rows of all agents on the scenes of a chunk, scene by scene in order."""
        is_v2 = self.task.protocol is Protocol.V2_2
        keys = [chunk.before, *chunk.keys] if is_v2 and chunk.before is not None else list(chunk.keys)
        before = None if chunk.before is None else chunk.before.token
        self._prepared = {token: scene for token, scene in self._prepared.items() if token == before}
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
        plans = {agent.name: self._plan_all(agent, list(scenes.values())) for agent in self.agents}
        results = []
        for key in keys:
            if key.token in scene_errors:
                rows = [self._row(key, agent, error=scene_errors[key.token]) for agent in self.agents]
                results.append(_SceneResult(rows))
            else:
                own = {agent.name: plans[agent.name][key.token] for agent in self.agents}
                results.append(self._score_scene(key, scenes[key.token], own))
        mapping_rows: dict[str, list[ScoreRow]] = {}
        if chunk.mapping is not None:
            by_token = {key.token: result for key, result in zip(keys, results, strict=True)}
            results, mapping_rows = self._combine_stages(chunk.mapping, by_token)
        elif is_v2:
            pairs = itertools.pairwise([_SceneResult([]), *results])
            results = [with_extended_comfort(earlier, later) for earlier, later in pairs]
        return ChunkResult(
            rows=[row for result in results[len(keys) - len(chunk) :] for row in result.rows],
            digests=[digests.get(key.token, "") for key in chunk.keys],
            truth_agents=tuple(agent.name for agent in self.agents if agent.uses_truth),
            mapping_rows=mapping_rows,
        )

    def _combine_stages(
        self, mapping: StageMapping, by_token: dict[str, _SceneResult]
    ) -> tuple[list[_SceneResult], dict[str, list[ScoreRow]]]:
        """Rows with extended comfort, and the mapping's own rows. One failed scene fails the mapping of that agent."""
        rows = {token: {row.agent: row for row in result.rows} for token, result in by_token.items()}
        own: dict[str, list[ScoreRow]] = {name: [] for name in STAGES}
        for agent in self.agents:
            first = rows[mapping.now][agent.name]
            place = (first.dataset, first.log, first.token, first.agent, first.protocol)
            failed = [row[agent.name] for row in rows.values() if row[agent.name].failed]
            if failed:
                reason = (
                    f"{len(failed)} of {len(rows)} scenes of the mapping failed; {failed[0].token}: {failed[0].error}"
                )
                for name in STAGES:
                    own[name].append(ScoreRow(*place, error=reason))
                continue
            stage_rows = [
                StageRow(
                    token=token,
                    metrics=rows[token][agent.name].metrics,
                    simulated_states=result.states[agent.name],
                    start=_known(result.start)[:2],
                    endpoint=result.endpoints[agent.name][:2],
                    start_time_s=_known(result.time_us) * 1e-6,
                )
                for token, result in by_token.items()
            ]
            scores = two_stage_scores(stage_rows, [mapping])
            for token in by_token:
                row = rows[token][agent.name]
                metrics = {**row.metrics, EXTENDED_COMFORT: scores.token_comfort[token]}
                rows[token][agent.name] = replace(row, metrics=metrics, score=scores.token_scores[token])
            for name in STAGES:
                values = getattr(scores, name)
                metrics = {metric: values[metric] for metric in metric_names(self.task.protocol)}
                own[name].append(ScoreRow(*place, metrics=metrics, score=values["score"]))
        return [replace(result, rows=list(rows[token].values())) for token, result in by_token.items()], own

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

    def _score_scene(self, key: SceneKey, scene: Scene, plans: dict[str, NDArray[np.float64] | str]) -> _SceneResult:
        """All agents' plans are scored in one call: the scene's part of the work is done once."""
        good = {name: plan for name, plan in plans.items() if not isinstance(plan, str)}
        scores: PlanScores | None = None
        error = ""
        if good:
            try:
                every_plan = np.concatenate(list(good.values()))
                scores = self._score(scene, every_plan)
            except Exception as failure:
                error = describe(failure)
        rows, start, states, endpoints = [], 0, {}, {}
        for agent in self.agents:
            plan = plans[agent.name]
            if isinstance(plan, str) or scores is None:
                rows.append(self._row(key, agent, error=plan if isinstance(plan, str) else error))
                continue
            best = start + int(np.argmax(scores.score[start : start + len(plan)]))
            rows.append(self._row(key, agent, scores=scores, index=best))
            if self.task.protocol is Protocol.V2_2:
                states[agent.name] = np.asarray(scores.evidence["simulated_states"][best])
            endpoints[agent.name] = local_to_global(plan[best - start, -1], scene.current.ego.pose)
            start += len(plan)
        return _SceneResult(rows, scene.current.ego.timestamp_us, states, scene.current.ego.pose, endpoints)

    def _score(self, scene: Scene, plans: NDArray[np.float64]) -> PlanScores:
        """Scores of plans (N, 8, 3) of one scene."""
        prepared, human_filter = self._prepared[scene.token], self.task.human_filter
        if self.task.stages == 1:
            return self.task.score(prepared, plans, human_filter=human_filter)
        return score_reactive(scene, prepared, plans, human_filter=human_filter)

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
        """Hash of lanes and surfaces; kept for the last map, which neighbouring scenes share."""
        if self._last_map is None or self._last_map[0] is not road_map:
            digest = hashlib.sha256(road_map.name.encode())
            for lane in road_map.lanes.values():
                digest.update(f"{lane.id}{lane.roadblock_id}{lane.outgoing}{lane.speed_limit_mps}".encode())
                digest.update(np.ascontiguousarray(lane.baseline).tobytes())
            areas = [b.polygon for b in road_map.roadblocks.values() if b.polygon is not None]
            for polygon in (*areas, *road_map.intersections.values(), *road_map.carparks.values()):
                digest.update(polygon.wkb)
            self._last_map = (road_map, digest.digest())
        return self._last_map[1]


def with_extended_comfort(earlier: _SceneResult, later: _SceneResult) -> _SceneResult:
    """The later scene's rows with extended comfort in metrics and score, where the two scenes are neighbours in time.

    Elsewhere it stays undefined and out of the score, as in the original.
    """
    if earlier.time_us is None or later.time_us is None:
        return later
    gap_s = (later.time_us - earlier.time_us) * 1e-6
    if not 0 < gap_s <= MAX_GAP_S:
        return later
    rows = []
    for row in later.rows:
        if row.score is None or row.agent not in earlier.states or row.agent not in later.states:
            rows.append(row)
            continue
        comfort = float(extended_comfort(earlier.states[row.agent], later.states[row.agent], gap_s))
        metrics = {**row.metrics, "two_frame_extended_comfort": comfort}
        rows.append(replace(row, metrics=metrics, score=float(epdms(metrics))))
    return replace(later, rows=rows)


Known = TypeVar("Known")


def _known(value: Known | None) -> Known:
    """A value that every scored scene has."""
    assert value is not None
    return value


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
