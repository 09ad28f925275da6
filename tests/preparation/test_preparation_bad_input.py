"""What cannot be prepared is refused with a sentence that names scene and cause."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, Polygon
from small_town import agents, drive, straight_town

from openpair.datatypes.columns import Protocol
from openpair.datatypes.road_map import RoadMap
from openpair.errors import OpenPairError
from openpair.preparation.map_index import map_index
from openpair.preparation.prepare import pdm_closed_plan, prepare_scene

SCENE = r"scene 0000000000000003 of log toy_log"


def refused(scene, match, protocol=Protocol.V1_1):
    with pytest.raises(OpenPairError, match=match):
        prepare_scene(scene, protocol)


def lost_polygon():
    """A polygon with a corner nowhere."""
    with np.errstate(invalid="ignore"):
        return Polygon([(0, 0), (10, 0), (np.nan, 5)])


def with_lane(town, lane_id, **changes):
    return replace(town, lanes={**town.lanes, lane_id: replace(town.lanes[lane_id], **changes)})


def test_a_whole_scene_of_the_small_town_can_be_prepared():
    scene = drive(straight_town(), others=agents(("car", 60.0, 0.0, 0.0, 5.0)), red=("ab0",))
    prepared = prepare_scene(scene, Protocol.V2_2)
    assert prepared.drivable_map.tokens == ("A", "B", "N", "a0", "a1", "b0", "b1", "n0", "ab0", "ab1", "I")
    assert prepared.red_lights.tokens == ("ab0",)
    assert prepared.reference_states.shape == (51, 11)
    assert prepared.centerline[-1].tolist() == [200.0, 0.0, 0.0]


def test_an_empty_route():
    refused(drive(straight_town(), route=()), SCENE + ".*route is empty")


def test_a_route_the_map_does_not_know():
    refused(drive(straight_town(), route=("A", "nowhere")), SCENE + ".*roadblock nowhere")


def test_an_ego_far_from_every_lane():
    refused(drive(straight_town(), start=(9000.0, 0.0, 0.0)), SCENE + ".*nothing drivable within 100 m")


def test_an_ego_that_is_not_a_number():
    refused(drive(straight_town(), start=(np.nan, 0.0, 0.0)), SCENE + ".*ego state of frame .* is not finite")


def test_a_velocity_that_is_not_a_number():
    car = agents(("car", 60.0, 0.0, 0.0, 5.0))
    car.velocity[0, 0] = np.nan
    refused(drive(straight_town(), others=car), SCENE + ".*velocity of track car")
    with pytest.raises(OpenPairError, match=SCENE + ".*velocity of track car"):
        pdm_closed_plan(drive(straight_town(), others=car))


def test_too_few_frames():
    scene = drive(straight_town())
    refused(replace(scene, frames=scene.frames[:-1]), SCENE + ".*9 frames after the current one.*v1.1 needs 10")
    late = replace(scene, frames=scene.frames[1:], current_index=2)
    refused(late, SCENE + ".*3 frames up to the current one", Protocol.V2_2)


def test_a_map_without_roadblocks():
    town = straight_town()
    refused(drive(RoadMap("bare", town.lanes, {})), "map bare: the map has no roadblocks or no lanes")


def test_a_roadblock_that_names_a_lane_the_map_lacks():
    town = straight_town()
    lanes = {lane_id: lane for lane_id, lane in town.lanes.items() if lane_id != "b1"}
    refused(drive(replace(town, lanes=lanes)), "roadblock B names lane b1")


@pytest.mark.parametrize(
    ("surface", "reason"),
    [
        (Polygon([(0, 0), (10, 0), (20, 0)]), "has no area"),
        (Polygon(), "is empty"),
        (MultiPolygon([Polygon([(0, 0), (1, 0), (1, 1)])]), "is a MultiPolygon"),
        (lost_polygon(), "not finite"),
    ],
)
def test_a_degenerate_lane_polygon(surface, reason):
    refused(drive(with_lane(straight_town(), "b1", polygon=surface)), SCENE + f".*lane b1 of map straight.*{reason}")


def test_a_roadblock_whose_place_is_unknown():
    town = straight_town()
    lost = replace(town.roadblocks["B"], polygon=lost_polygon())
    refused(drive(replace(town, roadblocks={**town.roadblocks, "B": lost})), "map straight: roadblock B .*not finite")


def test_a_lane_without_a_line():
    town = with_lane(straight_town(), "b1", baseline=np.zeros((1, 3)))
    refused(drive(town), SCENE + ".*lane b1 of map straight has a baseline with fewer than two points")


def test_carried_exemptions_take_a_track_out_of_later_scenes_only_if_asked_for():
    overlapping = drive(straight_town(), others=agents(("thing", 12.0, 0.0, 0.0, 0.0)))
    later = drive(straight_town(), others=agents(("thing", 40.0, 0.0, 0.0, 0.0)))
    fresh = prepare_scene(later, Protocol.V1_1).reference_states
    carried: set[str] = set()
    prepare_scene(overlapping, Protocol.V1_1, carried_exemptions=carried)
    assert carried == {"thing"}
    assert prepare_scene(later, Protocol.V1_1, carried_exemptions=carried).reference_states[50, 0] > fresh[50, 0] + 5
    np.testing.assert_array_equal(prepare_scene(later, Protocol.V1_1).reference_states, fresh)


def test_what_touches_the_ego_at_the_start_is_left_out_in_v2_only():
    scene = drive(straight_town(), others=agents(("thing", 12.0, 0.0, 0.0, 0.0), ("far", 60.0, 0.0, 0.0, 0.0)))
    assert prepare_scene(scene, Protocol.V1_1).tracks.tokens == ("thing", "far")
    assert prepare_scene(scene, Protocol.V2_2).tracks.tokens == ("far",)


def test_what_the_geometry_library_refuses_names_the_scene(monkeypatch):
    def broken(*_):
        raise shapely.errors.GEOSException("TopologyException: side location conflict")

    town = straight_town()
    back = replace(town.roadblocks["AB"], id="BA", incoming=("B",), outgoing=("A",))
    town = replace(town, roadblocks={**town.roadblocks, "BA": back})
    monkeypatch.setattr(map_index(town), "connectors_overlap", broken)
    refused(
        drive(town, route=("A", "AB", "B", "BA")),
        SCENE + ".*a polygon of map straight cannot be used .*TopologyException",
    )
