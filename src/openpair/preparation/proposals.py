"""PDM-Closed's fifteen proposals: three parallel paths, five target speeds each, driven with IDM.

Dauner et al.: Parting with misconceptions about learning-based vehicle motion planning (2023).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes import vehicle
from openpair.datatypes.columns import BoxIndex
from openpair.preparation.boxes import ego_corners
from openpair.preparation.corridor import CorridorTraffic, driving_corridor
from openpair.preparation.forecast import STEP_S, Forecast
from openpair.preparation.idm import idm_acceleration
from openpair.preparation.path import DrivingPath, PathBundle

LATERAL_OFFSETS_M: Final = (0.0, -1.0, 1.0)
SPEED_FRACTIONS: Final = (0.2, 0.4, 0.6, 0.8, 1.0)
NUM_PROPOSALS: Final = len(LATERAL_OFFSETS_M) * len(SPEED_FRACTIONS)
PROPOSAL_STEPS: Final = 40
TRAJECTORY_STEPS: Final = 50

_X, _REAR, _SPEED = 0, 1, 2  # columns of a leader record


class ProposalRollout:
    """The fifteen proposals of one scene; index = 5 * path + speed.

    Args:
        centerline: (M, 3) global frame.
        rear_axle: (3,) ego pose.
        speed: ego longitudinal speed [m/s].
        speed_limit: of the starting lane [m/s].
        forecast: the other road users.
    """

    def __init__(
        self,
        centerline: NDArray[np.float64],
        rear_axle: NDArray[np.float64],
        speed: float,
        speed_limit: float,
        forecast: Forecast,
    ) -> None:
        center = DrivingPath(centerline)
        self.paths = [center if offset == 0 else center.offset(offset) for offset in LATERAL_OFFSETS_M]
        self.path_of = np.repeat(np.arange(len(LATERAL_OFFSETS_M)), len(SPEED_FRACTIONS))
        self.target_speed = np.tile(np.array(SPEED_FRACTIONS) * speed_limit, len(LATERAL_OFFSETS_M))
        self._bundle = PathBundle(self.paths)
        starts = [float(path.project(rear_axle[None, :2])[0]) for path in self.paths]
        top = float(self.target_speed.max())
        corridors = [driving_corridor(path, start, top) for path, start in zip(self.paths, starts, strict=True)]
        self._traffic = CorridorTraffic(forecast, self.paths, corridors, TRAJECTORY_STEPS)
        self._forecast = forecast
        self._object_speed = np.hypot(forecast.velocity[:, 0], forecast.velocity[:, 1])
        self.progress = np.zeros((NUM_PROPOSALS, TRAJECTORY_STEPS + 1))
        self.speed = np.zeros((NUM_PROPOSALS, TRAJECTORY_STEPS + 1))
        self.progress[:, 0] = np.array(starts)[self.path_of]
        self.speed[:, 0] = speed
        self._leaders = np.zeros((NUM_PROPOSALS, 3))
        self._drive(np.arange(NUM_PROPOSALS), 1, PROPOSAL_STEPS)

    def proposal_poses(self) -> NDArray[np.float64]:
        """(15, 41, 3) poses of the rear axle at 0 .. 4 s, global frame."""
        return np.concatenate(
            [path.poses_at(self.progress[self.path_of == p, : PROPOSAL_STEPS + 1]) for p, path in enumerate(self.paths)]
        )

    def trajectory_poses(self, chosen: int) -> NDArray[np.float64]:
        """(51, 3) poses of one proposal at 0 .. 5 s: continued alone after 4 s."""
        self._drive(np.array([chosen]), PROPOSAL_STEPS + 1, TRAJECTORY_STEPS)
        return self.paths[int(self.path_of[chosen])].poses_at(self.progress[chosen])

    def _drive(self, proposals: NDArray[np.int64], first_step: int, last_step: int) -> None:
        leaders = self._leaders[proposals]
        for step in range(first_step, last_step + 1):
            if step % 2 == 0:
                leaders = self._find_leaders(proposals, step)
            position, speed = self.progress[proposals, step - 1], self.speed[proposals, step - 1]
            acceleration = idm_acceleration(
                speed,
                self.target_speed[proposals],
                leaders[:, _X] - position - leaders[:, _REAR],
                leaders[:, _SPEED],
            )
            self.progress[proposals, step] = position + STEP_S * speed
            self.speed[proposals, step] = speed + STEP_S * acceleration
        self._leaders[proposals] = leaders

    def _find_leaders(self, proposals: NDArray[np.int64], step: int) -> NDArray[np.float64]:
        """(n, 3) leader records for the move to an even step: station, rear overhang [m], speed [m/s].

        The proposals of a path share one record that the original never resets within an update: an object ahead
        sets station and (unless it is a red light) speed; a free road sets station and rear overhang.
        """
        progress = self.progress[proposals, step - 1]
        path_of = self.path_of[proposals]
        obstacles = self._traffic.at(step)
        is_ahead = (obstacles.path == path_of[:, None]) & (obstacles.station > progress[:, None])  # (n, k)
        row, candidate = np.nonzero(is_ahead)
        distance = np.full(is_ahead.shape, np.inf)
        if len(row):
            poses = self._bundle.poses_at(path_of, progress)
            footprint = shapely.polygons(ego_corners(poses))
            distance[row, candidate] = shapely.distance(footprint[row], obstacles.polygon[candidate])
        records = np.zeros((len(proposals), 3))
        record, record_path = np.zeros(3), -1
        has_leader = is_ahead.any(axis=1)
        for i, path in enumerate(path_of):
            if path != record_path:
                record, record_path = np.zeros(3), path
            if not has_leader[i]:
                record[_X], record[_REAR] = self.paths[path].length, vehicle.LENGTH_M / 2
            else:
                nearest = distance[i].min()
                ties = obstacles.index[distance[i] == nearest]
                leader = int(ties[0]) if len(ties) == 1 else self._traffic.first_found(ties, step)
                record[_X] = progress[i] + nearest
                if leader < self._forecast.num_objects:
                    turn = self._forecast.box[leader, BoxIndex.HEADING] - poses[i, 2]
                    record[_SPEED] = self._object_speed[leader] * np.cos(turn)
            records[i] = record
        return records
