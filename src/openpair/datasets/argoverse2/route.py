"""Which way the recorded ego went: lanes matched to its path, the route they make, and the driving command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.columns import DrivingCommand
from openpair.datatypes.road_map import Lane, RoadMap
from openpair.geometry.poses import global_to_local, wrap_angle

EXTENSION_M: Final = 100.0
"""The route goes on beyond the recorded drive, straight ahead, for at least this length."""

COMMAND_AHEAD_M: Final = 20.0
COMMAND_LATERAL_M: Final = 2.0
"""NAVSIM's driving command: where the route's centre line lies 20 m ahead, 2 m or more to the left or right."""

_DISTANCE_SIGMA_M: Final = 1.0
_HEADING_SIGMA_RAD: Final = np.deg2rad(15.0)
_LANE_CHANGE_COST: Final = 3.0
_JUMP_COST: Final = 60.0


@dataclass(frozen=True)
class Route:
    """The route of a log.

    Attributes:
        lane_at: (S,) lane id matched to each sweep.
        extension: lanes that follow the last matched one.
    """

    lane_at: tuple[str, ...]
    extension: tuple[str, ...]

    def lanes_from(self, sweep: int) -> tuple[str, ...]:
        """Lanes in driving order from a sweep on, consecutive repetitions left out."""
        lanes = [*self.lane_at[sweep:], *self.extension]
        return tuple(lane for i, lane in enumerate(lanes) if i == 0 or lane != lanes[i - 1])


def match_route(road_map: RoadMap, poses: NDArray[np.float64]) -> Route:
    """Match the ego's path to lanes and extend it.

    The matched sequence is the cheapest one (Viterbi): a sweep costs the squared distance from the lane's centre line
    and the squared difference of headings, each over its standard deviation; staying on a lane or going on to a
    successor is free, a change to another lane of the roadblock costs a little, anything else much.

    Args:
        road_map: the log's map.
        poses: (S, 3) x [m], y [m], heading [rad] of the rear axle at each sweep.
    """
    ids = list(road_map.lanes)
    emission = _emission_costs(road_map, poses)
    transition = _transition_costs(road_map, ids)
    cost = emission[0]
    came_from = np.zeros(emission.shape, dtype=np.int64)
    for sweep in range(1, len(poses)):
        total = cost[:, None] + transition
        came_from[sweep] = np.argmin(total, axis=0)
        cost = total[came_from[sweep], np.arange(len(ids))] + emission[sweep]
    best = [int(np.argmin(cost))]
    for sweep in range(len(poses) - 1, 0, -1):
        best.append(int(came_from[sweep, best[-1]]))
    lane_at = tuple(ids[i] for i in reversed(best))
    return Route(lane_at, _extension(road_map, lane_at[-1]))


def route_blocks(road_map: RoadMap, route: Route, sweep: int) -> tuple[str, ...]:
    """Roadblocks and connectors in driving order from a sweep on."""
    blocks = [road_map.lanes[lane].roadblock_id for lane in route.lanes_from(sweep)]
    return tuple(block for i, block in enumerate(blocks) if i == 0 or block != blocks[i - 1])


def driving_command(road_map: RoadMap, route: Route, sweep: int, pose: NDArray[np.float64]) -> NDArray[np.int64]:
    """(4,) one-hot int64: where the route's centre line lies :data:`COMMAND_AHEAD_M` ahead of the rear axle."""
    line = _centerline(road_map, route, sweep)
    start = shapely.line_locate_point(line, shapely.Point(pose[:2]))
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(line, start + COMMAND_AHEAD_M))[0]
    lateral = global_to_local(np.array([*ahead, 0.0]), pose)[1]
    command = np.zeros(len(DrivingCommand), dtype=np.int64)
    if lateral >= COMMAND_LATERAL_M:
        command[DrivingCommand.LEFT] = 1
    elif lateral <= -COMMAND_LATERAL_M:
        command[DrivingCommand.RIGHT] = 1
    else:
        command[DrivingCommand.FORWARD] = 1
    return command


def _centerline(road_map: RoadMap, route: Route, sweep: int) -> shapely.LineString:
    """Centre line along the route's blocks from the lane of a sweep on, without lane changes where graph allows."""
    lane = road_map.lanes[route.lane_at[sweep]]
    blocks = route_blocks(road_map, route, sweep)
    driven = set(route.lanes_from(sweep))
    points = [lane.baseline[:, :2]]
    for block in blocks[1:]:
        following = [road_map.lanes[key] for key in lane.outgoing if road_map.lanes[key].roadblock_id == block]
        if not following:
            break
        lane = next((other for other in following if other.id in driven), following[0])
        points.append(lane.baseline[:, :2])
    return shapely.LineString(np.vstack(points))


def _emission_costs(road_map: RoadMap, poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, L) cost of each lane at each sweep."""
    costs = np.empty((len(poses), len(road_map.lanes)))
    points = shapely.points(poses[:, :2])
    for i, lane in enumerate(road_map.lanes.values()):
        line = shapely.LineString(lane.baseline[:, :2])
        station = shapely.line_locate_point(line, points)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(lane.baseline[:, :2], axis=0).T))])
        segment = np.clip(np.searchsorted(along, station, side="right") - 1, 0, len(along) - 2)
        turn = wrap_angle(lane.baseline[segment, 2] - poses[:, 2])
        distance = shapely.distance(line, points)
        costs[:, i] = (distance / _DISTANCE_SIGMA_M) ** 2 + (turn / _HEADING_SIGMA_RAD) ** 2
    return costs / 2


def _transition_costs(road_map: RoadMap, ids: list[str]) -> NDArray[np.float64]:
    """(L, L) cost of going from a lane (row) to another between two sweeps."""
    index = {lane: i for i, lane in enumerate(ids)}
    costs = np.full((len(ids), len(ids)), _JUMP_COST)
    for block in road_map.roadblocks.values():
        rows = [index[lane] for lane in block.lane_ids]
        costs[np.ix_(rows, rows)] = _LANE_CHANGE_COST
    for lane in road_map.lanes.values():
        costs[index[lane.id], [index[other] for other in lane.outgoing]] = 0.0
    np.fill_diagonal(costs, 0.0)
    return costs


def _extension(road_map: RoadMap, last: str) -> tuple[str, ...]:
    """Lanes after the last matched one, each the straightest successor, until they are long enough."""
    lane, length, lanes = road_map.lanes[last], 0.0, []
    while length < EXTENSION_M:
        following = [road_map.lanes[key] for key in lane.outgoing if key not in lanes and key != last]
        if not following:
            break
        lane = min(following, key=_turn)
        lanes.append(lane.id)
        length += float(np.hypot(*np.diff(lane.baseline[:, :2], axis=0).T).sum())
    return tuple(lanes)


def _turn(lane: Lane) -> float:
    """How much a lane turns from its start to its end [rad]."""
    return float(abs(wrap_angle(np.array(lane.baseline[-1, 2] - lane.baseline[0, 2]))))
