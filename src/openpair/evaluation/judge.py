"""The judge: plans of several agents on prepared scenes -> rows of scores. Pure; whoever has plans asks it.

All agents of a scene are scored in one call. Where an agent offers several plans, the true score picks one ("best of
N"), before extended comfort, which takes two scenes to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import PlanScores, metric_names
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.evaluation.failures import describe
from openpair.evaluation.records import ScoreRow
from openpair.geometry.poses import local_to_global
from openpair.scoring.epdms import StageMapping, StageRow, epdms, two_stage_scores
from openpair.scoring.extended_comfort import MAX_GAP_S, extended_comfort

STAGES = ("combined", "stage_one", "stage_two")
EXTENDED_COMFORT = "two_frame_extended_comfort"

Plans = Mapping[str, NDArray[np.float64] | str]
"""Agent -> its plans (C, 8, 3) of a scene, of which the true score picks one, or the reason why there are none."""

ScorePlans = Callable[[NDArray[np.float64]], Mapping[str, PlanScores]]
"""Plans (N, 8, 3) of a scene -> variant of the protocol -> scores."""


@dataclass(frozen=True)
class Place:
    """What a row is about: a scene of a dataset, under a protocol."""

    dataset: str
    log: str
    token: str
    protocol: Protocol

    def row(self, agent: str, score: float, metrics: dict[str, float]) -> ScoreRow:
        """The row of a scored plan; a score that is not a number is a failure."""
        if not np.isfinite(score):
            return self.failed(agent, "the score is not a number")
        return ScoreRow(self.dataset, self.log, self.token, agent, self.protocol.value, metrics, score)

    def failed(self, agent: str, reason: str) -> ScoreRow:
        """The row of a failure."""
        return ScoreRow(self.dataset, self.log, self.token, agent, self.protocol.value, error=reason)


@dataclass(frozen=True)
class Judged:
    """All agents on one scene, and what other scenes compare themselves with.

    Attributes:
        log: the scene's.
        rows: agent -> row.
        time_us: time stamp of the scene; None where it could not be prepared.
        start: (3,) pose of the rear axle now, global frame; None where it could not be prepared.
        states: v2.2: agent -> (41, 11) simulated states of the plan that counts; scored agents alone.
        endpoints: agent -> (3,) last pose of that plan, global frame.
        plans: agent -> (8, 3) that plan, ego rear-axle frame.
    """

    log: str
    rows: dict[str, ScoreRow]
    time_us: int | None = None
    start: NDArray[np.float64] | None = None
    states: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    endpoints: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    plans: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def unjudged(place: Place, agents: Iterable[str], reason: str) -> Judged:
    """A scene that could not be prepared: all agents fail for the same reason."""
    return Judged(place.log, {agent: place.failed(agent, reason) for agent in agents})


def judge(
    place: Place, scene: ScoringScene, plans: Plans, score: ScorePlans, variants: Sequence[str]
) -> dict[str, Judged]:
    """Rows of one scene by variant, without extended comfort.

    Args:
        place: names the scene.
        scene: the scene, prepared.
        plans: of each agent.
        score: scores all plans of the scene at once; what it raises is the reason why all of them fail.
        variants: those that ``score`` gives.
    """
    good = {agent: plan for agent, plan in plans.items() if not isinstance(plan, str)}
    scores: Mapping[str, PlanScores] = {}
    error = ""
    if good:
        try:
            scores = score(np.concatenate(list(good.values())))
        except Exception as failure:
            error = describe(failure)
    return {variant: _judged(place, scene, plans, scores.get(variant), error) for variant in variants}


def _judged(place: Place, scene: ScoringScene, plans: Plans, scores: PlanScores | None, error: str) -> Judged:
    pose = scene.ego_state[:3]
    result = Judged(place.log, {}, scene.time_us, pose)
    begin = 0
    for agent, plan in plans.items():
        if isinstance(plan, str) or scores is None:
            result.rows[agent] = place.failed(agent, plan if isinstance(plan, str) else error)
            continue
        best = begin + int(np.argmax(scores.score[begin : begin + len(plan)]))
        metrics = {name: float(scores.metrics[name][best]) for name in metric_names(place.protocol)}
        row = result.rows[agent] = place.row(agent, float(scores.score[best]), metrics)
        if not row.failed:
            result.plans[agent] = plan[best - begin]
            result.endpoints[agent] = local_to_global(plan[best - begin, -1], pose)
            if place.protocol is Protocol.V2_2:
                result.states[agent] = np.asarray(scores.evidence["simulated_states"][best])
        begin += len(plan)
    return result


def unfiltered(scores: PlanScores) -> PlanScores:
    """The same plans (v2.2) without the human filter: nothing is forgiven."""
    metrics = {name: scores.evidence.get(f"unfiltered_{name}", values) for name, values in scores.metrics.items()}
    return replace(scores, score=scores.evidence["score_unfiltered"], metrics=metrics)


def with_extended_comfort(earlier: Judged | None, later: Judged) -> Judged:
    """The later scene's rows (v2.2) with extended comfort in metrics and score, where both are neighbours in time.

    Elsewhere it stays undefined and out of the score, as in the original. An agent without a scored plan of the earlier
    scene fails: its score would be made of other parts than the others'.
    """
    if earlier is None or earlier.time_us is None or later.time_us is None or earlier.log != later.log:
        return later
    gap_s = (later.time_us - earlier.time_us) * 1e-6
    if not 0 < gap_s <= MAX_GAP_S:
        return later
    rows = {}
    for agent, row in later.rows.items():
        if row.failed:
            rows[agent] = row
        elif agent not in earlier.states:
            reason = "the agent has no scored plan of the scene half a second before"
            rows[agent] = replace(row, metrics={}, score=None, error=reason)
        else:
            comfort = float(extended_comfort(earlier.states[agent], later.states[agent], gap_s))
            metrics = {**row.metrics, EXTENDED_COMFORT: comfort}
            rows[agent] = replace(row, metrics=metrics, score=float(epdms(metrics)))
    return replace(later, rows=rows)


def with_second_stage(
    mapping: StageMapping, judged: Mapping[str, Judged], agents: Sequence[str]
) -> tuple[dict[str, Judged], dict[str, list[ScoreRow]]]:
    """Scenes of a mapping with extended comfort, and the mapping's own rows by stage.

    Args:
        mapping: which scenes follow which.
        judged: token -> scene, for all tokens of the mapping.
        agents: one failed scene fails the mapping of that agent.

    Returns:
        Scenes by token; :data:`STAGES` -> one row for each agent, named by the mapping's first-stage token.
    """
    rows = {token: dict(scene.rows) for token, scene in judged.items()}
    own: dict[str, list[ScoreRow]] = {name: [] for name in STAGES}
    for agent in agents:
        first = rows[mapping.now][agent]
        failed = [row[agent] for row in rows.values() if row[agent].failed]
        if failed:
            reason = f"{len(failed)} of {len(rows)} scenes of the mapping failed; {failed[0].token}: {failed[0].error}"
            for name in STAGES:
                own[name].append(replace(first, metrics={}, score=None, error=reason))
            continue
        scores = two_stage_scores([_stage_row(token, scene, agent) for token, scene in judged.items()], [mapping])
        for token in judged:
            metrics = {**rows[token][agent].metrics, EXTENDED_COMFORT: scores.token_comfort[token]}
            rows[token][agent] = replace(rows[token][agent], metrics=metrics, score=scores.token_scores[token])
        for name in STAGES:
            values = getattr(scores, name)
            metrics = {metric: values[metric] for metric in metric_names(Protocol.V2_2)}
            own[name].append(replace(first, metrics=metrics, score=values["score"]))
    return {token: replace(scene, rows=rows[token]) for token, scene in judged.items()}, own


def _stage_row(token: str, scene: Judged, agent: str) -> StageRow:
    assert scene.start is not None and scene.time_us is not None  # the agent was scored there
    return StageRow(
        token=token,
        metrics=scene.rows[agent].metrics,
        simulated_states=scene.states[agent],
        start=scene.start[:2],
        endpoint=scene.endpoints[agent][:2],
        start_time_s=scene.time_us * 1e-6,
    )
