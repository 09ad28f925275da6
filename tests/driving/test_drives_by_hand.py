"""Whole drives on the small road, with results worked out on paper."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from small_road import DRIVE_STEPS, SPEED, FailingAt, Other, Standing, recording, standing_at_first

from openpair.datasets.world.dataset import WorldDataset
from openpair.datatypes.columns import AgentCategory, Protocol, StateIndex
from openpair.driving.judge import Judgement, judge
from openpair.driving.loop import AGENT_FAILED, END_OF_LOG, Drive, drive
from openpair.driving.plan_scores import PreparedOnTheWay, score_plans
from openpair.driving.recording import Recording, read_recording
from openpair.driving.traffic import ReplayedTraffic
from openpair.errors import OpenPairError
from openpair.evaluation.agents import Agent, ConstantVelocityAgent, HumanAgent, PdmClosedAgent
from openpair.evaluation.sources import AgentContext, parse_agent

FRONT = 4.049
HALF_WIDTH = 2.297 / 2


def driven(log: Recording, agent: Agent) -> tuple[Drive, Judgement]:
    finished = drive(log, agent, ReplayedTraffic(log))
    return finished, judge(finished)


def pdm_closed() -> PdmClosedAgent:
    return PdmClosedAgent(PreparedOnTheWay(Protocol.V1_1))


def kinds(judgement: Judgement) -> list[tuple[str, int]]:
    return [(event.kind, event.step) for event in judgement.events]


def test_the_recording_itself_drives_where_it_was_recorded() -> None:
    """Through a bend that a tracker would cut, at every step between the frames, too."""
    world = WorldDataset("test")
    log = read_recording(world, "agate-000")
    agent = parse_agent("recorded").build(AgentContext(world, lambda scene: None, 0))  # type: ignore[arg-type,return-value]
    finished = drive(log, agent, ReplayedTraffic(log))
    frames = np.stack([frame.ego.pose for frame in log.frames[3:]])
    np.testing.assert_allclose(finished.states[::5, :3], frames, atol=1e-9)
    assert np.abs(finished.states[:, :2] - log.human_poses[15:, :2]).max() < 0.3  # cubic against straight lines
    judgement = judge(finished)
    assert judgement.success == judgement.driving_score == 1.0 and judgement.comfort == 1.0


def test_the_human_replayed_scores_as_the_recording() -> None:
    log = recording()
    finished, judgement = driven(log, HumanAgent())
    assert finished.end == END_OF_LOG and len(finished.states) == DRIVE_STEPS + 1
    assert np.abs(finished.states[:, :2] - log.human_poses[15:, :2]).max() < 0.05
    assert not judgement.events
    assert judgement.driving_score == pytest.approx(1.0, abs=1e-3)
    assert judgement.nuplan_score == pytest.approx(1.0, abs=1e-3)
    assert judgement.success == 1.0


def test_a_planner_that_stands_completes_nothing() -> None:
    _, judgement = driven(recording(human=standing_at_first), Standing())
    assert judgement.route_completion == pytest.approx(0.1 / 180)  # nuPlan's tolerance of 0.1 m
    assert judgement.driving_score == judgement.route_completion
    assert judgement.nuplan_score == 0.0  # no progress
    assert (judgement.time_to_collision, judgement.comfort, judgement.success) == (1.0, 1.0, 0.0)


def test_a_planner_that_never_steers_leaves_the_road_when_geometry_says_so() -> None:
    """It heads 0.1 rad to the left at 10 m/s, out of its lane, against the traffic, off the road."""
    finished, judgement = driven(recording(heading=0.1), ConstantVelocityAgent())
    across = SPEED * np.sin(0.1)  # [m/s]
    corner = FRONT * np.sin(0.1) + HALF_WIDTH * np.cos(0.1)  # how far the front left corner is left of the rear axle
    off_road = int(np.ceil((6.0 + 0.3 - corner) / across / 0.1))
    in_oncoming_lane = int(np.ceil((2.0 - 1.461 * np.sin(0.1)) / across / 0.1))
    wrong_way = in_oncoming_lane + 6  # of eleven moves of 0.995 m, seven against four exceed 2 m
    assert kinds(judgement) == [("wrong_way", wrong_way), ("off_road", off_road)]
    outside = (DRIVE_STEPS - wrong_way + 1) / DRIVE_STEPS
    reached = SPEED * np.cos(0.1) * 18.0
    assert judgement.route_completion == pytest.approx(reached / 180.0 * (1 - outside), abs=2e-3)
    assert judgement.driving_score == judgement.route_completion  # CARLA punishes it by the route alone
    assert judgement.nuplan_score == 0.0
    assert finished.end == END_OF_LOG  # 18 m beside the route; 30 m end a drive


def test_a_drive_ends_30_m_beside_the_route() -> None:
    finished, judgement = driven(recording(heading=0.3), ConstantVelocityAgent())
    assert finished.end == "off_route"
    assert len(finished.states) - 1 == int(np.ceil(30.0 / (SPEED * np.sin(0.3)) / 0.1))
    assert judgement.success == 0.0


@pytest.mark.parametrize(
    ("category", "penalty", "nuplan"),
    [
        (AgentCategory.VEHICLE, 0.60, 0.0),
        (AgentCategory.PEDESTRIAN, 0.50, 0.0),
        # one object halves the score; time to collision is lost: (5 progress + 4 speed limit + 2 comfort) / 16
        (AgentCategory.TRAFFIC_CONE, 0.65, 0.5 * 11 / 16),
    ],
)
def test_a_standing_object_is_hit_when_the_bumper_reaches_it(
    category: AgentCategory, penalty: float, nuplan: float
) -> None:
    rear = 50.0
    thing = Other("thing", rear + 1.0, category=category, length=2.0)
    _, judgement = driven(recording((thing,)), ConstantVelocityAgent())
    hit = int(np.ceil((rear - FRONT) / SPEED / 0.1))
    assert kinds(judgement) == [("near_miss", hit - 9), ("collision", hit)]  # 0.9 s before
    assert judgement.events[1].about == "thing stopped_track"
    assert judgement.at_fault_collisions == 1
    assert judgement.driving_score == pytest.approx(judgement.route_completion * penalty)
    assert judgement.nuplan_score == pytest.approx(nuplan, abs=2e-3)


def test_who_is_hit_from_behind_is_not_at_fault() -> None:
    faster = Other("faster", -20.0, speed=15.0)
    _, judgement = driven(recording((faster,)), ConstantVelocityAgent())
    assert [(event.kind, event.about) for event in judgement.events] == [("contact", "faster rear")]
    assert judgement.at_fault_collisions == 0 and judgement.success == 1.0


def test_a_red_light_is_run_when_the_bumper_passes_the_stop_line() -> None:
    _, judgement = driven(recording(red=True), ConstantVelocityAgent())
    assert kinds(judgement) == [("red_light", int(np.ceil((100.0 - FRONT) / SPEED / 0.1)))]
    assert judgement.driving_score == pytest.approx(judgement.route_completion * 0.70)
    assert judgement.nuplan_score > 0.99  # nuPlan's score knows no lights
    _, green = driven(recording(), ConstantVelocityAgent())
    assert not green.events


def test_pdm_closed_drives_a_free_road_as_far_as_the_human() -> None:
    _, judgement = driven(recording(), pdm_closed())
    assert judgement.driving_score == judgement.nuplan_score == judgement.success == 1.0
    assert not judgement.events


def test_pdm_closed_stops_behind_a_standing_lorry_and_gets_what_it_reached() -> None:
    lorry = Other("lorry", 64.0, length=8.0, width=2.5)  # from x = 60
    finished, judgement = driven(recording((lorry,)), pdm_closed())
    end = float(finished.states[-1, StateIndex.X])
    assert 0.3 < 60.0 - (end + FRONT) < 5.0
    assert abs(finished.states[-1, StateIndex.VELOCITY_X]) < 0.1
    assert judgement.at_fault_collisions == 0
    assert judgement.driving_score == pytest.approx(end / 180.0, abs=2e-3)
    assert judgement.nuplan_score == pytest.approx(
        (5 * judgement.progress + 5 * judgement.time_to_collision + 4 + 2 * judgement.comfort) / 16
    )


def test_pdm_closed_waits_at_a_red_light() -> None:
    finished, judgement = driven(recording(red=True), pdm_closed())
    assert judgement.red_lights == 0
    assert 90.0 < finished.states[-1, StateIndex.X] + FRONT < 100.0


@pytest.mark.parametrize("how", ["raise", "nan"])
def test_an_agent_that_fails_in_the_middle_ends_its_drive_there(how: str) -> None:
    log = recording()
    finished = drive(log, FailingAt(3, how), ReplayedTraffic(log))
    assert finished.end == AGENT_FAILED
    assert len(finished.planned) == 2 and finished.seconds == pytest.approx(1.0)
    assert finished.error.startswith("after 1.0 s: ")
    assert ("out of ideas" if how == "raise" else "NaN or infinite") in finished.error


def test_plans_are_scored_where_the_log_shows_what_came() -> None:
    log = recording()
    finished = drive(log, ConstantVelocityAgent(), ReplayedTraffic(log))
    scores = score_plans(finished, PreparedOnTheWay(Protocol.V1_1), Protocol.V1_1)
    assert [score.step for score in scores] == [15 + 5 * i for i in range(36)]
    known = [score for score in scores if score.score is not None]
    assert [score.step for score in known] == [15 + 5 * i for i in range(27)]  # 5 s of future: up to 13 s of 18
    assert all(score.score is not None and score.score > 0.85 for score in known)
    assert known[0].extended_comfort is None and all(score.extended_comfort == 1.0 for score in known[1:])


def test_a_plan_every_second_needs_half_as_many_plans() -> None:
    log = recording()
    finished = drive(log, ConstantVelocityAgent(), ReplayedTraffic(log), replan_steps=10)
    steps = [plan.step for plan in finished.planned]
    assert len(steps) == 18 and {b - a for a, b in pairwise(steps)} == {10}


def test_a_log_of_less_than_five_seconds_is_refused() -> None:
    assert recording(frames=14).last_step == 65
    with pytest.raises(OpenPairError, match="too short to drive: 13 frames without a gap, 14 are needed"):
        recording(frames=13)
