"""The frame of a drawing: forward is up, one unit is one metre, the ego's rear axle now is (0, 0)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from openpair.visualization.svg import geometry_paths, number

SIMPLIFY_M = 0.06


@dataclass(frozen=True)
class View:
    """The piece of ground that is drawn, in the ego's rear-axle frame [m]."""

    ahead: float = 52.0
    behind: float = 14.0
    aside: float = 30.0

    @property
    def view_box(self) -> str:
        size = (-self.aside, -self.ahead, 2 * self.aside, self.ahead + self.behind)
        return " ".join(number(value) for value in size)

    @property
    def window(self) -> Polygon:
        """The piece in the drawing's frame."""
        return box(-self.aside, -self.ahead, self.aside, self.behind)


def view_for(reach_m: Iterable[float]) -> View:
    """A view that shows everything up to the farthest of some distances ahead [m], of one shape for all scenes."""
    ahead = float(np.clip(max(reach_m, default=0.0) + 14.0, 40.0, 78.0))
    return View(ahead=ahead, behind=0.27 * ahead, aside=0.58 * ahead)


class GroundFrame:
    """Turns global coordinates into those of the drawing: x right, y down, the ego at (0, 0) heading up.

    Args:
        ego_pose: (3,) x [m], y [m], heading [rad] of the rear axle, global frame.
        window: what is drawn, in the drawing's frame.
    """

    def __init__(self, ego_pose: NDArray[np.float64], window: Polygon) -> None:
        self._pose = ego_pose
        self.heading = float(ego_pose[2])
        self.window = window
        shapely.prepare(window)
        radius = float(np.hypot(*shapely.get_coordinates(window).T).max()) + 5.0
        self.neighbourhood = box(*(ego_pose[:2] - radius), *(ego_pose[:2] + radius))

    def points(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) global -> drawing."""
        c, s = np.cos(self._pose[2]), np.sin(self._pose[2])
        dx, dy = xy[:, 0] - self._pose[0], xy[:, 1] - self._pose[1]
        return np.stack([s * dx - c * dy, -c * dx - s * dy], axis=1)

    def path(self, geometry: BaseGeometry) -> str:
        """Path data of a global geometry; empty where it is out of view."""
        return self.paths([geometry])[0]

    def paths(self, geometries: Sequence[BaseGeometry]) -> list[str]:
        """:meth:`path` of several, cut at the window each."""
        data = [""] * len(geometries)
        near = np.flatnonzero(shapely.intersects(geometries, self.neighbourhood)).tolist()
        local: NDArray[np.object_] = np.empty(len(near), dtype=object)
        local[:] = [geometries[i] for i in near]
        local = shapely.transform(local, self.points)
        broken = ~shapely.is_valid(local)
        local[broken] = shapely.make_valid(local[broken])
        seen = shapely.simplify(shapely.intersection(local, self.window), SIMPLIFY_M)
        for i, path in zip(near, geometry_paths(seen), strict=True):
            data[i] = path
        return data

    def placed(self, x: float, y: float, heading: float) -> list[float]:
        """x, y [m] and clockwise turn [deg] in the drawing of a global pose."""
        return self.places(np.array([[x, y, heading]]))[0]

    def places(self, poses: NDArray[np.float64]) -> list[list[float]]:
        """:meth:`placed` of global poses (n, 3)."""
        points = np.round(self.points(poses[:, :2]), 2)
        turn = poses[:, 2] - self.heading
        degrees = np.round(-np.degrees(np.arctan2(np.sin(turn), np.cos(turn))), 1)
        placed: list[list[float]] = np.column_stack([points, degrees]).tolist()
        return placed


def plan_points(plan: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(9, 2) points and directions of a plan (8, 3) in the drawing, from the ego's present place on."""
    poses = np.concatenate([np.zeros((1, 3)), plan])
    points = np.stack([-poses[:, 1], -poses[:, 0]], axis=1)
    directions = np.stack([-np.sin(poses[:, 2]), -np.cos(poses[:, 2])], axis=1)
    return points, directions
