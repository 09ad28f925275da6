"""Evaluate one chunk of scenes in one process: load, prepare, plan, judge. Each scene fails alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset, SceneKey
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.evaluation.agents import Agent, Plan, check_plan
from openpair.evaluation.failures import AGENT_ERRORS, describe
from openpair.evaluation.judge import Judged, Place, judge, unjudged, with_extended_comfort, with_second_stage
from openpair.evaluation.reactive import score_reactive, without_human
from openpair.evaluation.records import ChunkResult, ScoreRow
from openpair.evaluation.scene_digest import SceneDigests
from openpair.evaluation.sources import AgentContext, AgentSource, DatasetSource
from openpair.preparation.prepare import prepare_scene
from openpair.scoring import score_prepared
from openpair.scoring.epdms import StageMapping

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
        predecessors: v2.2, one stage: score the scene half a second before each scene too, where the dataset knows it,
            to compare with for extended comfort. It is not counted. Without this a scene is compared with the one
            before it among those that are evaluated.
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
    predecessors: bool = False
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
        uncounted: tokens of scenes that are there only for others to be compared with; they have no rows, and agents
            plan them without memory.
    """

    keys: tuple[SceneKey, ...]
    before: SceneKey | None = None
    mapping: StageMapping | None = None
    uncounted: frozenset[str] = frozenset()

    @property
    def counted(self) -> tuple[SceneKey, ...]:
        """Scenes that have rows."""
        return tuple(key for key in self.keys if key.token not in self.uncounted)

    def __len__(self) -> int:
        return len(self.counted)


@dataclass
class ChunkEvaluator:
    """An open dataset with built agents, ready for chunk after chunk."""

    task: Task
    dataset: Dataset
    agents: list[Agent] = field(default_factory=list)
    _prepared: dict[str, ScoringScene] = field(default_factory=dict)
    _carried: set[str] = field(default_factory=set)
    _digests: SceneDigests = field(default_factory=SceneDigests)

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
                digests[key.token] = self._digests.of(scene)
                scenes[key.token] = scene
            except Exception as error:
                scene_errors[key.token] = describe(error)
        names = [agent.name for agent in self.agents]
        plans = {agent.name: self._plan_all(agent, list(scenes.values()), chunk.uncounted) for agent in self.agents}
        judged: dict[str, Judged] = {}
        for key in keys:
            place = Place(self.dataset.name, key.log_name, key.token, self.task.protocol)
            if key.token in scene_errors:
                judged[key.token] = unjudged(place, names, scene_errors[key.token])
            else:
                own = {name: plans[name][key.token] for name in names}
                judged[key.token] = self._judge(place, scenes[key.token], own)
        mapping_rows: dict[str, list[ScoreRow]] = {}
        if chunk.mapping is not None:
            judged, mapping_rows = with_second_stage(chunk.mapping, judged, names)
        elif is_v2:
            earlier = [None, *judged.values()]
            judged = {
                token: with_extended_comfort(before, scene)
                for before, (token, scene) in zip(earlier, judged.items(), strict=False)
            }
        return ChunkResult(
            rows=[row for key in chunk.counted for row in judged[key.token].rows.values()],
            digests=[digests.get(key.token, "") for key in chunk.counted],
            truth_agents=tuple(agent.name for agent in self.agents if agent.uses_truth),
            mapping_rows=mapping_rows,
            plans={
                name: {
                    key.token: judged[key.token].plans[name].tolist()
                    for key in chunk.counted
                    if name in judged[key.token].plans
                }
                for name in names
            },
        )

    def _plan_all(
        self, agent: Agent, scenes: list[Scene], uncounted: frozenset[str]
    ) -> dict[str, NDArray[np.float64] | str]:
        """(N, 8, 3) plans per token (N = 1 without the truth), or the reason why there are none."""
        if agent.uses_truth:
            return {scene.token: _planned(partial(_candidates, agent), scene) for scene in scenes}
        plan_batch = getattr(agent, "plan_batch", None)
        afresh = getattr(agent, "plan_without_memory", None)
        if afresh is None:
            return _plan_each(agent.name, agent.plan, plan_batch, scenes)
        counted = [scene for scene in scenes if scene.token not in uncounted]
        others = [scene for scene in scenes if scene.token in uncounted]
        planned = _plan_each(agent.name, agent.plan, plan_batch, counted)
        return planned | _plan_each(agent.name, lambda scene: afresh([scene])[0], afresh, others)

    def _judge(self, place: Place, scene: Scene, plans: dict[str, NDArray[np.float64] | str]) -> Judged:
        """All agents on one scene."""
        prepared, variant = self._prepared[scene.token], ""
        return judge(place, prepared, plans, lambda every: {variant: self._score(scene, every)}, (variant,))[variant]

    def _score(self, scene: Scene, plans: NDArray[np.float64]) -> PlanScores:
        """Scores of plans (N, 8, 3) of one scene."""
        prepared, human_filter = self._prepared[scene.token], self.task.human_filter
        if self.task.stages == 1:
            return self.task.score(prepared, plans, human_filter=human_filter)
        return score_reactive(scene, prepared, plans, human_filter=human_filter)


def _plan_each(
    name: str,
    plan: Callable[[Scene], Plan],
    plan_batch: Callable[[Sequence[Scene]], Plan] | None,
    scenes: list[Scene],
) -> dict[str, NDArray[np.float64] | str]:
    """(1, 8, 3) plan of each scene by token, or the reason why there is none; planned together where that works."""
    batch = _plan_batch(plan_batch, scenes)
    plans = {} if batch is None else dict(zip((scene.token for scene in scenes), batch, strict=True))

    def checked(scene: Scene) -> NDArray[np.float64]:
        return check_plan(plans[scene.token] if plans else plan(scene), agent=name)[None]

    return {scene.token: _planned(checked, scene) for scene in scenes}


def _planned(plan: Callable[[Scene], NDArray[np.float64]], scene: Scene) -> NDArray[np.float64] | str:
    """What ``plan`` makes of a scene, or why it fails."""
    try:
        return plan(scene)
    except AGENT_ERRORS as error:
        return describe(error)


def _plan_batch(plan_batch: Callable[[Sequence[Scene]], Plan] | None, scenes: list[Scene]) -> NDArray | None:
    """(B, 8, 3) plans in one call, or None where the agent cannot: it then plans scene by scene.

    One scene may spoil the call for all; alone, each failure gets its own reason.
    """
    if plan_batch is None or len(scenes) < 2:
        return None
    try:
        plans = np.asarray(plan_batch(scenes))
    except AGENT_ERRORS:
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


@contextmanager
def one_torch_thread(sources: Sequence[AgentSource]) -> Iterator[None]:
    """Sums in networks depend on the number of threads; one each makes results equal for any number of workers.

    Where none of the agents can use torch it is not imported: that takes seconds and hundreds of megabytes.
    """
    if "torch" not in sys.modules and not any(source.may_use_torch for source in sources):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
