"""Traffic that answers the ego: it stops behind it, at red lights, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from small_road import Other, Standing, recording, standing_at_first

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, StateIndex
from openpair.driving.judge import judge
from openpair.driving.loop import Drive, drive
from openpair.driving.reactive import ReactiveRailTraffic
from openpair.driving.recording import Recording
from openpair.driving.traffic import ReplayedTraffic
from openpair.evaluation.agents import ConstantVelocityAgent


def reactive(log: Recording, agent: object) -> Drive:
    return drive(log, agent, ReactiveRailTraffic(log))  # type: ignore[arg-type]


def place(agents: Agents, token: str) -> tuple[float, float]:
    """x [m] and speed [m/s]."""
    row = agents.track_tokens.index(token)
    return float(agents.box[row, 0]), float(np.hypot(*agents.velocity[row]))


def while_there(finished: Drive, token: str) -> list[tuple[float, float]]:
    """x [m] and speed [m/s] at every step; vehicles more than 100 m from the ego are gone."""
    agents = [finished.traffic.agents(step) for step in range(15, finished.last_step + 1)]
    return [place(others, token) for others in agents if token in others.track_tokens]


def test_a_follower_stops_behind_an_ego_that_stands() -> None:
    log = recording((Other("follower", -40.0, speed=10.0),), human=standing_at_first)
    replayed = judge(drive(log, Standing(), ReplayedTraffic(log)))
    assert [event.about for event in replayed.events] == ["follower stopped_ego"]
    finished = reactive(log, Standing())
    assert not judge(finished).events
    x, speed = place(finished.traffic.agents(finished.last_step), "follower")
    assert speed < 0.1
    assert 0.5 < (0.0 - 1.127) - (x + 2.0) < 4.0  # from its bumper to the ego's tail


def test_a_vehicle_stops_at_a_red_light_and_passes_a_green_one() -> None:
    other = Other("other", 30.0, speed=10.0)
    waits = reactive(recording((other,), human=standing_at_first, red=True), Standing())
    x, speed = place(waits.traffic.agents(waits.last_step), "other")
    assert speed < 0.1 and 96.0 < x + 2.0 <= 100.0
    passes = reactive(recording((other,), human=standing_at_first), Standing())
    passed = while_there(passes, "other")
    assert max(x for x, _ in passed) > 95.0
    assert min(speed for _, speed in passed) > 9.0  # no stop where lane 1, connector 3 and lane 4 meet


def test_a_light_that_turns_red_too_late_is_passed() -> None:
    other = Other("other", 90.0, speed=10.0)  # 8 m before the line: it would have to brake with 6 m/s^2
    finished = reactive(recording((other,), human=standing_at_first, red=True), Standing())
    seen = while_there(finished, "other")
    assert seen[-1][0] > 100.0 and min(speed for _, speed in seen) > 9.0


def test_vehicles_keep_clear_of_pedestrians() -> None:
    walker = Other("walker", 50.0, category=AgentCategory.PEDESTRIAN, length=0.6, width=0.6)
    log = recording((Other("car", 15.0, speed=10.0), walker), human=standing_at_first)
    finished = reactive(log, Standing())
    x, speed = place(finished.traffic.agents(finished.last_step), "car")
    assert speed < 0.1 and 44.0 < x + 2.0 < 49.7


def test_everyone_is_where_the_recording_has_them_at_the_start() -> None:
    log = recording((Other("car", 30.0, speed=10.0),))
    finished = reactive(log, ConstantVelocityAgent())
    assert place(finished.traffic.agents(15), "car") == (30.0, 10.0)
    for before, after in zip(range(15, 60), range(16, 61), strict=True):  # nobody jumps
        a, b = (place(finished.traffic.agents(step), "car")[0] for step in (before, after))
        assert b - a == pytest.approx(1.0, abs=0.3)
    assert finished.states[-1, StateIndex.X] > 100.0
