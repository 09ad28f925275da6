"""The sub-metrics in plain words, for readers who meet them for the first time."""

from __future__ import annotations

from dataclasses import dataclass

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES, metric_names


@dataclass(frozen=True)
class Term:
    """One entry: short name, full name, meaning, and how it enters the score of a protocol."""

    short: str
    name: str
    meaning: str
    weight: str


_MEANING = {
    "no_at_fault_collisions": (
        "No collision that is the ego's fault: with something that stands, in front, or beside it while it leaves its "
        "lane. Half a point remains if only an object without a life was hit."
    ),
    "drivable_area_compliance": "All four corners of the ego stay on road, intersection or car park at every moment.",
    "driving_direction_compliance": "The ego does not drive against traffic: less than 2 m there within a second.",
    "traffic_light_compliance": "The ego does not enter a connector whose light is red.",
    "ego_progress": (
        "How far the ego gets along the route, relative to PDM-Closed, a rule-based planner that sees the true boxes."
    ),
    "time_to_collision_within_bound": (
        "If everybody went on as they do, nothing ahead would be hit within the next second, at any moment of the plan."
    ),
    "comfort": "Accelerations, jerks and turning rates stay within what passengers accept.",
    "lane_keeping": "The ego's centre is not more than half a metre off the centreline for two seconds on end.",
    "history_comfort": "Comfort, judged together with the one and a half seconds already driven.",
    "two_frame_extended_comfort": "The plan of now agrees with the plan of half a second ago.",
}

_WEIGHT = {
    Protocol.V1_1: {
        "no_at_fault_collisions": "multiplies",
        "drivable_area_compliance": "multiplies",
        "ego_progress": "5 of 12",
        "time_to_collision_within_bound": "5 of 12",
        "comfort": "2 of 12",
        "driving_direction_compliance": "reported only",
    },
    Protocol.V2_2: {
        "no_at_fault_collisions": "multiplies",
        "drivable_area_compliance": "multiplies",
        "driving_direction_compliance": "multiplies",
        "traffic_light_compliance": "multiplies",
        "ego_progress": "5 of 16",
        "time_to_collision_within_bound": "5 of 16",
        "lane_keeping": "2 of 16",
        "history_comfort": "2 of 16",
        "two_frame_extended_comfort": "2 of 16",
    },
}


def glossary(protocol: Protocol) -> tuple[Term, ...]:
    """Entries for the sub-metrics of a protocol, in the order of its tables."""
    return tuple(
        Term(SHORT_NAMES[name], name.replace("_", " "), _MEANING[name], _WEIGHT[protocol][name])
        for name in metric_names(protocol)
    )


def formula(protocol: Protocol) -> str:
    """How the sub-metrics become the score."""
    if protocol is Protocol.V1_1:
        return "PDMS = NC × DAC × (5 EP + 5 TTC + 2 C) / 12"
    return "EPDMS = NC × DAC × DDC × TLC × (5 EP + 5 TTC + 2 LK + 2 HC + 2 EC) / 16"
