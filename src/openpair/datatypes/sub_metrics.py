"""The one table of sub-metrics: names, weights and how they enter PDMS (v1.1) and EPDMS (v2.2).

A sub-metric multiplies the score, or has a weight in the mean that is multiplied, or is reported alone. Weights are
those of NAVSIM's evaluators. Everything else (tables, reports, reward heads, kernels) reads them here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from openpair.datatypes.columns import Protocol

MULTIPLIES: Literal["multiplies"] = "multiplies"
REPORTED: Literal["reported only"] = "reported only"

Role = Literal["multiplies", "reported only"] | float
"""How a sub-metric enters a score; a number is its weight in the mean."""


@dataclass(frozen=True)
class SubMetric:
    """One sub-metric, a number in [0, 1] for each plan.

    Attributes:
        name: as in NAVSIM's tables.
        short: as in tables for people.
        meaning: one or two plain sentences for readers who meet it for the first time.
        roles: how it enters the score of each protocol that has it.
        column: its column in the kernels' results (:class:`openpair.scoring.aggregation.ResultIndex`); None where it
            is not computed there.
        head: output of reward models that learns it; None where none does. v1.1's comfort and history comfort share
            one, as they share a column.
    """

    name: str
    short: str
    meaning: str
    roles: dict[Protocol, Role] = field(hash=False)
    column: str | None
    head: str | None


def _in_both(v1_1: Role, v2_2: Role) -> dict[Protocol, Role]:
    return {Protocol.V1_1: v1_1, Protocol.V2_2: v2_2}


SUB_METRICS = (
    SubMetric(
        "no_at_fault_collisions",
        "NC",
        "No collision that is the ego's fault: with something that stands, in front, or beside it while it leaves its "
        "lane. Half a point remains if only an object without a life was hit.",
        _in_both(MULTIPLIES, MULTIPLIES),
        column="NC",
        head="NC",
    ),
    SubMetric(
        "drivable_area_compliance",
        "DAC",
        "All four corners of the ego stay on road, intersection or car park at every moment.",
        _in_both(MULTIPLIES, MULTIPLIES),
        column="DAC",
        head="DAC",
    ),
    SubMetric(
        "driving_direction_compliance",
        "DDC",
        "The ego does not drive against traffic: less than 2 m there within a second.",
        _in_both(REPORTED, MULTIPLIES),
        column="DDC",
        head="DDC",
    ),
    SubMetric(
        "traffic_light_compliance",
        "TLC",
        "The ego does not enter a connector whose light is red.",
        {Protocol.V2_2: MULTIPLIES},
        column="TLC",
        head="TLC",
    ),
    SubMetric(
        "ego_progress",
        "EP",
        "How far the ego gets along the route, relative to PDM-Closed, a rule-based planner that sees the true boxes.",
        _in_both(5.0, 5.0),
        column="EP",
        head="EP",
    ),
    SubMetric(
        "time_to_collision_within_bound",
        "TTC",
        "If everybody went on as they do, nothing ahead would be hit within the next second, at any moment of the "
        "plan.",
        _in_both(5.0, 5.0),
        column="TTC",
        head="TTC",
    ),
    SubMetric(
        "comfort",
        "C",
        "Accelerations, jerks and turning rates stay within what passengers accept.",
        {Protocol.V1_1: 2.0},
        column="COMFORT",
        head="HC",
    ),
    SubMetric(
        "lane_keeping",
        "LK",
        "The ego's centre is not more than half a metre off the centreline for two seconds on end.",
        {Protocol.V2_2: 2.0},
        column="LK",
        head="LK",
    ),
    SubMetric(
        "history_comfort",
        "HC",
        "Comfort, judged together with the one and a half seconds already driven.",
        {Protocol.V2_2: 2.0},
        column="COMFORT",
        head="HC",
    ),
    SubMetric(
        "two_frame_extended_comfort",
        "EC",
        "The plan of now agrees with the plan of half a second ago.",
        {Protocol.V2_2: 2.0},
        column=None,
        head="EC",
    ),
)
"""All sub-metrics."""

EXTENDED_COMFORT = "two_frame_extended_comfort"
"""The one that needs a neighbouring frame; NaN without one, and left out of the mean then."""


def sub_metrics(protocol: Protocol) -> tuple[SubMetric, ...]:
    """Sub-metrics of a protocol in the order of its published tables: multipliers, weighted ones, reported ones."""
    of_protocol = [metric for metric in SUB_METRICS if protocol in metric.roles]
    return tuple(sorted(of_protocol, key=lambda metric: _place(metric.roles[protocol])))


def _place(role: Role) -> int:
    return 0 if role == MULTIPLIES else 2 if role == REPORTED else 1


def multipliers(protocol: Protocol) -> tuple[str, ...]:
    """Names of the sub-metrics that multiply the weighted mean."""
    return tuple(metric.name for metric in sub_metrics(protocol) if metric.roles[protocol] == MULTIPLIES)


def weights(protocol: Protocol) -> dict[str, float]:
    """Name -> weight of the sub-metrics of the weighted mean."""
    roles = {metric.name: metric.roles[protocol] for metric in sub_metrics(protocol)}
    return {name: role for name, role in roles.items() if isinstance(role, float)}


def column_weights(protocol: Protocol) -> dict[str, float]:
    """Column of the kernels' results -> weight in the mean of what they compute (all but extended comfort)."""
    share = weights(protocol)
    return {m.column: share[m.name] for m in sub_metrics(protocol) if m.name in share and m.column is not None}


def column_multipliers(protocol: Protocol) -> tuple[str, ...]:
    """Columns of the kernels' results that multiply the mean."""
    factors = multipliers(protocol)
    return tuple(m.column for m in sub_metrics(protocol) if m.name in factors and m.column is not None)
