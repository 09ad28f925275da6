"""What must not depend on where a town lies or in which order its scenes are prepared."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from small_town import agents, drive, straight_town

from openpair.datatypes.columns import Protocol
from openpair.preparation.prepare import prepare_scene

OFFSET = np.array([664_000.0, 3_997_000.0])


def moved_town(town):
    """The town at UTM-sized coordinates."""

    def move(polygon):
        return shapely.transform(polygon, lambda xy: xy + OFFSET)

    return replace(
        town,
        lanes={
            lane_id: replace(lane, polygon=move(lane.polygon), baseline=lane.baseline + np.append(OFFSET, 0.0))
            for lane_id, lane in town.lanes.items()
        },
        roadblocks={block_id: replace(b, polygon=move(b.polygon)) for block_id, b in town.roadblocks.items()},
        intersections={key: move(polygon) for key, polygon in town.intersections.items()},
    )


def moved_agents(others):
    box = others.box.copy()
    box[:, :2] += OFFSET
    return replace(others, box=box)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_scene_does_not_depend_on_where_its_town_lies(protocol):
    others = agents(("leader", 45.0, 0.3, 0.05, 4.0), ("aside", 20.0, -4.0, 0.0, 7.0))
    here = prepare_scene(drive(straight_town(), others=others, red=("ab1",)), protocol)
    start = (10.0 + OFFSET[0], OFFSET[1], 0.0)
    there = prepare_scene(
        drive(moved_town(straight_town()), start=start, others=moved_agents(others), red=("ab1",)), protocol
    )
    assert there.drivable_map.tokens == here.drivable_map.tokens
    np.testing.assert_array_equal(there.drivable_map.on_route, here.drivable_map.on_route)
    np.testing.assert_allclose(there.drivable_map.polygons.xy - OFFSET, here.drivable_map.polygons.xy, atol=1e-8)
    np.testing.assert_allclose(there.tracks.box[:, :2] - OFFSET, here.tracks.box[:, :2], atol=1e-8)
    there_xy = there.reference_states[:, :2] - OFFSET
    np.testing.assert_allclose(there_xy, here.reference_states[:, :2], atol=1e-6)
    assert here.reference_states[50, 0] > here.reference_states[0, 0] + 10


def test_a_scene_does_not_depend_on_what_was_prepared_before_it():
    town = straight_town()
    wanted = drive(town, others=agents(("car", 40.0, 0.0, 0.0, 2.0)))
    alone = prepare_scene(wanted, Protocol.V2_2)
    prepare_scene(drive(town, others=agents(("car", 12.0, 0.0, 0.0, 2.0)), route=("B",)), Protocol.V1_1)
    again = prepare_scene(wanted, Protocol.V2_2)
    np.testing.assert_array_equal(alone.reference_states, again.reference_states)
    np.testing.assert_array_equal(alone.tracks.box, again.tracks.box)
