"""Scores in traffic that answers the ego: what both stages of navhard use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.road_map import RoadMap
from openpair.datatypes.scene import Scene
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.preparation.boxes import ego_center
from openpair.preparation.observation import FUTURE_FRAMES, collect_sightings, replay_tracks
from openpair.scoring import score_prepared
from openpair.scoring.epdms import epdms
from openpair.simulation.rails import RailMap
from openpair.simulation.reactive_traffic import ReactiveTraffic, reactive_tracks

FORGIVABLE = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "driving_direction_compliance",
    "traffic_light_compliance",
    "time_to_collision_within_bound",
    "lane_keeping",
)
"""Sub-metrics that the human filter can set to 1. The human's own progress and history comfort are 1 by definition."""


def without_human(prepared: ScoringScene) -> ScoringScene:
    """A second-stage scene: nobody drove on from there, so that there is nothing to forgive."""
    return replace(prepared, human_trajectory=None, is_synthetic=True)


def score_reactive(
    scene: Scene, prepared: ScoringScene, plans: NDArray[np.float64], *, human_filter: bool = True
) -> PlanScores:
    """Scores of N plans of one scene (v2.2), each in traffic that answers it.

    PDM-Closed, by whose progress each plan's is measured, is scored in that plan's traffic. The human, whose faults are
    forgiven, drives in traffic that answers the human.

    Args:
        scene: frames and map: traffic starts from its current frame.
        prepared: the same scene, prepared.
        plans: (N, 8, 3) x [m], y [m], heading [rad], ego rear-axle frame.
        human_filter: forgive what the human himself did; second-stage scenes have no human.

    Returns:
        Scores without extended comfort; ``evidence`` holds ``simulated_states`` (N, 41, 11) and, as unfiltered_NAME,
        the sub-metrics before the filter.
    """
    if prepared.protocol is not Protocol.V2_2:
        raise OpenPairError("reactive traffic belongs to v2.2", where=prepared.token, fix="Use --protocol v2.2")
    human = prepared.human_trajectory if human_filter and not prepared.is_synthetic else None
    driven = plans if human is None else np.concatenate([plans, human[None]])
    states = np.asarray(score_prepared(prepared, driven, human_filter=False).evidence["simulated_states"])
    frames = scene.frames[scene.current_index : scene.current_index + FUTURE_FRAMES[Protocol.V2_2] + 1]
    agents = scene.current.agents
    replay = replay_tracks(collect_sightings([frame.agents for frame in frames], where=f"scene {scene.token}"))
    traffic = ReactiveTraffic(rail_map(scene.road_map), agents, ego_center(scene.current.ego.pose))

    def metrics_of(number: int) -> dict[str, NDArray[np.float64]]:
        tracks = reactive_tracks(traffic, agents, replay, states[number])
        scores = score_prepared(replace(prepared, tracks=tracks), driven[number : number + 1], human_filter=False)
        return {name: np.asarray(values) for name, values in scores.metrics.items()}

    rows = [metrics_of(number) for number in range(len(plans))]
    unfiltered = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    metrics = dict(unfiltered)
    if human is not None:
        own = metrics_of(len(plans))
        metrics |= {name: np.ones(len(plans)) for name in FORGIVABLE if own[name][0] == 0.0}
    evidence = {"simulated_states": states[: len(plans)]} | {f"unfiltered_{n}": v for n, v in unfiltered.items()}
    return PlanScores(Protocol.V2_2, np.asarray(epdms(metrics)), metrics, evidence)


_last: RailMap | None = None


def rail_map(road_map: RoadMap) -> RailMap:
    """Rails of a town; kept for the last one, which neighbouring scenes share."""
    global _last  # noqa: PLW0603  one town at a time
    if _last is None or _last.road_map is not road_map:
        _last = RailMap(road_map)
    return _last
