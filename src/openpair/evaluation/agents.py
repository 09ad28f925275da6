"""Agents: what can be evaluated. An agent is anything with a name that turns a scene into a plan.

A plan is (8, 3) x [m], y [m], heading [rad] at 0.5 s ... 4.0 s, ego rear-axle frame of the scene's current frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import NUM_POSES, POSE_INTERVAL_S, PoseIndex
from openpair.datatypes.scene import Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.evaluation.plans_file import PlansFile
from openpair.preparation.prepare import reference_plan

Plan = NDArray[np.floating]
"""(8, 3) or, for several scenes, (B, 8, 3)."""


@runtime_checkable
class Agent(Protocol):
    """What the runner needs of an agent.

    Three optional methods are used where an agent has them:

    - ``plan_batch(scenes) -> (B, 8, 3)``: plans of several scenes at once, for networks;
    - ``plan_without_memory(scenes) -> (B, 8, 3)``: for planners that remember their previous plan: plans of scenes that
      are there only for others to be compared with (``Task.predecessors``);
    - ``plan_candidates(scene) -> (N, 8, 3)``: only for agents with ``uses_truth``. The runner scores all N and keeps
      the one with the highest *true* score ("best of N"). Such rows are never mixed with plans made without the truth.

    Attributes:
        name: name in tables and files.
        uses_truth: True where the true score, unknown to a driving car, picks the plan.
    """

    name: str
    uses_truth: bool

    def plan(self, scene: Scene) -> Plan:
        """(8, 3) plan of one scene. May raise OpenPairError: the scene then counts as failed for this agent."""
        ...


def check_plan(plan: object, *, agent: str) -> NDArray[np.float64]:
    """A plan as float64 (8, 3). Raises OpenPairError for another shape or for values that are not finite."""
    try:
        array = np.asarray(plan, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OpenPairError(f"agent '{agent}' planned no array of numbers ({error})") from error
    if array.shape != (NUM_POSES, len(PoseIndex)):
        raise OpenPairError(
            f"agent '{agent}' planned an array of shape {array.shape}, not {(NUM_POSES, len(PoseIndex))}"
        )
    if not np.isfinite(array).all():
        raise OpenPairError(f"agent '{agent}' planned a pose that is NaN or infinite")
    return array


@dataclass
class HumanAgent:
    """Drives what the recorded human drove.

    Attributes:
        follows_recording: in closed loop the vehicle is put where the recording has it, instead of tracking the plan.
    """

    name: str = "human"
    uses_truth: bool = False
    follows_recording: bool = False

    def plan(self, scene: Scene) -> Plan:
        """The recorded future. Raises OpenPairError where there is none, or less than 8 frames of it."""
        if scene.is_synthetic:
            raise OpenPairError("no human drove on from a second-stage scene", where=scene.token)
        return scene.human_trajectory()


@dataclass
class ConstantVelocityAgent:
    """Straight ahead at the present speed: NAVSIM's baseline, equal to it to the last bit."""

    name: str = "constant_velocity"
    uses_truth: bool = False

    def plan(self, scene: Scene) -> Plan:
        """x = speed * t, y = heading = 0."""
        velocity = np.asarray(scene.current.ego.velocity, dtype=np.float32)
        speed_mps = float((velocity**2).sum()) ** 0.5  # the original: sum in single precision, the rest in double
        plan = np.zeros((NUM_POSES, len(PoseIndex)), dtype=np.float32)
        plan[:, PoseIndex.X] = np.arange(1, NUM_POSES + 1) * POSE_INTERVAL_S * speed_mps
        return plan


@dataclass
class PdmClosedAgent:
    """The rule-based planner that normalises ego progress; it sees boxes and the map, not sensors.

    Attributes:
        prepare: gives the prepared scene; the runner lends its own, so that nothing is prepared twice.
    """

    prepare: Callable[[Scene], ScoringScene]
    name: str = "pdm_closed"
    uses_truth: bool = False

    def plan(self, scene: Scene) -> Plan:
        """Its trajectory at 0.5 s ... 4.0 s."""
        return reference_plan(self.prepare(scene))


@dataclass
class PlansFileAgent:
    """Plans somebody else made, read from PLANS.npz."""

    plans: PlansFile
    name: str = "plans"
    uses_truth: bool = False

    def plan(self, scene: Scene) -> Plan:
        """The plan of the scene's token. Raises OpenPairError where the file has none."""
        return self.plans.plan_of(scene.token)


@dataclass
class CheckpointAgent:
    """An agent made of functions that plan.

    Attributes:
        pipeline: scene -> (8, 3) plan.
        batch_pipeline: scenes -> (B, 8, 3) plans, where the pipeline can do several at once.
        candidates: scene -> (N, 8, 3), for best-of-N rows; set together with ``uses_truth``.
    """

    pipeline: Callable[[Scene], Plan]
    name: str
    uses_truth: bool = False
    batch_pipeline: Callable[[Sequence[Scene]], Plan] | None = None
    candidates: Callable[[Scene], Plan] | None = None

    def plan(self, scene: Scene) -> Plan:
        """The chosen plan."""
        return self.pipeline(scene)

    def plan_batch(self, scenes: Sequence[Scene]) -> Plan:
        """(B, 8, 3) plans of several scenes."""
        if self.batch_pipeline is not None:
            return self.batch_pipeline(scenes)
        return np.stack([np.asarray(self.pipeline(scene)) for scene in scenes])

    def plan_candidates(self, scene: Scene) -> Plan:
        """(N, 8, 3) candidates. Raises OpenPairError for an agent without any."""
        if self.candidates is None:
            raise OpenPairError(f"agent '{self.name}' offers no candidates to pick the best of")
        return self.candidates(scene)
