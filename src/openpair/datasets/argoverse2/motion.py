"""Ego states and agents at the sweeps of a log: poses as recorded, velocities from fits."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.argoverse2.log_files import LogFiles
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.ego import EgoState
from openpair.errors import OpenPairError

FIT_HALF_WINDOW_NS: Final = 250_000_000
"""Velocities are fitted to what was recorded within 0.25 s before and after."""

STATIONARY_RANGE_M: Final = 0.3
"""A road user whose x and y both vary by less than this over the log stands still."""

_EGO: Final = "EGO_VEHICLE"
_CATEGORIES: Final = {
    **dict.fromkeys(
        (
            "REGULAR_VEHICLE", "LARGE_VEHICLE", "BUS", "BOX_TRUCK", "TRUCK", "TRUCK_CAB", "VEHICULAR_TRAILER",
            "SCHOOL_BUS", "ARTICULATED_BUS", "MESSAGE_BOARD_TRAILER", "TRAFFIC_LIGHT_TRAILER", "RAILED_VEHICLE",
        ),
        AgentCategory.VEHICLE,
    ),
    **dict.fromkeys(
        ("BICYCLE", "MOTORCYCLE", "WHEELED_DEVICE", "WHEELED_RIDER", "BICYCLIST", "MOTORCYCLIST"), AgentCategory.BICYCLE
    ),
    **dict.fromkeys(("PEDESTRIAN", "STROLLER", "WHEELCHAIR", "OFFICIAL_SIGNALER"), AgentCategory.PEDESTRIAN),
    "CONSTRUCTION_CONE": AgentCategory.TRAFFIC_CONE,
    "CONSTRUCTION_BARREL": AgentCategory.BARRIER,
    "MOBILE_PEDESTRIAN_SIGN": AgentCategory.CZONE_SIGN,
}  # fmt: skip
"""Argoverse's names in NAVSIM's terms; every other name (bollards, signs, dogs) is a generic object."""


def category_of(argoverse_name: str) -> AgentCategory:
    """NAVSIM's category of an Argoverse name."""
    return _CATEGORIES.get(argoverse_name, AgentCategory.GENERIC_OBJECT)


def sweep_ego_rows(log: LogFiles) -> NDArray[np.int64]:
    """(S,) index into the ego poses of each sweep."""
    return np.searchsorted(log.ego.time_ns, log.sweeps_ns)


def ego_poses(log: LogFiles) -> NDArray[np.float64]:
    """(S, 3) x [m], y [m], heading [rad] of the rear axle at each sweep, city frame."""
    rows = sweep_ego_rows(log)
    rotation = log.ego.rotation[rows]
    heading = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    return np.column_stack([log.ego.translation[rows, :2], heading])


def ego_state(log: LogFiles, sweep: int) -> EgoState:
    """The ego at a sweep.

    Velocity and acceleration are those of parabolas fitted to x and y of the recorded poses within
    :data:`FIT_HALF_WINDOW_NS`, turned into ego axes. The time stamp is cut to whole microseconds.
    """
    time = log.sweeps_ns[sweep]
    row = np.searchsorted(log.ego.time_ns, time)
    near = np.abs(log.ego.time_ns - time) <= FIT_HALF_WINDOW_NS
    dt = (log.ego.time_ns[near] - time) * 1e-9
    if len(np.unique(dt)) < 3:
        raise OpenPairError(f"sweep {sweep} has too few ego poses around it for a velocity", where=log.folder)
    basis = np.column_stack([np.ones_like(dt), dt, dt * dt])
    _, velocity, half_acceleration = np.linalg.lstsq(basis, log.ego.translation[near, :2], rcond=None)[0]
    rotation = log.ego.rotation[row]
    heading = np.arctan2(rotation[1, 0], rotation[0, 0])
    cos, sin = np.cos(heading), np.sin(heading)
    to_ego = np.array([[cos, sin], [-sin, cos]])
    return EgoState(
        timestamp_us=int(time) // 1000,
        pose=np.array([*log.ego.translation[row, :2], heading]),
        velocity=to_ego @ velocity,
        acceleration=to_ego @ (2 * half_acceleration),
    )


def highest_speed(log: LogFiles) -> float:
    """Highest fitted speed of the ego over all sweeps [m/s]."""
    return max(float(np.hypot(*ego_state(log, sweep).velocity)) for sweep in range(len(log.sweeps_ns)))


class AgentTracks:
    """All boxes of a log in the city frame, with velocities on demand.

    Boxes are moved by the ego's full rotation; their heading is the yaw of the result. Agents of a frame come in the
    order in which their tracks first appear in the file. The ego's own box is left out.
    """

    def __init__(self, log: LogFiles) -> None:
        boxes = log.annotations
        keep = boxes.category != _EGO
        sweep = np.searchsorted(log.sweeps_ns, boxes.time_ns[keep])
        ego_row = sweep_ego_rows(log)[sweep]
        to_city = log.ego.rotation[ego_row]
        center = np.einsum("nij,nj->ni", to_city, boxes.translation[keep]) + log.ego.translation[ego_row]
        rotation = np.einsum("nij,njk->nik", to_city, boxes.rotation[keep])
        tokens, first, track = np.unique(boxes.track[keep], return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")
        order = np.lexsort([rank[track], sweep])
        kind_of_name = {name: int(category_of(str(name))) for name in np.unique(boxes.category)}

        self.sweeps_ns = log.sweeps_ns
        self.tokens = tokens
        self.sweep = sweep[order]
        self.track = track[order]
        self.time_ns = boxes.time_ns[keep][order]
        self.category = np.array([kind_of_name[name] for name in boxes.category[keep]], dtype=np.int64)[order]
        self.center = center[order, :2]
        self.heading = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])[order]
        self.size = boxes.size[keep][order]
        self.stationary = self._stationary()
        self._rows_of_track = np.argsort(self.track, kind="stable")
        self._track_offset = np.searchsorted(self.track[self._rows_of_track], np.arange(len(tokens) + 1))

    def at(self, sweep: int) -> Agents:
        """Agents of a sweep. They stand on a flat ground, the sensors' model of the road."""
        begin, end = np.searchsorted(self.sweep, [sweep, sweep + 1])
        rows = np.arange(begin, end)
        return Agents(
            track_tokens=tuple(str(token) for token in self.tokens[self.track[rows]]),
            category=self.category[rows],
            box=np.column_stack([self.center[rows], self.heading[rows], self.size[rows]]),
            velocity=np.array([self._velocity(row) for row in rows]).reshape(len(rows), 2),
            center_z=self.size[rows, 2] / 2,
        )

    def _velocity(self, row: int) -> NDArray[np.float64]:
        """(2,) slope of straight lines through x and y of the track nearby; 0 for objects and what stands still."""
        track = self.track[row]
        if AgentCategory(self.category[row]).is_static or self.stationary[track]:
            return np.zeros(2)
        rows = self._rows_of_track[self._track_offset[track] : self._track_offset[track + 1]]
        rows = rows[np.abs(self.time_ns[rows] - self.time_ns[row]) <= FIT_HALF_WINDOW_NS]
        if len(rows) < 2:
            return np.zeros(2)
        dt = (self.time_ns[rows] - self.time_ns[row]) * 1e-9
        dt = dt - dt.mean()
        return np.asarray(dt @ (self.center[rows] - self.center[row]) / (dt @ dt))

    def _stationary(self) -> NDArray[np.bool_]:
        low = np.full((len(self.tokens), 2), np.inf)
        high = np.full((len(self.tokens), 2), -np.inf)
        np.minimum.at(low, self.track, self.center)
        np.maximum.at(high, self.track, self.center)
        return ((high - low) < STATIONARY_RANGE_M).all(axis=1)
