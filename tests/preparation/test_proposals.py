"""PDM-Closed's proposals against cases worked out by hand."""

import numpy as np
import pytest
import shapely
from small_town import agents, straight_town

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.preparation.corridor import driving_corridor
from openpair.preparation.forecast import make_forecast
from openpair.preparation.idm import idm_acceleration
from openpair.preparation.path import DrivingPath
from openpair.preparation.proposals import ProposalRollout

CENTERLINE = np.array([[0.0, 0.0, 0.0], [25.0, 0.0, 0.0], [50.0, 0.0, 0.0], [50.0, 0.0, 0.0], [200.0, 0.0, 0.0]])
EGO = np.array([10.0, 0.0, 0.0])
NO_RED = np.zeros(0, dtype=object)


def rollout(others=None, speed=8.0, red=NO_RED, limit=10.0):
    forecast = make_forecast(others or Agents.empty(), EGO, [f"r{i}" for i in range(len(red))], red)
    return ProposalRollout(CENTERLINE, EGO, speed, limit, forecast)


def test_idm_holds_the_target_speed_on_a_free_road_and_brakes_hard_behind_a_wall():
    one = np.ones(1)
    assert idm_acceleration(10 * one, 10 * one, 1e9 * one, 10 * one)[0] == pytest.approx(0, abs=1e-6)
    assert idm_acceleration(10 * one, 10 * one, 1 * one, 0 * one)[0] == -3.0
    assert idm_acceleration(0 * one, 10 * one, 1e9 * one, 10 * one)[0] == pytest.approx(1.5)


def test_idm_equals_the_formula_for_one_hand_worked_case():
    # s* = 1 + 8*1.5 + 8*(8-5)/(2*sqrt(4.5)) = 18.657; a = 1.5 (1 - 0.8^10 - (18.657/30)^2) = 0.759
    value = idm_acceleration(np.array(8.0), np.array(10.0), np.array(30.0), np.array(5.0))
    assert float(value) == pytest.approx(1.5 * (1 - 0.8**10 - (18.65685425 / 30) ** 2), abs=1e-8)


def test_a_doubled_vertex_belongs_to_the_segment_that_ends_there():
    bend = DrivingPath(np.array([[0.0, 0, 0], [10.0, 0, 0], [10.0, 0, np.pi / 2], [10.0, 10, np.pi / 2]]))
    assert bend.poses_at(np.array([10.0]))[0].tolist() == [10.0, 0.0, 0.0]
    np.testing.assert_allclose(bend.poses_at(np.array([15.0, 99.0])), [[10, 5, np.pi / 2], [10, 10, np.pi / 2]])


def test_offset_paths_lie_right_then_left_of_the_centreline():
    paths = rollout().paths
    assert [path.states[0, 1] for path in paths] == [0.0, -1.0, 1.0]


def test_the_first_step_brakes_because_no_leader_is_known_yet():
    proposals = rollout()
    np.testing.assert_allclose(proposals.speed[:, 1], 8.0 - 0.3)
    np.testing.assert_allclose(proposals.progress[:, 1], 10.8)


def test_on_a_free_road_each_proposal_heads_for_its_own_target_speed():
    proposals = rollout(speed=6.0)
    assert (np.diff(proposals.speed[:5, 40]) > 0).all()
    assert proposals.speed[4, 40] > 8.0
    np.testing.assert_array_equal(proposals.speed[:5], proposals.speed[5:10])


def test_a_standing_car_on_the_lane_stops_all_proposals_before_it():
    free = rollout()
    proposals = rollout(agents(("wall", 36.0, 0.0, 0.0, 0.0)))
    assert (proposals.progress[:, 40] + 4.049 < 34.0).all()
    assert (free.progress[4::5, 40] + 4.049 > 34.0).all()
    assert (proposals.speed[:, 40] < 2.0).all()


def test_a_car_in_the_next_lane_is_no_leader():
    np.testing.assert_array_equal(rollout(agents(("aside", 60.0, -4.0, 0.0, 0.0))).progress, rollout().progress)


def test_a_car_behind_is_no_leader():
    np.testing.assert_array_equal(rollout(agents(("behind", 2.0, 0.0, 0.0, 0.0))).progress, rollout().progress)


def test_what_overlaps_the_ego_now_is_exempt():
    overlapping = agents(("on_us", 13.0, 0.0, 0.0, 0.0))
    np.testing.assert_array_equal(rollout(overlapping).progress, rollout().progress)


def test_a_red_connector_ahead_stops_the_proposals():
    stop = np.array([shapely.box(60, -2, 80, 2)], dtype=object)
    assert (rollout(red=stop).progress[:, 40] + 4.049 < 60.0).all()


def test_a_red_connector_counts_even_while_the_ego_stands_half_on_it():
    stop = np.array([shapely.box(12, -2, 30, 2)], dtype=object)
    assert not make_forecast(Agents.empty(), EGO, ["r"], stop).exempt[0]
    held = np.array([shapely.box(0, -2, 30, 2)], dtype=object)
    assert make_forecast(Agents.empty(), EGO, ["r"], held).exempt[0]


def test_forecast_boxes_move_in_jumps_of_two_steps_and_backward_when_reversing():
    reversing = agents(("back", 60.0, 20.0, 0.0, -5.0))
    forecast = make_forecast(reversing, EGO, [], NO_RED)
    np.testing.assert_allclose(forecast.displacement(5), [[-2.0, 0.0]])
    np.testing.assert_allclose(forecast.displacement(4), forecast.displacement(5))


def test_forecast_keeps_the_nearest_of_each_kind_static_objects_first():
    walkers = agents(*[(f"p{i}", 90.0 - i, 0.0, 0.0, 1.0) for i in range(30)], category=AgentCategory.PEDESTRIAN)
    cone = agents(("cone", 30.0, 30.0, 0.0, 0.0), category=AgentCategory.TRAFFIC_CONE)
    far = agents(("far", 111.5, 0.0, 0.0, 0.0))
    everyone = Agents(
        walkers.track_tokens + cone.track_tokens + far.track_tokens,
        np.concatenate([walkers.category, cone.category, far.category]),
        np.concatenate([walkers.box, cone.box, far.box]),
        np.concatenate([walkers.velocity, cone.velocity, far.velocity]),
        np.zeros(32),
    )
    tokens = make_forecast(everyone, EGO, [], NO_RED).tokens
    assert tokens == ("cone", *(f"p{i}" for i in range(29, 4, -1)))


def test_the_corridor_ends_where_the_highest_target_speed_gets_in_five_seconds():
    path = DrivingPath(np.column_stack([np.arange(0.0, 201.0), np.zeros(201), np.zeros(201)]))
    min_x, min_y, max_x, max_y = driving_corridor(path, 10.0, 10.0).bounds
    assert (min_x, max_x) == (10.0 - 1.1485, 60.0 + 1.1485)
    assert (min_y, max_y) == (-1.1485, 1.1485)


def test_the_chosen_proposal_goes_on_for_another_second():
    proposals = rollout()
    trajectory = proposals.trajectory_poses(3)
    np.testing.assert_array_equal(trajectory[:41], proposals.proposal_poses()[3])
    assert trajectory[50, 0] > trajectory[40, 0]


def test_limit_of_fifteen_where_the_map_gives_none():
    from openpair.preparation.map_index import map_index

    assert map_index(straight_town(speed_limit=None)).speed_limit_mps("a0") == 15.0
