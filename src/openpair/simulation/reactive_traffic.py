"""Reactive traffic of NAVSIM v2.2: vehicles on rails that keep their distance to each other and to the ego.

Vehicles follow the centreline of their present lane with the Intelligent Driver Model (Treiber, Hennecke, Helbing:
Congested traffic states in empirical observations and microscopic simulations, 2000). All other road users are
replayed. Oddities of the original are kept, since published scores contain them: vehicles ignore traffic lights and
stop at the end of their lane; those that leave the radius vanish; the ego's box is centred on its rear axle and lags
by one step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory, BoxIndex, StateIndex
from openpair.datatypes.road_map import Lane
from openpair.datatypes.scoring_scene import Tracks
from openpair.geometry.boxes import box_corners
from openpair.geometry.poses import wrap_angle
from openpair.simulation.rails import RailMap, RailPath
from openpair.simulation.reference import NUM_STEPS, STEP_S

FREE_SPEED_MPS: Final = 10.0
MIN_GAP_M: Final = 1.0
HEADWAY_S: Final = 1.5
MAX_ACCELERATION: Final = 1.0
MAX_DECELERATION: Final = 2.0
EXPONENT: Final = 4
RADIUS_M: Final = 100.0
"""Vehicles farther from the ego are dropped for good."""

SNAP_DISTANCE_M: Final = 3.0
"""Vehicles farther from their lane's centreline than this are not driven; they stand where they are."""

STANDING_MPS: Final = 0.1
SIMPLIFY_M: Final = 1e-5
EGO: Final = "ego"


@dataclass
class RailVehicle:
    """A vehicle on a rail.

    Attributes:
        token: its track.
        lane: the lane it follows.
        path: that lane's centreline.
        length, width: of its box [m].
        station: along the path [m]; may run past the end, where the vehicle then stands.
        speed: [m/s].
        target_speed: on a free road [m/s].
        pose: (3,) of the box centre, global frame.
    """

    token: str
    lane: Lane
    path: RailPath
    length: float
    width: float
    station: float
    speed: float
    target_speed: float
    pose: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.pose = self.path.pose(self.path.clamp(self.station))

    def box(self) -> shapely.Polygon:
        """Surface of the vehicle."""
        return box_polygon(self.pose, self.length, self.width)

    def way_ahead(self) -> shapely.Polygon:
        """Surface that the vehicle will sweep to the end of its path."""
        line = self.path.line_from(self.path.clamp(self.station))
        return line.buffer(self.width / 2, cap_style="flat")

    def footprint(self) -> shapely.Geometry:
        """What others keep clear of: the box and the way of the next 1.5 s."""
        first = self.path.clamp(self.station - self.length / 2)
        last = self.path.clamp(self.station + self.length / 2 + self.speed * HEADWAY_S)
        line = self.path.line_between(first, last)
        return shapely.union_all([line.buffer(self.width / 2, cap_style="flat"), self.box()])

    def move(self, gap_m: float, leader_speed: float) -> None:
        """Drive one step of 0.1 s behind a leader (Euler, with the old speed)."""
        if self.lane.speed_limit_mps is not None and self.lane.speed_limit_mps > 0.0:
            self.target_speed = self.lane.speed_limit_mps
        wanted = (
            MIN_GAP_M
            + self.speed * HEADWAY_S
            + self.speed * (self.speed - leader_speed) / (2 * np.sqrt(MAX_ACCELERATION * MAX_DECELERATION))
        )
        crowding = wanted / max(gap_m, MIN_GAP_M)
        wish = MAX_ACCELERATION * (1 - (self.speed / self.target_speed) ** EXPONENT - crowding**2)
        self.station += STEP_S * self.speed
        self.speed = max(self.speed + STEP_S * min(max(-MAX_DECELERATION, wish), MAX_ACCELERATION), 0.0)
        self.pose = self.path.pose(self.path.clamp(self.station))


class ReactiveTraffic:
    """The vehicles around one ego, before anything has moved.

    Args:
        rails: of the town.
        agents: of the current frame, global frame.
        ego_center: (3,) pose of the centre of the ego's box now.
    """

    def __init__(self, rails: RailMap, agents: Agents, ego_center: NDArray[np.float64]) -> None:
        self._rails = rails
        self._rows = np.flatnonzero(agents.category == AgentCategory.VEHICLE)
        self._agents = agents
        self._boxes = {
            int(row): box_polygon(
                agents.box[row, :3], agents.box[row, BoxIndex.LENGTH], agents.box[row, BoxIndex.WIDTH]
            )
            for row in self._rows
        }
        self._lanes = {int(row): rails.lane_of(agents.box[row, :3]) for row in self._rows}
        self._may_stand = {int(row): self._stands_where_it_is(int(row)) for row in self._rows}
        self._start = self._put_on_rails(box_polygon(ego_center, vehicle.LENGTH_M, vehicle.WIDTH_M))

    def _put_on_rails(self, ego_box: shapely.Polygon) -> list[RailVehicle]:
        """Vehicles that a lane takes, in the frame's order; whoever would overlap an earlier one or the ego is out."""
        taken = [ego_box]
        vehicles = []
        target_speed = FREE_SPEED_MPS
        for row in self._rows.tolist():
            lane = self._lanes[row]
            if lane is None or self._offset(row, lane) > SNAP_DISTANCE_M:
                continue
            box = self._agents.box[row]
            snapped = box_polygon(self._rails.nearest_pose(lane, box[:2]), box[BoxIndex.LENGTH], box[BoxIndex.WIDTH])
            if shapely.intersects(snapped, taken).any():
                continue
            taken.append(snapped)
            target_speed = lane.speed_limit_mps or target_speed  # without a limit: that of the vehicle before
            vehicles.append(
                RailVehicle(
                    token=self._agents.track_tokens[row],
                    lane=lane,
                    path=self._rails.path(lane),
                    length=float(box[BoxIndex.LENGTH]),
                    width=float(box[BoxIndex.WIDTH]),
                    station=self._rails.station(lane, box[:2]),
                    speed=float(np.hypot(*self._agents.velocity[row])),
                    target_speed=target_speed,
                )
            )
        self._snapped = dict(zip([v.token for v in vehicles], taken[1:], strict=True))
        return vehicles

    def _offset(self, row: int, lane: Lane) -> float:
        """Distance [m] of a vehicle from its lane's centreline."""
        center = self._agents.box[row, :2]
        return float(np.hypot(*(self._rails.nearest_pose(lane, center)[:2] - center)))

    def _stands_where_it_is(self, row: int) -> bool:
        """True for a vehicle that stays in the scene, motionless, while it is not driven: parked or beside a lane."""
        speed = float(np.hypot(*self._agents.velocity[row]))
        lane = self._lanes[row]
        parked = speed < STANDING_MPS and not self._rails.on_road(self._agents.box[row, :2])
        return parked or (lane is not None and self._offset(row, lane) > SNAP_DISTANCE_M)

    def drive(self, ego_states: NDArray[np.float64]) -> list[dict[int, NDArray[np.float64]]]:
        """How the traffic answers an ego's drive.

        Args:
            ego_states: (41, 11) simulated states, global frame.

        Returns:
            For steps 1 .. 40: row of each vehicle present in the current frame's agents -> (5,) x [m], y [m],
            heading [rad], velocity x, y [m/s], global frame.
        """
        row_of = {self._agents.track_tokens[row]: int(row) for row in self._rows}
        vehicles = {
            v.token: RailVehicle(v.token, v.lane, v.path, v.length, v.width, v.station, v.speed, v.target_speed)
            for v in self._start
        }
        occupied: dict[str, shapely.Geometry] = {
            token: shapely.simplify(box, SIMPLIFY_M, preserve_topology=True) for token, box in self._snapped.items()
        }
        steps = []
        for step in range(1, NUM_STEPS):
            self._move_all(vehicles, occupied, ego_states[step - 1])
            steps.append(self._observe(vehicles, row_of))
        return steps

    def _move_all(
        self, vehicles: dict[str, RailVehicle], occupied: dict[str, shapely.Geometry], ego: NDArray[np.float64]
    ) -> None:
        """One step of all vehicles, one after the other: each sees where those before it have gone."""
        rear_axle = ego[: StateIndex.HEADING + 1]
        ego_box = box_polygon(rear_axle, vehicle.LENGTH_M, vehicle.WIDTH_M)
        occupied[EGO] = shapely.simplify(ego_box, SIMPLIFY_M, preserve_topology=True)
        for token in [t for t, v in vehicles.items() if np.hypot(*(v.pose[:2] - rear_axle[:2])) > RADIUS_M]:
            del vehicles[token], occupied[token]
        ego_speed = float(np.hypot(ego[StateIndex.VELOCITY_X], ego[StateIndex.VELOCITY_Y]))
        for token, car in vehicles.items():
            leader, gap_m = nearest_on_way(car, occupied)
            if leader is None:
                car.move(car.path.end - car.station - car.length / 2, 0.0)
            else:
                speed, heading = (
                    (ego_speed, ego[StateIndex.HEADING])
                    if leader == EGO
                    else (vehicles[leader].speed, vehicles[leader].pose[2])
                )
                car.move(gap_m, speed * float(np.cos(wrap_angle(heading - car.pose[2]))))
            occupied[token] = shapely.simplify(car.footprint(), SIMPLIFY_M, preserve_topology=True)

    def _observe(self, vehicles: dict[str, RailVehicle], row_of: dict[str, int]) -> dict[int, NDArray[np.float64]]:
        """Where everyone is: driven vehicles, then standing ones that overlap none of those listed so far."""
        seen = {}
        surfaces = []
        for token, car in vehicles.items():
            heading = car.pose[2]
            velocity = car.speed * np.cos(heading), car.speed * np.sin(heading)
            seen[row_of[token]] = np.array([*car.pose, *velocity])
            surfaces.append(car.box())
        for row in self._rows.tolist():
            if self._agents.track_tokens[row] in vehicles or not self._may_stand[row]:
                continue
            if surfaces and shapely.intersects(self._boxes[row], surfaces).any():
                continue
            surfaces.append(self._boxes[row])
            seen[row] = np.array([*self._agents.box[row, :3], *self._agents.velocity[row]])
        return seen


def reactive_tracks(
    traffic: ReactiveTraffic, agents: Agents, replay: Tracks, ego_states: NDArray[np.float64]
) -> Tracks:
    """Tracks at 10 Hz in which vehicles answer the ego and everything else is replayed.

    Args:
        traffic: made from ``agents``.
        agents: of the current frame; sample 0 shows all of them.
        replay: the log replayed, whole (tracks that touch the ego included), 41 samples.
        ego_states: (41, 11) simulated states, global frame.

    Returns:
        41 samples; tracks in the order of ``replay``. Vehicles that come into the log later are left out.
    """
    track_of = {token: number for number, token in enumerate(replay.tokens)}
    track_of_row = {row: track_of[token] for row, token in enumerate(agents.track_tokens)}
    size = agents.box[:, BoxIndex.LENGTH :]
    is_vehicle = replay.category == AgentCategory.VEHICLE
    answers = traffic.drive(ego_states)
    tracks, boxes, velocities = [], [], []
    for sample in range(NUM_STEPS):
        rows = slice(int(replay.frame_offset[sample]), int(replay.frame_offset[sample + 1]))
        track, box, velocity = replay.track[rows], replay.box[rows], replay.velocity[rows]
        if sample == 0:
            # Tracks that the log shows once only are replayed in all samples; now there is what there is now.
            now = np.isin(track, list(track_of_row.values()))
            track, box, velocity = track[now], box[now], velocity[now]
        else:
            kept = ~is_vehicle[track]
            answer = answers[sample - 1]
            own = list(answer)
            motion = np.array([answer[row] for row in own]).reshape(-1, 5)
            track = np.concatenate([np.array([track_of_row[row] for row in own], np.int64), track[kept]])
            box = np.concatenate([np.concatenate([motion[:, :3], size[own]], axis=1), box[kept]])
            velocity = np.concatenate([motion[:, 3:], velocity[kept]])
        order = np.argsort(track, kind="stable")
        tracks.append(track[order])
        boxes.append(box[order])
        velocities.append(velocity[order])
    offset = np.cumsum([0, *(len(track) for track in tracks)]).astype(np.int64)
    return Tracks(
        replay.tokens,
        replay.category,
        offset,
        np.concatenate(tracks),
        np.concatenate(boxes),
        np.concatenate(velocities),
    )


def nearest_on_way(car: RailVehicle, occupied: dict[str, shapely.Geometry]) -> tuple[str | None, float]:
    """Who stands or drives on a vehicle's way, nearest to its own footprint, and how far off [m]."""
    names = list(occupied)
    surfaces = np.array(list(occupied.values()), dtype=object)
    own = names.index(car.token)
    way = car.way_ahead()
    shapely.prepare(way)
    on_way = shapely.intersects(way, surfaces)
    on_way[own] = False
    if not on_way.any():
        return None, 0.0
    candidates = np.flatnonzero(on_way)
    distances = shapely.distance(surfaces[own], surfaces[candidates])
    nearest = candidates[distances == distances.min()]
    if len(nearest) > 1:  # several overlap: the original takes the one that its search tree finds first
        found = shapely.STRtree(surfaces).query(way)
        candidates = found[on_way[found]]
        nearest = candidates[[int(shapely.STRtree(surfaces[candidates]).nearest(surfaces[own]))]]
    return names[int(nearest[0])], float(distances.min())


def box_polygon(pose: NDArray[np.float64], length: float, width: float) -> shapely.Polygon:
    """Box around a centre pose (3,)."""
    corners = box_corners(pose[0], pose[1], pose[2], float(length), float(width))
    return shapely.Polygon(corners)
