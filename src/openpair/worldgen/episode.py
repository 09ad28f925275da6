"""One traffic episode as tracks of rigid bodies at 10 Hz, in the town frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from shapely.geometry.base import BaseGeometry

from openpair.datatypes.columns import AgentCategory
from openpair.worldgen.demand import BICYCLE, EGO_KIND, PEDESTRIAN, SIZES, Size
from openpair.worldgen.motion import STEP_S, Body, DrivenPath, Motion, follow, smooth_track
from openpair.worldgen.recipes import TownRecipe
from openpair.worldgen.traffic import RawTraffic

MIN_STEPS = 30
JUMP_M = 4.0
KERB_DISTANCE_M = 0.5
WANDER_M = {"normal": 0.09, "timid": 0.12, "aggressive": 0.15}
"""How far a driver strays from the middle of the lane (standard deviation)."""


@dataclass(frozen=True)
class Track:
    """A road user from ``first_step`` on.

    Attributes:
        center: (T, 3) x, y [m], heading [rad] of the box.
        speed: (T,) along the heading [m/s].
        lane: (T,) SUMO lane as index into ``RawTraffic.lane_names``.
        path, arc: vehicles only: path of the front bumper and progress on it; what repairs start from.
    """

    name: str
    category: AgentCategory
    size: Size
    first_step: int
    center: NDArray[np.float64]
    speed: NDArray[np.float64]
    lane: NDArray[np.int64]
    driver: str = ""
    kind: str = ""
    motion: Motion | None = None
    path: DrivenPath | None = None
    arc: NDArray[np.float64] | None = None

    @property
    def last_step(self) -> int:
        return self.first_step + len(self.speed) - 1

    @property
    def can_be_ego(self) -> bool:
        return self.kind == EGO_KIND


class KeepOff:
    """The road and a step around it, where nobody on foot waits or strolls."""

    def __init__(self, road: BaseGeometry) -> None:
        self.area = road.buffer(KERB_DISTANCE_M, quad_segs=4)
        shapely.prepare(self.area)
        rings = [shapely.get_coordinates(ring) for part in shapely.get_parts(self.area) for ring in _rings(part)]
        edges = np.concatenate([np.stack([ring[:-1], ring[1:]], axis=1) for ring in rings])
        self.edges = shapely.linestrings(edges)
        self.tree = shapely.STRtree(self.edges)

    def nearest_outside(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) points, those inside moved to the nearest edge."""
        moved = xy.copy()
        inside = shapely.contains_xy(self.area, xy[:, 0], xy[:, 1])
        if inside.any():
            points = shapely.points(xy[inside])
            nearest = self.edges[self.tree.nearest(points)]
            moved[inside] = shapely.get_coordinates(shapely.shortest_line(nearest, points))[::2]
        return moved


def _rings(polygon: BaseGeometry) -> list[BaseGeometry]:
    return [polygon.exterior, *polygon.interiors]


def tracks_of(recipe: TownRecipe, raw: RawTraffic, episode: int, road: BaseGeometry) -> list[Track]:
    """All road users of an episode, cars made car-like. Tracks end where SUMO teleports a vehicle."""
    order = np.lexsort((raw.step, raw.user))
    starts = np.searchsorted(raw.user[order], np.arange(len(raw.names) + 1))
    keep_off = KeepOff(road)
    crossing = np.array(["_c" in name for name in raw.lane_names])
    tracks = []
    for u, name in enumerate(raw.names):
        rows = order[starts[u] : starts[u + 1]]
        broken = (np.hypot(*np.diff(raw.xy[rows], axis=0).T) > JUMP_M) | (np.diff(raw.step[rows]) != 1)
        for number, piece in enumerate(np.split(rows, np.flatnonzero(broken) + 1)):
            if len(piece) >= MIN_STEPS:
                label = name if number == 0 else f"{name}.{number}"
                rng = np.random.default_rng([recipe.seed, 6, episode, u, number])
                if name[0] == "p":
                    tracks.append(_pedestrian(label, raw, piece, crossing, keep_off))
                else:
                    tracks.append(_vehicle(label, raw, piece, rng))
    return tracks


def _pedestrian(
    name: str, raw: RawTraffic, rows: NDArray[np.int64], crossing: NDArray[np.bool_], keep_off: KeepOff
) -> Track:
    """Someone on foot, who waits a step back from the kerb and enters the road on crossings alone."""
    xy = raw.xy[rows].copy()
    walking = ~crossing[raw.lane[rows]]
    xy[walking] = keep_off.nearest_outside(xy[walking])
    xy = gaussian_filter1d(xy, 5.0, axis=0, mode="nearest")
    velocity = np.gradient(xy, STEP_S, axis=0)
    speed = np.hypot(*velocity.T)
    heading = np.deg2rad(90 - raw.angle[rows])
    moving = speed > 0.3
    heading[moving] = np.arctan2(velocity[moving, 1], velocity[moving, 0])
    heading = np.arctan2(*gaussian_filter1d(np.stack([np.sin(heading), np.cos(heading)]), 3.0, mode="nearest"))
    center = np.column_stack([xy, np.unwrap(heading)])
    first = int(raw.step[rows[0]])
    return Track(name, AgentCategory.PEDESTRIAN, PEDESTRIAN, first, center, speed, raw.lane[rows])


def _vehicle(name: str, raw: RawTraffic, rows: NDArray[np.int64], rng: np.random.Generator) -> Track:
    is_bicycle = name[0] == "b"
    _, kind, driver = ("", "", "") if is_bicycle else name.split(".", maxsplit=1)[0].split("_")
    size = BICYCLE if is_bicycle else SIZES[kind]
    path, arc = smooth_track(raw.xy[rows], raw.speed[rows])
    if driver:
        path = path.shifted(_wander(len(path.xy), WANDER_M[driver], rng))
    body = Body.of_length(size.length)
    motion = follow(path, arc, body)
    category = AgentCategory.BICYCLE if is_bicycle else AgentCategory.VEHICLE
    return Track(
        name, category, size, int(raw.step[rows[0]]), box_center(motion, body), motion.speed, raw.lane[rows],
        driver, kind, motion, path, arc,
    )  # fmt: skip


def box_center(motion: Motion, body: Body) -> NDArray[np.float64]:
    """(T, 3) pose of the middle of a body."""
    heading = motion.pose[:, 2]
    offset = body.center * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    return np.column_stack([motion.pose[:, :2] + offset, heading])


def _wander(count: int, sigma_m: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Slow lateral straying along a path: smoothed noise with a correlation length of about 15 m."""
    noise = gaussian_filter1d(rng.standard_normal(count + 400), 60.0)[200:-200]
    scale = sigma_m / max(1e-9, float(np.std(noise))) if count > 400 else 4.0 * sigma_m
    return np.clip(scale * noise, -2.2 * sigma_m, 2.2 * sigma_m)
