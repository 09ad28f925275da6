"""What a drive is worth: events and scores of the states that were driven."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex, Protocol, StateIndex
from openpair.driving import scores
from openpair.driving.contacts import contacts, first_near_misses
from openpair.driving.loop import END_OF_LOG, Drive
from openpair.driving.recording import START_STEP
from openpair.driving.red_lights import red_lights_run
from openpair.driving.road import Road, RoadPlaces, road_of
from openpair.preparation.boxes import ego_center
from openpair.preparation.map_index import map_index
from openpair.scoring.comfort import DESIGNS, ComfortIndex
from openpair.scoring.comfort_values import signal_values
from openpair.simulation.reference import STEP_S

WRONG_WAY_WINDOW = 11
"""Increments summed up, as in the scorer's driving direction compliance."""

TRAFFIC_RADIUS_M = 50.0
MOVING_MPS = 0.5
"""Whose speed the ego's is compared with (efficiency): vehicles this near that move."""


@dataclass(frozen=True)
class Event:
    """Something that happened on the way.

    Attributes:
        step: 0.1 s steps since the start of the drive.
        kind: "collision", "contact" (not the ego's fault), "near_miss", "off_road", "wrong_way" or "red_light".
        about: track token, lane connector or kind of contact.
    """

    step: int
    kind: str
    about: str = ""


@dataclass(frozen=True)
class Judgement:
    """Scores of a drive, all in [0, 1] but for counts and efficiency.

    Attributes:
        driving_score: route completion times penalties (CARLA).
        route_completion: share of the human's way, without what was driven off the road or against the traffic.
        success: route completed without an infraction.
        efficiency: mean speed over that of the traffic around; NaN without traffic.
        at_fault_collisions, off_road, wrong_way, red_lights: counts.
        nuplan_score: nuPlan's closed-loop score.
        progress: against the human's.
        time_to_collision, comfort: 1 or 0; speed_limit: nuPlan's sub-score.
        uncomfortable: names of the signals that left their bounds.
        events: what happened, in order of time.
    """

    driving_score: float
    route_completion: float
    success: float
    efficiency: float
    at_fault_collisions: int
    off_road: int
    wrong_way: int
    red_lights: int
    nuplan_score: float
    progress: float
    time_to_collision: float
    speed_limit: float
    comfort: float
    uncomfortable: tuple[str, ...]
    events: tuple[Event, ...]


def judge(drive: Drive) -> Judgement:
    """Judge what was driven."""
    recording, states = drive.recording, drive.states
    steps = START_STEP + np.arange(len(states))
    agents = [drive.traffic.agents(int(step)) for step in steps]
    road = road_of(map_index(recording.road_map))
    places = road.places(states[:, : StateIndex.HEADING + 1])
    route_blocks = {block for frame in recording.frames for block in frame.route_roadblock_ids}
    red = [recording.red_connectors(int(step)) for step in steps]

    met = contacts(states, agents, places)
    misses = first_near_misses(states, agents, places, met)
    lights = red_lights_run(recording.road_map, places.front_lanes, red, route_blocks)
    against = against_traffic(states, places)
    off_road, wrong_way = places.off_road_m > scores.OFF_ROAD_M, against >= scores.WRONG_WAY_COMPLIANT_M
    hit = [contact.category for contact in met if contact.at_fault]
    comfort = comfort_flags(states)

    stations, _ = drive.route_line.follow(states[:, : StateIndex.HEADING])
    reached = max(float(stations.max()), -backward_m(states, stations))
    route = drive.route_line.length
    progress = scores.progress_ratio(reached, route)
    completion = scores.route_completion(reached, route, outside_share(states, off_road | wrong_way))
    clean = not (hit or lights or off_road.any() or wrong_way.any())
    return Judgement(
        driving_score=completion * scores.penalty(hit, len(lights)),
        route_completion=completion,
        success=float(drive.end == END_OF_LOG and clean and completion >= scores.SUCCESS_COMPLETION),
        efficiency=efficiency(states, agents),
        at_fault_collisions=len(hit),
        off_road=len(_starts(off_road)),
        wrong_way=len(_starts(wrong_way)),
        red_lights=len(lights),
        nuplan_score=scores.nuplan_score(
            collision=scores.collision_multiplier(hit),
            on_road=not off_road.any(),
            direction=scores.direction_multiplier(float(against.max())),
            progress=progress,
            time_to_collision=not misses,
            speed_limit=scores.speed_limit_score(overspeed(states, places, road)),
            comfortable=all(comfort.values()),
        ),
        progress=progress,
        time_to_collision=float(not misses),
        speed_limit=scores.speed_limit_score(overspeed(states, places, road)),
        comfort=float(all(comfort.values())),
        uncomfortable=tuple(index.name.lower() for index, kept in comfort.items() if not kept),
        events=tuple(
            sorted(
                [
                    *(Event(c.step, "collision" if c.at_fault else "contact", f"{c.token} {c.kind}") for c in met),
                    *(Event(miss.step, "near_miss", miss.token) for miss in misses),
                    *(Event(step, "red_light", connector) for step, connector in lights),
                    *(Event(step, "off_road") for step in _starts(off_road)),
                    *(Event(step, "wrong_way") for step in _starts(wrong_way)),
                ],
                key=lambda event: (event.step, event.kind, event.about),
            )
        ),
    )


def against_traffic(states: NDArray[np.float64], places: RoadPlaces) -> NDArray[np.float64]:
    """(n,) way [m] that the centre moved against the direction of its lane within the last second, at least 0."""
    move = np.diff(ego_center(states[:, : StateIndex.HEADING + 1])[:, :2], axis=0, prepend=np.nan)
    move[0] = 0.0
    direction = np.nan_to_num(places.direction)
    along = move[:, 0] * np.cos(direction) + move[:, 1] * np.sin(direction)
    along[~np.isfinite(places.direction)] = 0.0
    total = np.concatenate([[0.0], np.cumsum(along)])
    first = np.maximum(np.arange(len(along)) + 1 - WRONG_WAY_WINDOW, 0)
    return np.maximum(total[first] - total[1:], 0.0)


def overspeed(states: NDArray[np.float64], places: RoadPlaces, road: Road) -> NDArray[np.float64]:
    """(n,) speed above the limit of the lane [m/s]; 0 below it and beside all lanes."""
    limit = np.array([np.inf if lane is None else road.speed_limit_mps(lane) for lane in places.lane])
    return np.maximum(states[:, StateIndex.VELOCITY_X] - limit, 0.0)


def outside_share(states: NDArray[np.float64], outside: NDArray[np.bool_]) -> float:
    """Share of the way that ends outside; 0 for an ego that stands."""
    move = np.hypot(*np.diff(states[:, : StateIndex.HEADING], axis=0).T)
    total = float(move.sum())
    return float(move[outside[1:]].sum()) / total if total > 0 else 0.0


def backward_m(states: NDArray[np.float64], stations: NDArray[np.float64]) -> float:
    """How far [m] an ego that never passed the start of the route has driven backwards; 0 for all others."""
    if stations.max() > 0:
        return 0.0
    move = states[-1, : StateIndex.HEADING] - states[0, : StateIndex.HEADING]
    heading = states[0, StateIndex.HEADING]
    return max(0.0, -float(move @ np.array([np.cos(heading), np.sin(heading)])))


def efficiency(states: NDArray[np.float64], agents: list[Agents]) -> float:
    """Mean speed of the ego over the mean speed of the vehicles that move around it; NaN where there are none."""
    around = []
    for state, others in zip(states, agents, strict=True):
        speed = np.hypot(*others.velocity.T)
        near = np.hypot(*(others.box[:, : BoxIndex.HEADING] - state[: StateIndex.HEADING]).T) < TRAFFIC_RADIUS_M
        moving = near & (others.category == AgentCategory.VEHICLE) & (speed > MOVING_MPS)
        around.append(speed[moving])
    speeds = np.concatenate(around)
    return float(np.abs(states[:, StateIndex.VELOCITY_X]).mean() / speeds.mean()) if len(speeds) else float("nan")


def comfort_flags(states: NDArray[np.float64]) -> dict[ComfortIndex, bool]:
    """Which of the six signals stay within their bounds over a whole drive: v2.2's filters (those of nuPlan), with the
    lateral acceleration that belongs to the yaw rate."""
    lon = states[:, StateIndex.ACCELERATION_X]
    lat = states[:, StateIndex.VELOCITY_X] * states[:, StateIndex.ANGULAR_VELOCITY]
    heading = np.unwrap(states[:, StateIndex.HEADING])
    times = STEP_S * np.arange(len(states), dtype=np.float64)
    signals = signal_values(times, lon, lat, np.hypot(lon, lat), heading, DESIGNS[Protocol.V2_2])
    return {index: values.stays_within for index, values in signals.items()}


def _starts(flags: NDArray[np.bool_]) -> list[int]:
    """Where runs of True begin."""
    return [int(i) for i in np.flatnonzero(flags & ~np.concatenate([[False], flags[:-1]]))]
