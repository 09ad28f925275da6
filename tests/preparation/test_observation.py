"""Tracks at 10 Hz from agents at 2 Hz."""

import numpy as np
import pytest
from small_town import agents

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.errors import OpenPairError
from openpair.preparation.observation import collect_sightings, replay_tracks


def tracks_of(frames):
    return replay_tracks(collect_sightings(frames))


def rows_of(tracks, token):
    """(samples, boxes) in which a track is present."""
    number = tracks.tokens.index(token)
    sample = np.repeat(np.arange(len(tracks.frame_offset) - 1), np.diff(tracks.frame_offset))
    mine = tracks.track == number
    return sample[mine], tracks.box[mine]


def test_boxes_move_in_straight_lines_between_frames():
    tracks = tracks_of([agents(("car", 0.0, 0.0, 0.0, 5.0)), agents(("car", 2.5, 1.0, 0.4, 5.0))])
    sample, box = rows_of(tracks, "car")
    assert sample.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(box[:, 0], [0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    np.testing.assert_allclose(box[:, 2], np.linspace(0, 0.4, 6))


def test_headings_turn_the_short_way_across_pi():
    tracks = tracks_of([agents(("car", 0.0, 0.0, 3.1, 0.0)), agents(("car", 0.0, 0.0, -3.1, 0.0))])
    _, box = rows_of(tracks, "car")
    expected = 3.1 + np.linspace(0, 2 * np.pi - 6.2, 6)
    np.testing.assert_allclose(np.cos(box[:, 2] - expected), 1.0)
    assert (np.abs(box[:, 2]) <= np.pi).all()


def test_a_track_is_present_from_first_to_last_sighting_and_through_gaps():
    frames = [
        agents(("stays", 0.0, 0.0, 0.0, 0.0)),
        agents(("stays", 0.0, 0.0, 0.0, 0.0), ("gap", 0.0, 9.0, 0.0, 0.0)),
        agents(("stays", 0.0, 0.0, 0.0, 0.0)),
        agents(("stays", 0.0, 0.0, 0.0, 0.0), ("gap", 10.0, 9.0, 0.0, 0.0)),
        agents(("stays", 0.0, 0.0, 0.0, 0.0)),
    ]
    sample, box = rows_of(tracks_of(frames), "gap")
    assert sample.tolist() == list(range(5, 16))
    np.testing.assert_allclose(box[:, 0], np.linspace(0, 10, 11))


def test_a_track_seen_once_stands_still_in_all_samples():
    frames = [Agents.empty(), agents(("once", 3.0, 4.0, 0.5, 6.0)), Agents.empty()]
    sample, box = rows_of(tracks_of(frames), "once")
    assert sample.tolist() == list(range(11))
    assert (box == box[0]).all()


def test_size_and_category_are_those_of_the_first_sighting():
    first = agents(("thing", 0.0, 0.0, 0.0, 0.0))
    later = agents(("thing", 0.0, 0.0, 0.0, 0.0), category=AgentCategory.PEDESTRIAN)
    later.box[:, 3] = 9.0
    tracks = tracks_of([first, later])
    assert tracks.category.tolist() == [AgentCategory.VEHICLE]
    assert (tracks.box[:, 3] == 4.0).all()


def test_rows_are_ordered_by_category_then_by_first_appearance():
    walker = agents(("walker", 0.0, 0.0, 0.0, 1.0), category=AgentCategory.PEDESTRIAN)
    both = Agents(
        ("walker", "late_car"),
        np.array([AgentCategory.PEDESTRIAN, AgentCategory.VEHICLE]),
        np.zeros((2, 6)),
        np.zeros((2, 2)),
        np.zeros(2),
    )
    tracks = tracks_of([walker, both, both])
    last = slice(tracks.frame_offset[-2], tracks.frame_offset[-1])
    assert [tracks.tokens[i] for i in tracks.track[last]] == ["late_car", "walker"]


def test_static_objects_have_no_velocity_even_if_the_log_says_nan():
    cone = agents(("cone", 0.0, 0.0, 0.0, 0.0), category=AgentCategory.TRAFFIC_CONE)
    cone.velocity[:] = np.nan
    assert (tracks_of([cone, cone]).velocity == 0).all()


def test_no_agents_give_empty_samples():
    tracks = tracks_of([Agents.empty()] * 11)
    assert tracks.frame_offset.tolist() == [0] * 52


def test_a_velocity_that_is_not_a_number_is_refused_by_track_name():
    car = agents(("car7", 0.0, 0.0, 0.0, 1.0))
    car.velocity[0, 1] = np.nan
    with pytest.raises(OpenPairError, match=r"scene x.*velocity of track car7 is not finite"):
        collect_sightings([car], where="scene x")


def test_a_track_that_appears_twice_in_a_frame_is_refused():
    with pytest.raises(OpenPairError, match="car appears twice"):
        collect_sightings([agents(("car", 0.0, 0.0, 0.0, 1.0), ("car", 5.0, 0.0, 0.0, 1.0))])
