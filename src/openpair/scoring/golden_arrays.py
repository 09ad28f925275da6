"""Scores of a case under the names of the golden files (``out_*``), to compare with the original's arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.scoring.aggregation import ResultIndex
from openpair.scoring.ego_areas import AreaIndex
from openpair.scoring.epdms import epdms, with_extended_comfort
from openpair.scoring.golden_reference import reference_arrays
from openpair.scoring.history import history_states
from openpair.scoring.prepared import prepare
from openpair.scoring.score import score_prepared

GOLDEN_AREAS = [AreaIndex.MULTIPLE_LANES, AreaIndex.NON_DRIVABLE, AreaIndex.ONCOMING]


def golden_arrays(
    scene: ScoringScene, trajectories: NDArray[np.floating], *, strict: bool = False
) -> dict[str, NDArray]:
    """Score plans (N, 8, 3) of a prepared case; arrays named and laid out as in the golden files."""
    scores = score_prepared(scene, trajectories, strict=strict)
    count = len(scores)
    evidence = scores.evidence
    reference = prepare(scene, strict=strict).raw
    states = evidence["simulated_states"]
    arrays: dict[str, NDArray] = {
        "out_sim_states": states,
        "out_pdm_sim_states": reference.states[0],
        "out_ego_coords": ego_coordinates(states),
        "out_ego_areas": evidence["ego_areas"][..., GOLDEN_AREAS],
        "out_pdm_ego_areas": np.repeat(reference.areas[:1, :, GOLDEN_AREAS], count, axis=0),
        "out_collision_time_idx": evidence["collision_time_idx"],
        "out_ttc_time_idx": evidence["ttc_time_idx"],
        "out_progress_raw": evidence["progress_raw"],
        "out_pdm_progress_raw": np.full(count, reference.table[0, ResultIndex.PROGRESS]),
        **reference_arrays(scene, trajectories, scores, strict=strict),
    }
    for name, values in scores.metrics.items():
        if name != "two_frame_extended_comfort":
            arrays[f"out_{name}"] = values
    if scene.protocol is Protocol.V1_1:
        arrays.update(_v1_arrays(scores))
    else:
        arrays.update(_v2_arrays(scene, scores, strict))
    return {name: np.asarray(values, order="C") for name, values in arrays.items()}


def ego_coordinates(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 41, 11) states -> (N, 41, 5, 2) front left, rear left, rear right, front right corner and centre [m]."""
    half_width = vehicle.WIDTH_M / 2
    front, rear = vehicle.REAR_AXLE_TO_FRONT_M, -vehicle.REAR_AXLE_TO_REAR_M
    center = vehicle.REAR_AXLE_TO_CENTER_M
    along = np.array([front, rear, rear, front, center])
    left = np.array([half_width, half_width, -half_width, -half_width, 0.0])
    c, s = np.cos(states[..., 2:3]), np.sin(states[..., 2:3])
    return np.stack([states[..., 0:1] + c * along - s * left, states[..., 1:2] + s * along + c * left], axis=-1)


def _v1_arrays(scores: PlanScores) -> dict[str, NDArray]:
    m = scores.metrics
    weighted = ("ego_progress", "time_to_collision_within_bound", "comfort", "driving_direction_compliance")
    multi = ("no_at_fault_collisions", "drivable_area_compliance")
    return {
        "out_multi_metrics": np.stack([m[name] for name in multi], axis=-1),
        "out_weighted_metrics": np.stack([m[name] for name in weighted], axis=-1),
        "out_score_prefilter": scores.score,
        "out_score": scores.score,
    }


def _v2_arrays(scene: ScoringScene, scores: PlanScores, strict: bool) -> dict[str, NDArray]:
    count = len(scores)
    e, m = scores.evidence, scores.metrics
    multi = (
        "no_at_fault_collisions",
        "drivable_area_compliance",
        "traffic_light_compliance",
        "driving_direction_compliance",
    )
    weighted = ("ego_progress", "time_to_collision_within_bound", "lane_keeping", "history_comfort")
    zeros = np.zeros(count)
    arrays: dict[str, NDArray] = {
        "out_multi_metrics": np.stack([e[f"unfiltered_{name}"] for name in multi], axis=-1),
        "out_weighted_metrics": np.stack([*(e[f"unfiltered_{name}"] for name in weighted), zeros], axis=-1),
        "out_weighted_metrics_final": np.stack([*(m[name] for name in weighted), zeros], axis=-1),
        "out_multiplicative_metrics_prod": np.prod([m[name] for name in multi], axis=0),
        "out_score_prefilter": e["score_unfiltered"],
        "out_pdm_score": e["score_before_fix"],
        "out_score_ec_none": scores.score,
        "out_score_ec0": with_extended_comfort(scores, zeros).score,
        "out_score_ec1": epdms({**m, "two_frame_extended_comfort": np.ones(count)}),
        "out_history_flags": e["comfort_flags"],
        "out_lateral_deviation": e["centerline_distance"],
        "out_center_in_intersection": e["ego_areas"][..., AreaIndex.CENTER_IN_INTERSECTION],
    }
    if scene.past_states is not None and scene.past_time_us is not None:
        arrays["out_history_states"] = history_states(scene.past_time_us, scene.past_states, strict=strict)
    raw = prepare(scene, strict=strict).raw
    if len(raw.table) > 1:
        human = raw.table[1]
        columns = [ResultIndex.NC, ResultIndex.DAC, ResultIndex.TLC, ResultIndex.DDC]
        arrays["out_human_multi_metrics"] = np.tile(human[columns], (count, 1))
        own = np.array([1.0, human[ResultIndex.TTC], human[ResultIndex.LK], 1.0, 0.0])
        arrays["out_human_weighted_metrics"] = np.tile(own, (count, 1))
    return arrays
