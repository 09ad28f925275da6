"""Starting lane and the way along the route."""

import numpy as np
import shapely
from small_town import block, lane, straight_town

from openpair.datatypes.road_map import RoadMap
from openpair.preparation.boxes import ego_center
from openpair.preparation.drivable import elements_around
from openpair.preparation.lane_search import find_lane_path, find_starting_lane
from openpair.preparation.map_index import map_index
from openpair.preparation.search_tree import search_order

ROUTE_LANES = ["a0", "a1", "ab0", "ab1", "b0", "b1"]


def starting_lane(pose, town=None, route_lanes=ROUTE_LANES):
    index = map_index(town or straight_town())
    rear_axle = np.array(pose)
    return find_starting_lane(index, elements_around(index, ego_center(rear_axle)), rear_axle, route_lanes)


def test_the_lane_under_the_rear_axle_is_the_starting_lane():
    assert starting_lane((10.0, -4.5, 0.0)) == "a1"


def test_of_two_lanes_on_top_of_each_other_the_better_aligned_wins():
    town = straight_town()
    slanted = lane("slanted", "A", [(0, -3), (50, 3)])
    lanes = {"slanted": slanted, **town.lanes}
    blocks = {**town.roadblocks, "A": block("A", [slanted, town.lanes["a0"], town.lanes["a1"]], outgoing=("AB",))}
    town = RoadMap("slanted", lanes, blocks)
    assert starting_lane((25.0, 0.0, 0.0), town, ["slanted", *ROUTE_LANES]) == "a0"
    assert starting_lane((25.0, 0.0, 0.12), town, ["slanted", *ROUTE_LANES]) == "slanted"


def test_off_the_route_the_nearest_route_lane_is_taken():
    assert starting_lane((100.0, 10.0, 0.0)) == "b0"


def test_the_path_follows_the_lane_graph_to_the_last_block():
    index = map_index(straight_town())
    assert find_lane_path(index, "a1", ("A", "AB", "B"), ROUTE_LANES) == ["a1", "ab1", "b1"]


def test_where_the_target_cannot_be_reached_the_deepest_lane_ends_the_path():
    index = map_index(straight_town())
    lanes = [i for i in ROUTE_LANES if i != "b1"]
    assert find_lane_path(index, "a1", ("A", "AB", "B"), lanes) == ["a1", "ab1"]


def test_search_order_of_ten_or_fewer_boxes_is_by_height_on_the_page():
    corner = np.array([[0.0, 5.0], [3.0, 1.0], [1.0, 9.0]])
    assert search_order(np.concatenate([corner, corner + 1], axis=1)).tolist() == [1, 0, 2]


def test_search_order_is_the_order_in_which_the_tree_library_reports():
    rng = np.random.default_rng(0)
    for count in (1, 2, 10, 11, 30, 99, 101, 137, 300):
        low = rng.normal(size=(count, 2)) * 100
        high = low + rng.random((count, 2)) * 10
        boxes = shapely.box(*low.T, *high.T)
        reported = shapely.STRtree(boxes).query(shapely.box(-1e6, -1e6, 1e6, 1e6))
        assert np.argsort(search_order(np.concatenate([low, high], axis=1))).tolist() == reported.tolist()
