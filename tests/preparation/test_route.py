"""Route correction on towns small enough to check by hand."""

import numpy as np
import pytest
from small_town import block, lane, straight_town

from openpair.datatypes.road_map import RoadMap
from openpair.errors import OpenPairError
from openpair.preparation.block_search import shortest_block_path
from openpair.preparation.map_index import map_index
from openpair.preparation.route import correct_route


def corrected(pose, route, town=None):
    return correct_route(map_index(town or straight_town()), np.array(pose), route)


def test_a_good_route_stays_as_it_is():
    assert corrected((10.0, 0.0, 0.0), ["A", "AB", "B"]) == ("A", "AB", "B")


def test_repeated_ids_count_once():
    assert corrected((10.0, 0.0, 0.0), ["A", "AB", "AB", "B", "B"]) == ("A", "AB", "B")


def test_a_route_that_starts_ahead_of_the_ego_is_joined_backward():
    assert corrected((10.0, 0.0, 0.0), ["B"]) == ("A", "AB", "B")


def test_a_missing_connector_is_filled_in():
    assert corrected((10.0, 0.0, 0.0), ["A", "B"]) == ("A", "AB", "B")


def test_a_start_that_cannot_be_joined_leaves_the_route_alone():
    assert corrected((100.0, 30.0, np.pi), ["A", "AB", "B"]) == ("A", "AB", "B")


def test_an_ego_away_from_all_blocks_takes_the_nearest():
    assert corrected((30.0, 60.0, np.pi), ["AB", "B"]) == ("AB", "B")


def test_an_empty_route_is_refused():
    with pytest.raises(OpenPairError, match="scene s: the route is empty"):
        correct_route(map_index(straight_town()), np.zeros(3), [], where="scene s")


def test_an_unknown_block_is_refused_by_name():
    with pytest.raises(OpenPairError, match=r"scene s.*roadblock Q.*map straight"):
        correct_route(map_index(straight_town()), np.zeros(3), ["A", "Q"], where="scene s")


def test_a_route_ends_before_the_connector_that_crosses_an_earlier_one():
    one = lane("one", "X1", [(0, 0), (20, 0)], is_connector=True)
    two = lane("two", "X2", [(10, -10), (10, 10)], is_connector=True)
    start = lane("start", "S", [(-20, 0), (0, 0)])
    between = lane("between", "M", [(20, 0), (40, 0), (40, -30), (10, -30), (10, -10)])
    end = lane("end", "E", [(10, 10), (10, 40)])
    lanes = [start, between, end, one, two]
    town = RoadMap(
        "ring",
        {each.id: each for each in lanes},
        {
            "S": block("S", [start], outgoing=("X1",)),
            "M": block("M", [between], incoming=("X1",), outgoing=("X2",)),
            "E": block("E", [end], incoming=("X2",)),
            "X1": block("X1", [one], is_connector=True, incoming=("S",), outgoing=("M",)),
            "X2": block("X2", [two], is_connector=True, incoming=("M",), outgoing=("E",)),
        },
    )
    assert corrected((-10.0, 0.0, 0.0), ["S", "X1", "M", "X2", "E"], town) == ("S", "X1", "M")


def exponential_search(start, targets, neighbors, max_blocks):
    """The rule as the specification states it: a queue without a visited set, the last parent written wins."""
    queue, parent, depth = [start], {}, 1
    while queue and depth <= max_blocks:
        for node in queue:
            if node in targets:
                path = [node]
                for level in range(depth, 1, -1):
                    path.append(parent[(path[-1], level)])
                return tuple(reversed(path))
        following = []
        for node in queue:
            for child in neighbors(node):
                following.append(child)
                parent[(child, depth + 1)] = node
        queue, depth = following, depth + 1
    return None


def test_block_search_equals_the_search_without_a_visited_set():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(300):
        names = [str(i) for i in range(7)]
        graph = {n: [str(i) for i in rng.permutation(7)[: rng.integers(0, 4)]] for n in names}
        targets = {str(i) for i in rng.integers(0, 7, 2)}
        expected = exponential_search("0", targets, graph.__getitem__, 6)
        assert shortest_block_path("0", targets, graph.__getitem__, 6) == expected
        found += expected is not None
    assert found > 100
