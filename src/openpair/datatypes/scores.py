"""Scores of N plans of one scene, with every sub-metric."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol

V1_1_METRICS = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "ego_progress",
    "time_to_collision_within_bound",
    "comfort",
    "driving_direction_compliance",
)
"""Sub-metrics of PDMS; driving direction is reported with weight 0."""

V2_2_METRICS = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "driving_direction_compliance",
    "traffic_light_compliance",
    "ego_progress",
    "time_to_collision_within_bound",
    "lane_keeping",
    "history_comfort",
    "two_frame_extended_comfort",
)
"""Sub-metrics of EPDMS; the last needs a neighbouring frame and is NaN without one."""

SHORT_NAMES = {
    "no_at_fault_collisions": "NC",
    "drivable_area_compliance": "DAC",
    "driving_direction_compliance": "DDC",
    "traffic_light_compliance": "TLC",
    "ego_progress": "EP",
    "time_to_collision_within_bound": "TTC",
    "comfort": "C",
    "lane_keeping": "LK",
    "history_comfort": "HC",
    "two_frame_extended_comfort": "EC",
}


def metric_names(protocol: Protocol) -> tuple[str, ...]:
    """Sub-metric names of a protocol, in the order of its published tables."""
    return V1_1_METRICS if protocol is Protocol.V1_1 else V2_2_METRICS


@dataclass(frozen=True)
class PlanScores:
    """Scores of N plans of one scene.

    Attributes:
        protocol: which score.
        score: (N,) float64 in [0, 1]: PDMS or EPDMS.
        metrics: sub-metric name -> (N,) float64 in [0, 1].
        evidence: named per-plan or per-step arrays that explain the score (times of infraction [steps of 0.1 s],
            simulated states, ego areas); the names are documented by the scorer.
    """

    protocol: Protocol
    score: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]
    evidence: dict[str, NDArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.score)
