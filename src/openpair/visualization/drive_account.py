"""What is said of a drive: its values, what happened on the way, the arithmetic of its scores (docs/closed_loop.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.driving.loop import AGENT_FAILED, END_OF_LOG, OFF_ROUTE
from openpair.driving.records import DriveRow, row_of
from openpair.driving.scores import (
    COMFORT_WEIGHT,
    PEDESTRIAN_PENALTY,
    PROGRESS_WEIGHT,
    RED_LIGHT_PENALTY,
    SPEED_LIMIT_WEIGHT,
    STATIC_PENALTY,
    TOTAL_WEIGHT,
    TTC_WEIGHT,
    VEHICLE_PENALTY,
    weighted_sum,
)
from openpair.visualization.filed_drive import FiledDrive
from openpair.visualization.glossary import Term

SCORE_NAME = "driving score"
FORMULA = (
    f"driving score = route completion × {PEDESTRIAN_PENALTY:g} ^ pedestrians × {VEHICLE_PENALTY:g} ^ vehicles × "
    f"{STATIC_PENALTY:g} ^ things × {RED_LIGHT_PENALTY:g} ^ red lights"
)


@dataclass(frozen=True)
class DriveValue:
    """A value of a drive as the tables show it.

    Attributes:
        short: heading of its column.
        name, meaning: in words.
        of: the value in [0, 1], 1 is best; None where it is not known.
    """

    short: str
    name: str
    meaning: str
    of: Callable[[DriveRow], float | None]


def _none_of(name: str) -> Callable[[DriveRow], float | None]:
    def value(row: DriveRow) -> float | None:
        count = getattr(row, name)
        return None if count is None else float(count == 0)

    return value


def _own(name: str) -> Callable[[DriveRow], float | None]:
    return lambda row: getattr(row, name)


VALUES = (
    DriveValue("route", "route completion", "share of the human's way, driven on the road", _own("route_completion")),
    DriveValue("hit", "no at-fault collision", "0 with an at-fault collision", _none_of("at_fault_collisions")),
    DriveValue("road", "on the road", "0 where a corner was more than 0.3 m off the road", _none_of("off_road")),
    DriveValue("way", "with the traffic", "0 where it drove against the traffic", _none_of("wrong_way")),
    DriveValue("red", "red lights kept", "0 where it ran a red light", _none_of("red_lights")),
    DriveValue("TTC", "time to collision", "0 with a near miss", _own("time_to_collision")),
    DriveValue("speed", "speed limit", "1 without speeding", _own("speed_limit")),
    DriveValue("comf", "comfort", "1 if all signals stay within their bounds", _own("comfort")),
    DriveValue("nuPlan", "nuPlan's score", "nuPlan's closed-loop score", _own("nuplan_score")),
    DriveValue("plans", "plan score", "mean PDM score of the plans made on the way", _own("mean_plan_score")),
)


def drive_glossary() -> tuple[Term, ...]:
    """The values in words."""
    return tuple(Term(value.short, value.name, value.meaning, "") for value in VALUES)


WHO = {AgentCategory.VEHICLE: "a vehicle", AgentCategory.PEDESTRIAN: "a pedestrian", AgentCategory.BICYCLE: "a bicycle"}
CONTACTS = {
    "stopped_ego": "is hit by {who} while it stands, which is not its fault",
    "rear": "is hit from behind by {who}, which is not its fault",
    "lateral": "touches {who} sideways, which is not its fault",
}
COLLISIONS = {
    "front": "hits {who} with its front",
    "stopped_track": "hits {who} that stands",
    "lateral": "hits {who} sideways, across lanes or off the road",
}
OTHERS = {
    "off_road": "leaves the road",
    "wrong_way": "drives against the traffic",
    "red_light": "runs a red light",
    "near_miss": "comes within 0.9 s of hitting {who}",
}
ENDS = {
    END_OF_LOG: "it drove to the end of the log",
    OFF_ROUTE: "it ended 30 m beside the route",
    AGENT_FAILED: "the agent failed",
}


def account(drive: FiledDrive) -> dict[str, Any]:
    """What the page says of a drive.

    Returns:
        ``score``, ``headline``; ``values`` [short, name, value, meaning]; ``events``: step, ``kind`` ("lost": counts
        against it; "partly": nuPlan's score alone; "aside": not its fault), short name, text; ``arithmetic``: lines.
    """
    row = row_of(drive.data)
    events = [_event(event, drive) for event in drive.data["events"]]
    if row.failed or row.end == OFF_ROUTE:
        text = row.error if row.failed else "the drive ends 30 m beside the route"
        events.append({"step": len(drive.states) - 1, "kind": "lost", "short": "end", "text": text})
    return {
        "score": row.driving_score,
        "headline": _headline(row, drive.data["uncomfortable"]),
        "values": [[value.short, value.name, value.of(row), value.meaning] for value in VALUES],
        "events": events,
        "arithmetic": arithmetic(row),
    }


def _event(event: dict[str, Any], drive: FiledDrive) -> dict[str, Any]:
    kind = event["kind"]
    token, _, how = event["about"].partition(" ")
    who = _who(drive.traffic.agents(drive.data["start_step"] + event["step"]), token)
    texts = {"collision": COLLISIONS, "contact": CONTACTS}.get(kind)
    text = OTHERS.get(kind, kind) if texts is None else texts.get(how, "touches {who}")
    weight = {"contact": "aside", "near_miss": "partly"}.get(kind, "lost")
    return {"step": event["step"], "kind": weight, "short": kind.replace("_", " "), "text": text.format(who=who)}


def _who(agents: Agents, token: str) -> str:
    if token not in agents.track_tokens:
        return "another"
    category = AgentCategory(int(agents.category[agents.track_tokens.index(token)]))
    return WHO.get(category, "an object")


def _headline(row: DriveRow, uncomfortable: list[str]) -> str:
    if row.failed:
        return f"No score: {row.error}"
    parts = [f"{ENDS.get(row.end, row.end)} after {row.seconds:.1f} s"]
    if uncomfortable:
        parts.append(f"uncomfortable: {', '.join(name.replace('_', ' ') for name in uncomfortable)}")
    if row.plans > row.plans_scored:
        parts.append(f"{row.plans_scored} of {row.plans} plans are scored")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def arithmetic(row: DriveRow) -> list[str]:
    """How the two scores follow from the values; empty for a drive that failed."""
    if row.driving_score is None or row.route_completion is None or row.nuplan_score is None:
        return []
    progress, speed_limit = row.progress or 0.0, row.speed_limit or 0.0
    ttc, comfort = row.time_to_collision or 0.0, row.comfort or 0.0
    on_road = row.route_completion / progress if progress else 1.0
    penalty = row.driving_score / row.route_completion if row.route_completion else 1.0
    mean = weighted_sum(progress, ttc, speed_limit, comfort) / TOTAL_WEIGHT
    product = row.nuplan_score / mean if mean else 0.0
    return [
        f"route completion {row.route_completion:.3f} = progress {progress:.3f} × {on_road:.3f} on the road",
        f"driving score {row.driving_score:.3f} = route completion {row.route_completion:.3f} × penalties "
        f"{penalty:.3f} ({row.at_fault_collisions} at-fault collisions, {row.red_lights} red lights)",
        f"nuPlan {row.nuplan_score:.3f} = multipliers {product:.3f} × ({PROGRESS_WEIGHT:g} × progress {progress:.3f} + "
        f"{TTC_WEIGHT:g} × time to collision {ttc:.0f} + {SPEED_LIMIT_WEIGHT:g} × speed limit {speed_limit:.3f} + "
        f"{COMFORT_WEIGHT:g} × comfort {comfort:.0f}) / {TOTAL_WEIGHT:g}",
    ]
