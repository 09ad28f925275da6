"""PDM scores of the plans that were made on the way, each against the traffic that came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.driving.loop import Drive, Planned
from openpair.driving.observation import Observer
from openpair.errors import OpenPairError
from openpair.evaluation.reactive import without_human
from openpair.preparation.observation import FUTURE_FRAMES, SAMPLES_PER_FRAME
from openpair.preparation.prepare import prepare_scene
from openpair.scoring import score_batch
from openpair.scoring.epdms import epdms
from openpair.scoring.extended_comfort import MAX_GAP_S, extended_comfort
from openpair.simulation.reference import STEP_S

KEPT_SCENES = 64


class PreparedOnTheWay:
    """Prepared scenes of a drive, each made once: PDM-Closed as an agent and the scores of the plans share them.

    Args:
        protocol: which score they are for.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._kept: dict[str, tuple[Scene, ScoringScene]] = {}

    def __call__(self, scene: Scene) -> ScoringScene:
        """The prepared scene. Raises OpenPairError for one that cannot be prepared."""
        scene_before, prepared = self._kept.get(scene.token, (None, None))
        if prepared is not None and scene_before is scene:
            return prepared
        prepared = without_human(prepare_scene(scene, self.protocol))
        self._kept[scene.token] = scene, prepared
        while len(self._kept) > KEPT_SCENES:
            del self._kept[next(iter(self._kept))]
        return prepared


@dataclass(frozen=True)
class PlanScore:
    """Score of one plan.

    Attributes:
        step: of the plan.
        score: PDMS or EPDMS, unfiltered, in [0, 1]; None where the log ends too early to tell, or for ``error``.
        extended_comfort: whether the plan agrees with the one before it (1 or 0); None without a neighbour.
        error: why the scene could not be prepared or scored.
    """

    step: int
    score: float | None
    extended_comfort: float | None
    error: str = ""


def score_plans(drive: Drive, prepare: Callable[[Scene], ScoringScene], protocol: Protocol) -> list[PlanScore]:
    """Scores of all plans of a drive, as NAVSIM scores them, without human filter: there was no human at that pose.

    The future that a plan meets is the traffic of the drive; with replayed traffic that is the recording, which goes on
    after a drive that ended early.
    """
    known = drive.last_step if drive.traffic.answers_ego else drive.recording.last_step
    horizon = SAMPLES_PER_FRAME * FUTURE_FRAMES[protocol]
    found: dict[int, PlanScore] = {plan.step: PlanScore(plan.step, None, None) for plan in drive.planned}
    plans: list[Planned] = []
    prepared: list[ScoringScene] = []
    for plan in drive.planned:
        if plan.step + horizon <= known:
            try:
                prepared.append(prepare(_with_future(drive, plan)))
                plans.append(plan)
            except OpenPairError as error:
                found[plan.step] = PlanScore(plan.step, None, None, str(error))
    batch = score_batch(prepared, [plan.poses[None] for plan in plans], human_filter=False)
    for index, reason in batch.errors.items():
        found[plans[index].step] = PlanScore(plans[index].step, None, None, str(reason))
    scored = {plan.step: scores for plan, scores in zip(plans, batch.scores, strict=True) if scores is not None}
    comfort = _extended_comfort(scored)
    for step, scores in scored.items():
        found[step] = PlanScore(step, _score(scores, comfort.get(step)), comfort.get(step))
    return [found[step] for step in sorted(found)]


def _with_future(drive: Drive, plan: Planned) -> Scene:
    if not drive.traffic.answers_ego:
        return plan.scene
    return Observer(drive.recording, drive.traffic, drive.route_line).with_future(plan.scene, plan.step)


def _extended_comfort(scored: dict[int, PlanScores]) -> dict[int, float]:
    """Step -> whether its plan feels like the plan before it."""
    comfort = {}
    for before, step in pairwise(sorted(scored)):
        gap_s = STEP_S * (step - before)
        if gap_s <= MAX_GAP_S:
            states = [np.asarray(scored[at].evidence["simulated_states"][0]) for at in (before, step)]
            comfort[step] = float(extended_comfort(states[0], states[1], gap_s))
    return comfort


def _score(scores: PlanScores, comfort: float | None) -> float:
    if scores.protocol is Protocol.V1_1 or comfort is None:
        return float(scores.score[0])
    metrics = {name: float(values[0]) for name, values in scores.metrics.items()}
    return float(epdms({**metrics, "two_frame_extended_comfort": comfort}))


def mean_known(values: list[float | None]) -> float | None:
    """Mean of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
