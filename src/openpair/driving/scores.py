"""The arithmetic of the two driving scores. Definitions with their sources: docs/closed_loop.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import AgentCategory

PEDESTRIAN_PENALTY, VEHICLE_PENALTY, STATIC_PENALTY, RED_LIGHT_PENALTY = 0.50, 0.60, 0.65, 0.70
"""CARLA leaderboard: factor for every infraction."""

SUCCESS_COMPLETION = 0.90
"""A drive without infractions succeeds from this route completion on: a log ends when the human has arrived, and
leaves nobody more time than the human took."""

PROGRESS_TOLERANCE_M = 0.1
MIN_PROGRESS = 0.2
WRONG_WAY_COMPLIANT_M, WRONG_WAY_VIOLATION_M = 2.0, 6.0
MAX_OVERSPEED_MPS = 2.23
OFF_ROAD_M = 0.3
"""nuPlan's thresholds."""

PROGRESS_WEIGHT, TTC_WEIGHT, SPEED_LIMIT_WEIGHT, COMFORT_WEIGHT = 5.0, 5.0, 4.0, 2.0
TOTAL_WEIGHT = PROGRESS_WEIGHT + TTC_WEIGHT + SPEED_LIMIT_WEIGHT + COMFORT_WEIGHT
"""nuPlan: weights of the averaged sub-scores."""


def route_completion(reached_m: float, route_m: float, outside_share: float) -> float:
    """Share of the route that was driven on the road, in [0, 1].

    Args:
        reached_m: farthest station on the route [m].
        route_m: length of the route [m].
        outside_share: share of the way that was driven off the road or against the traffic.
    """
    return progress_ratio(reached_m, route_m) * (1.0 - outside_share)


def progress_ratio(reached_m: float, route_m: float) -> float:
    """Progress against the human's, in [0, 1]; 0 for a drive backwards."""
    if reached_m < -PROGRESS_TOLERANCE_M:
        return 0.0
    return min(1.0, max(reached_m, PROGRESS_TOLERANCE_M) / max(route_m, PROGRESS_TOLERANCE_M))


def penalty(at_fault: Sequence[AgentCategory], red_lights: int) -> float:
    """Product of CARLA's factors for the tracks that were hit and the red lights run."""
    product = RED_LIGHT_PENALTY**red_lights
    for category in at_fault:
        if category is AgentCategory.PEDESTRIAN:
            product *= PEDESTRIAN_PENALTY
        else:
            product *= STATIC_PENALTY if category.is_static else VEHICLE_PENALTY
    return product


def collision_multiplier(at_fault: Sequence[AgentCategory]) -> float:
    """nuPlan: 0 for a vehicle, a pedestrian, a bicycle or several objects; 0.5 for one object; else 1."""
    if any(not category.is_static for category in at_fault) or len(at_fault) > 1:
        return 0.0
    return 0.5 if at_fault else 1.0


def direction_multiplier(against_traffic_m: float) -> float:
    """nuPlan: 1, 0.5 or 0 by the way driven against the traffic within a second [m]."""
    if against_traffic_m < WRONG_WAY_COMPLIANT_M:
        return 1.0
    return 0.5 if against_traffic_m < WRONG_WAY_VIOLATION_M else 0.0


def speed_limit_score(excess_mps: NDArray[np.float64]) -> float:
    """nuPlan: 1 minus the mean excess over the speed limit, in units of 2.23 m/s, at least 0.

    Args:
        excess_mps: (n,) speed above the limit, 0 below it.
    """
    return max(0.0, 1.0 - float(excess_mps.mean()) / MAX_OVERSPEED_MPS)


def nuplan_score(
    *,
    collision: float,
    on_road: bool,
    direction: float,
    progress: float,
    time_to_collision: bool,
    speed_limit: float,
    comfortable: bool,
) -> float:
    """nuPlan's closed-loop score of a scenario, in [0, 1], from its sub-scores."""
    multiplier = collision * float(on_road) * direction * float(progress >= MIN_PROGRESS)
    weighted = weighted_sum(progress, float(time_to_collision), speed_limit, float(comfortable))
    return multiplier * weighted / TOTAL_WEIGHT


def weighted_sum(progress: float, time_to_collision: float, speed_limit: float, comfort: float) -> float:
    """nuPlan: the averaged sub-scores times their weights; :data:`TOTAL_WEIGHT` at most."""
    return (
        PROGRESS_WEIGHT * progress
        + TTC_WEIGHT * time_to_collision
        + SPEED_LIMIT_WEIGHT * speed_limit
        + COMFORT_WEIGHT * comfort
    )
