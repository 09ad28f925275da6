"""Traffic that answers the ego for a whole drive.

Vehicles drive on rails with the Intelligent Driver Model, as NAVSIM v2.2's reactive traffic
(:mod:`openpair.simulation.reactive_traffic`) does for 4 s. What differs, since a drive is longer:

- a rail goes on from lane to lane, so that nobody stops where a lane ends; who leaves the map is gone;
- vehicles stop at red lights, unless a light turns red when they cannot stop any more;
- they keep clear of pedestrians and bicycles, too;
- vehicles that come into the log later join when there is room;
- the ego's box is where the ego is, headings are compared as angles.

Everyone else is replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex, StateIndex
from openpair.driving.rail_route import RailRoute, rail_route
from openpair.driving.recording import START_STEP, Recording, joined, kept
from openpair.driving.road import road_of
from openpair.geometry.poses import wrap_angle
from openpair.preparation.boxes import ego_center
from openpair.preparation.map_index import map_index
from openpair.simulation.rails import RailPath
from openpair.simulation.reactive_traffic import (
    EGO,
    FREE_SPEED_MPS,
    RADIUS_M,
    SNAP_DISTANCE_M,
    RailVehicle,
    box_polygon,
    nearest_on_way,
)
from openpair.simulation.reference import STEP_S

LOOK_AHEAD_M = 60.0
MAX_STOPPING_MPS2 = 3.0
"""A vehicle that would have to brake harder for a light that turns red drives on."""

FREE_GAP_M = 1000.0


@dataclass
class RouteVehicle(RailVehicle):
    """A vehicle whose rail goes on over several lanes.

    Attributes:
        route: its lanes.
        height, center_z: of its box [m].
        runs: the connector whose red light came too late to stop; "" for none.
        sees: the connector whose red light it has decided about; "" for none.
    """

    route: RailRoute = field(kw_only=True)
    height: float = field(kw_only=True)
    center_z: float = field(kw_only=True)
    runs: str = field(default="", kw_only=True)
    sees: str = field(default="", kw_only=True)

    def way_ahead(self) -> shapely.Polygon:
        """Surface that the vehicle sweeps in the next metres."""
        first = self.path.clamp(self.station)
        line = self.path.line_between(first, self.path.clamp(first + LOOK_AHEAD_M))
        return line.buffer(self.width / 2, cap_style="flat")

    def gap_to_red(self, red: frozenset[str]) -> float | None:
        """Distance [m] to the red light that it stops for."""
        front = self.station + self.length / 2
        found = self.route.red_stop_ahead(front, red)
        if found is None:
            self.sees = self.runs = ""
            return None
        connector, start = found
        gap = start - front
        if connector != self.sees:
            self.sees = connector
            too_late = self.speed**2 > 2 * MAX_STOPPING_MPS2 * max(gap, 1e-6)
            self.runs = connector if too_late else ""
        return None if self.runs == connector else gap

    def drive(self, leader: tuple[float, float] | None, red: frozenset[str]) -> None:
        """One step of 0.1 s. ``leader``: gap [m] and speed [m/s] of who is ahead."""
        self.lane = self.route.lane_at(self.station)
        gap, speed = leader if leader is not None else (FREE_GAP_M, self.speed)
        stop = self.gap_to_red(red)
        if stop is not None and stop < gap:
            gap, speed = stop, 0.0
        self.move(gap, speed)


class ReactiveRailTraffic:
    """Traffic of one drive.

    Args:
        recording: where everyone starts, who joins later, lights.
    """

    name: ClassVar[str] = "reactive"
    answers_ego: ClassVar[bool] = True

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._road = road_of(map_index(recording.road_map))
        self._vehicles: dict[str, RouteVehicle] = {}
        self._left: set[str] = set()
        self._beside: set[str] = set()
        self._occupied: dict[str, shapely.Geometry] = {}
        self._happened: list[Agents] = []

    def agents(self, step: int) -> Agents:
        """Everyone at a step that has been reached."""
        if step <= START_STEP:
            return self._recording.agents(step)
        return self._happened[step - START_STEP - 1]

    def advance(self, step: int, ego: NDArray[np.float64]) -> None:
        """All vehicles drive on, one after the other: each sees where those before it have gone."""
        recorded = self._moving(step)
        ego_pose = ego_center(ego[: StateIndex.HEADING + 1])
        ego_box = box_polygon(ego_pose, vehicle.LENGTH_M, vehicle.WIDTH_M)
        self._let_in(step, recorded, ego_pose, ego_box)
        self._let_out(ego_pose)
        red = self._recording.red_connectors(step)
        ego_speed = float(ego[StateIndex.VELOCITY_X])
        others = recorded.category != AgentCategory.VEHICLE
        walkers = [
            row for row in np.flatnonzero(others) if np.hypot(*(recorded.box[row, :2] - ego_pose[:2])) < RADIUS_M
        ]
        occupied = {**self._occupied, EGO: ego_box}
        motion = {EGO: (ego_speed, float(ego_pose[2]))}
        for row in walkers:
            token, box = recorded.track_tokens[row], recorded.box[row]
            occupied[token] = box_polygon(box[:3], box[BoxIndex.LENGTH], box[BoxIndex.WIDTH])
            motion[token] = (float(np.hypot(*recorded.velocity[row])), float(box[BoxIndex.HEADING]))
        for token, car in self._vehicles.items():
            name, gap = nearest_on_way(car, occupied)
            leader = None
            if name is not None:
                other = self._vehicles.get(name)
                speed, heading = (other.speed, other.pose[2]) if other is not None else motion[name]
                leader = gap, speed * float(np.cos(wrap_angle(heading - car.pose[2])))
            car.drive(leader, red)
            self._occupied[token] = occupied[token] = car.footprint()
        self._happened.append(self._observe(step + 1))

    def _moving(self, step: int) -> Agents:
        """The recorded road users of a step, without roadside objects."""
        agents = self._recording.agents(step)
        return kept(agents, np.arange(len(agents)) < len(agents) - len(self._recording.roadside))

    def _let_in(self, step: int, recorded: Agents, ego_pose: NDArray[np.float64], ego_box: shapely.Polygon) -> None:
        """Vehicles that are new join where there is room."""
        for row in np.flatnonzero(recorded.category == AgentCategory.VEHICLE):
            token, box = recorded.track_tokens[row], recorded.box[row]
            if token in self._vehicles or token in self._left or token in self._beside:
                continue
            if np.hypot(*(box[:2] - ego_pose[:2])) > RADIUS_M:
                continue
            car = self._on_rail(step, recorded, int(row))
            if car is None:
                self._beside.add(token)
            elif not shapely.intersects(car.box(), [ego_box, *(v.box() for v in self._vehicles.values())]).any():
                self._vehicles[token] = car
                self._occupied[token] = car.box()

    def _on_rail(self, step: int, recorded: Agents, row: int) -> RouteVehicle | None:
        """A recorded vehicle on the rail of its lane; None for one beside all lanes."""
        box, token = recorded.box[row], recorded.track_tokens[row]
        lane_id = self._road.lane_under(box[:3])
        if lane_id is None:
            return None
        road_map = self._recording.road_map
        seconds = STEP_S * (self._recording.last_step - step)
        way = self._recorded_way(token, step)
        route = rail_route(road_map, road_map.lanes[lane_id], way, 2 * LOOK_AHEAD_M + FREE_SPEED_MPS * 2 * seconds)
        station = _station(route.path, box[:2])
        if np.hypot(*(route.path.pose(station)[:2] - box[:2])) > SNAP_DISTANCE_M:
            return None
        return RouteVehicle(
            token=token,
            lane=route.lanes[0],
            path=route.path,
            length=float(box[BoxIndex.LENGTH]),
            width=float(box[BoxIndex.WIDTH]),
            station=station,
            speed=float(np.hypot(*recorded.velocity[row])),
            target_speed=FREE_SPEED_MPS,
            route=route,
            height=float(box[BoxIndex.HEIGHT]),
            center_z=float(recorded.center_z[row]),
        )

    def _recorded_way(self, token: str, step: int) -> NDArray[np.float64]:
        """(n, 2) recorded positions of a track from a step on."""
        frames = self._recording.frames[step // 5 :]
        rows = [
            (frame.agents, frame.agents.track_tokens.index(token))
            for frame in frames
            if token in frame.agents.track_tokens
        ]
        return np.array([agents.box[row, :2] for agents, row in rows]).reshape(-1, 2)

    def _let_out(self, ego_pose: NDArray[np.float64]) -> None:
        """Vehicles that are too far away, or at the end of the map, are gone for good."""
        for token, car in list(self._vehicles.items()):
            if car.station >= car.path.end or np.hypot(*(car.pose[:2] - ego_pose[:2])) > RADIUS_M:
                del self._vehicles[token], self._occupied[token]
                self._left.add(token)

    def _observe(self, step: int) -> Agents:
        """Vehicles on rails, then those that are replayed, then the roadside."""
        recorded = self._moving(min(step, self._recording.last_step))
        keep = [
            category != AgentCategory.VEHICLE or token in self._beside
            for token, category in zip(recorded.track_tokens, recorded.category, strict=True)
        ]
        cars = list(self._vehicles.values())
        driven = Agents(
            tuple(car.token for car in cars),
            np.full(len(cars), AgentCategory.VEHICLE, np.int64),
            np.array([[*car.pose, car.length, car.width, car.height] for car in cars]).reshape(-1, len(BoxIndex)),
            np.array([car.speed * np.array([np.cos(car.pose[2]), np.sin(car.pose[2])]) for car in cars]).reshape(-1, 2),
            np.array([car.center_z for car in cars], np.float64),
        )
        return joined(joined(driven, kept(recorded, np.array(keep, bool))), self._recording.roadside)


def _station(path: RailPath, xy: NDArray[np.float64]) -> float:
    """Station [m] of the point of the path that is nearest to (2,)."""
    line = shapely.LineString(path.xy)
    return path.clamp(path.start + float(shapely.line_locate_point(line, shapely.Point(xy))))
