"""Reactive traffic on a straight road, where every number follows by hand."""

import numpy as np
import pytest
from shapely.geometry import box

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap
from openpair.datatypes.scoring_scene import Tracks
from openpair.simulation.rails import RailMap, RailPath
from openpair.simulation.reactive_traffic import ReactiveTraffic, reactive_tracks

LIMIT_MPS = 12.0


def road(limit: float | None = LIMIT_MPS, length: float = 400.0) -> RoadMap:
    line = np.stack([np.arange(0.0, length + 1, 10.0), *np.zeros((2, int(length) // 10 + 1))], axis=1)
    surface = box(0, -2, length, 2)
    return RoadMap("straight", {"1": Lane("1", False, "b", surface, line, speed_limit_mps=limit)}, {
        "b": Roadblock("b", False, surface, ("1",))
    })  # fmt: skip


def cars(*rows: tuple[float, float, float], category: int = AgentCategory.VEHICLE) -> Agents:
    """Cars at (x, y) with a speed along the road."""
    boxes = np.array([[x, y, 0.0, 4.0, 2.0, 1.5] for x, y, _ in rows])
    velocity = np.array([[speed, 0.0] for _, _, speed in rows])
    names = tuple(f"car{i}" for i in range(len(rows)))
    return Agents(names, np.full(len(rows), category), boxes, velocity, np.zeros(len(rows)))


def standing_ego(x: float, y: float = 0.0) -> np.ndarray:
    states = np.zeros((41, 11))
    states[:, :2] = x, y
    return states


def drive(agents: Agents, ego: np.ndarray, **options) -> list[dict[int, np.ndarray]]:
    return ReactiveTraffic(RailMap(road(**options)), agents, ego[0, :3]).drive(ego)


def test_on_a_free_road_a_car_follows_the_model():
    """The end of the line (390 m: the last vertex is left out) counts as a standing leader, half a length shorter."""
    steps = drive(cars((50.0, 0.0, 8.0)), standing_ego(50.0, 60.0))
    station, speed = 50.0, 8.0
    for step in steps:
        wanted = 1.0 + 1.5 * speed + speed**2 / (2 * np.sqrt(2.0))
        acceleration = 1 - (speed / LIMIT_MPS) ** 4 - (wanted / (390.0 - station - 2.0)) ** 2
        station, speed = station + 0.1 * speed, speed + 0.1 * np.clip(acceleration, -2.0, 1.0)
        np.testing.assert_allclose(step[0], [station, 0.0, 0.0, speed, 0.0], atol=1e-12)


def test_a_car_stops_behind_a_standing_ego_and_would_have_driven_on_without():
    agents = cars((60.0, 0.0, 10.0))
    answered, ignored = drive(agents, standing_ego(90.0)), drive(agents, standing_ego(90.0, 60.0))
    rear_of_ego = 90.0 - 5.176 / 2
    assert answered[-1][0][0] + 2.0 < rear_of_ego and answered[-1][0][3] < 5.0
    assert ignored[-1][0][0] > 95.0


def test_cars_keep_behind_each_other():
    steps = drive(cars((100.0, 0.0, 0.0), (70.0, 0.0, 10.0)), standing_ego(100.0, 60.0))
    for step in steps:
        assert step[1][0] + 4.0 < step[0][0]


def test_a_car_beside_its_lane_is_put_on_it_and_one_far_off_stands():
    agents = cars((50.0, 1.5, 8.0), (100.0, 8.0, 0.0), (150.0, 8.0, 5.0))
    steps = drive(agents, standing_ego(50.0, 60.0))
    assert steps[0][0][1] == 0.0
    np.testing.assert_array_equal(steps[-1][1][:3], [100.0, 8.0, 0.0])  # parked: stands
    assert 2 not in steps[0]  # moves, but on no lane: the original forgets it


def test_who_overlaps_the_ego_or_an_earlier_car_is_out():
    steps = drive(cars((51.0, 0.0, 8.0), (100.0, 0.5, 8.0), (102.0, -0.5, 8.0)), standing_ego(50.0))
    assert set(steps[0]) == {1}


def test_who_gets_too_far_from_the_ego_vanishes_for_good():
    ego = standing_ego(50.0, 60.0)
    ego[10:20, 0] = 350.0
    steps = drive(cars((60.0, 0.0, 5.0)), ego)
    present = [0 in step for step in steps]
    assert present == [True] * 10 + [False] * 30


def test_without_a_limit_the_limit_of_the_car_before_counts():
    agents = cars((50.0, 0.0, 9.0))
    unlimited = drive(agents, standing_ego(50.0, 60.0), limit=None)
    at_ten = drive(agents, standing_ego(50.0, 60.0), limit=10.0)
    assert unlimited[-1][0][3] == at_ten[-1][0][3]


def test_a_car_at_the_end_of_its_lane_stands():
    steps = drive(cars((385.0, 0.0, 10.0)), standing_ego(385.0, 60.0))
    assert steps[-1][0][0] == 390.0


def replay_of(agents: Agents, later: Agents) -> Tracks:
    """41 samples: agents stand; a later vehicle is there in all samples but the first."""
    tokens = (*agents.track_tokens, "later", "walker")
    first = [0, 1] if len(agents) == 2 else [0]
    walker, new = len(tokens) - 1, len(tokens) - 2
    rows = [[*first, walker]] + [[*first, new, walker]] * 40
    track = np.concatenate(rows)
    everything = np.concatenate([agents.box, later.box, later.box])
    category = np.array([*agents.category, AgentCategory.VEHICLE, AgentCategory.PEDESTRIAN])
    offset = np.cumsum([0, *map(len, rows)])
    return Tracks(tokens, category, offset, track, everything[track], np.zeros((len(track), 2)))


def test_tracks_show_answers_for_vehicles_and_the_record_for_others():
    agents = cars((50.0, 0.0, 8.0))
    walker = Agents(
        ("walker",), np.array([AgentCategory.PEDESTRIAN]), cars((70.0, 9.0, 0.0)).box, np.zeros((1, 2)), np.zeros(1)
    )
    both = Agents(
        ("car0", "walker"),
        np.concatenate([agents.category, walker.category]),
        np.concatenate([agents.box, walker.box]),
        np.concatenate([agents.velocity, walker.velocity]),
        np.zeros(2),
    )
    replay = replay_of(agents, walker)
    ego = standing_ego(50.0, 60.0)
    traffic = ReactiveTraffic(RailMap(road()), both, ego[0, :3])
    tracks = reactive_tracks(traffic, both, replay, ego)
    assert np.diff(tracks.frame_offset).tolist() == [2] * 41  # the vehicle that comes later is left out
    last = slice(int(tracks.frame_offset[40]), None)
    assert [replay.tokens[i] for i in tracks.track[last]] == ["car0", "walker"]
    assert tracks.box[last][0, 0] > 80.0 and tracks.box[last][1, 0] == 70.0
    np.testing.assert_array_equal(tracks.box[0], agents.box[0])


@pytest.mark.parametrize(("station", "x"), [(0.0, 0.0), (15.0, 15.0), (20.0, 20.0)])
def test_paths_leave_out_the_last_vertex_and_doubled_ones(station, x):
    line = np.array([[0, 0, 0], [10, 0, 0], [10, 0, 0], [20, 0, 0], [30, 0, 0]], float)
    path = RailPath(line)
    assert (path.start, path.end, len(path.stations)) == (0.0, 20.0, 3)
    np.testing.assert_allclose(path.pose(station), [x, 0, 0])
    assert RailPath(line[:2]).end == 10.0
