"""Car-like motion from SUMO's tracks: smooth path, smooth timing, and a rigid body dragged along it.

SUMO moves points along polylines and turns them in steps. Here the front bumper's track becomes a smooth path
(Gaussian over arc length), its timing a smooth progress (Gaussian over time), and the body follows as a tractrix: a
rigid bar whose rear end, the rear axle, moves only along the bar. Such motion has no sideslip at the rear axle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

PATH_STEP_M = 0.25
PATH_SIGMA_M = 2.4
TIME_SIGMA_S = 0.35
STEP_S = 0.1


@dataclass(frozen=True)
class Body:
    """Proportions of a vehicle [m], from the rear axle.

    Attributes:
        front: to the front bumper.
        rear: to the rear bumper.
        lead: to the point that follows the path. With a lead a little behind the front axle the body's swept band
            in a bend lies evenly on both sides of the path, as when a driver swings out.
    """

    front: float
    rear: float
    lead: float

    @staticmethod
    def of_length(length_m: float) -> Body:
        """Proportions of NAVSIM's ego vehicle, scaled to a length."""
        scale = length_m / 5.176
        return Body(4.049 * scale, 1.127 * scale, 2.5 * scale)

    @property
    def center(self) -> float:
        """Rear axle to centre [m]."""
        return (self.front - self.rear) / 2


@dataclass(frozen=True)
class DrivenPath:
    """A smooth path sampled every PATH_STEP_M of arc length.

    Attributes:
        xy: (M, 2) lead points [m].
        heading: (M,) direction of the path [rad], unwrapped.
    """

    xy: NDArray[np.float64]
    heading: NDArray[np.float64]

    def shifted(self, offset_m: NDArray[np.float64]) -> DrivenPath:
        """The path moved to the left by (M,) ``offset_m`` and sampled anew."""
        normal = np.stack([-np.sin(self.heading), np.cos(self.heading)], axis=-1)
        return path_through(self.xy + offset_m[:, None] * normal)[0]


@dataclass(frozen=True)
class Motion:
    """Rear-axle motion at 10 Hz.

    Attributes:
        pose: (T, 3) x, y [m], heading [rad] (unwrapped).
        speed: (T,) [m/s]; acceleration: (T,) [m/s^2]; yaw_rate: (T,) [rad/s].
    """

    pose: NDArray[np.float64]
    speed: NDArray[np.float64]
    acceleration: NDArray[np.float64]
    yaw_rate: NDArray[np.float64]


def path_through(points: NDArray[np.float64]) -> tuple[DrivenPath, NDArray[np.float64]]:
    """Path through (N, 2) points, and the arc length [m] of each point on it."""
    station = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(2, int(station[-1] / PATH_STEP_M) + 1)
    grid = np.arange(count) * PATH_STEP_M
    xy = np.column_stack([np.interp(grid, station, points[:, i]) for i in range(2)])
    step = np.diff(xy, axis=0)
    heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    return DrivenPath(xy, np.append(heading, heading[-1])), station


def smooth_track(xy: NDArray[np.float64], speed: NDArray[np.float64]) -> tuple[DrivenPath, NDArray[np.float64]]:
    """Smooth path of the front bumper and progress along it.

    Args:
        xy: (T, 2) bumper positions at 10 Hz [m].
        speed: (T,) [m/s].

    Returns:
        the path and (T,) the bumper's arc length on it [m], never decreasing.
    """
    odometer = np.concatenate([[0.0], np.cumsum(speed[1:] * STEP_S)])
    moved = np.concatenate([[True], np.diff(odometer) > 1e-3])
    count = max(2, int(odometer[-1] / PATH_STEP_M) + 1)
    grid = np.arange(count) * PATH_STEP_M
    raw = np.column_stack([np.interp(grid, odometer[moved], xy[moved, i]) for i in range(2)])
    sigma = PATH_SIGMA_M / PATH_STEP_M
    straight = _extend(raw, 40)
    smooth = np.column_stack([gaussian_filter1d(straight[:, i], sigma) for i in range(2)])[40:-40]
    path, station = path_through(smooth)
    arc = np.interp(odometer, grid, station)
    timed = gaussian_filter1d(arc, TIME_SIGMA_S / STEP_S, mode="nearest")
    return path, np.maximum.accumulate(timed)


def _extend(points: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Points (N, 2) with straight continuations of ``count`` points at both ends."""
    k = min(8, len(points) - 1)
    before = points[0] + np.arange(-count, 0)[:, None] * (points[k] - points[0]) / k
    after = points[-1] + np.arange(1, count + 1)[:, None] * (points[-1] - points[-1 - k]) / k
    return np.concatenate([before, points, after])


def drag(path: DrivenPath, body: Body) -> NDArray[np.float64]:
    """Body heading (M,) [rad] while its lead point moves along the path: exact tractrix over each straight step."""
    decay = np.exp(-PATH_STEP_M / body.lead)
    heading = np.empty(len(path.xy))
    heading[0] = path.heading[0]
    for i in range(1, len(heading)):
        off = heading[i - 1] - path.heading[i - 1]
        heading[i] = path.heading[i - 1] + 2 * np.arctan(np.tan(off / 2) * decay)
    return heading


def follow(path: DrivenPath, arc: NDArray[np.float64], body: Body) -> Motion:
    """Motion of a body whose front bumper has travelled (T,) ``arc`` [m] of the path."""
    heading_on_path = drag(path, body)
    lead_arc = arc - (body.front - body.lead)
    grid = np.arange(len(path.xy)) * PATH_STEP_M
    before = np.minimum(lead_arc, 0.0)[:, None]
    start = np.array([np.cos(path.heading[0]), np.sin(path.heading[0])])
    lead = np.column_stack([np.interp(lead_arc, grid, path.xy[:, i]) for i in range(2)]) + before * start
    heading = np.interp(lead_arc, grid, heading_on_path)
    rear = lead - body.lead * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    along = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    speed = np.einsum("ij,ij->i", np.gradient(rear, STEP_S, axis=0), along)
    acceleration = gaussian_filter1d(np.gradient(speed, STEP_S), 1.0, mode="nearest")
    return Motion(np.column_stack([rear, heading]), speed, acceleration, np.gradient(heading, STEP_S))
