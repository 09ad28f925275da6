"""Things that stand beside the road: parked cars, work zones with cones and barriers, bins on the sidewalk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.world.town_map import TownMap
from openpair.datatypes.columns import AgentCategory
from openpair.worldgen.demand import EGO_KIND, SIZES
from openpair.worldgen.recipes import TownRecipe

SLOT_M = 6.6
OCCUPIED = 0.6
WORK_ZONE = 0.12
MAX_CURVATURE = 0.012
"""Nobody parks where the street bends more than this [1/m]."""


def roadside_objects(recipe: TownRecipe, town: TownMap, episode: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Category (K,) and box (K, 6) x, y [m], heading [rad], length, width, height of an episode; town frame."""
    rng = np.random.default_rng([recipe.seed, 7, episode])
    rows: list[tuple[AgentCategory, list[float]]] = []
    parkable = {name: size for name, size in SIZES.items() if name not in ("truck", EGO_KIND)}
    for strip in town.carparks:
        line = np.array(strip["line"]) / 100
        length = float(np.sum(np.hypot(*np.diff(line, axis=0).T)))
        works = rng.random() < WORK_ZONE
        for slot in np.arange(0.5 * SLOT_M, length - 0.5 * SLOT_M, SLOT_M).tolist():
            x, y, heading = _pose_on(line, slot)
            turn = _pose_on(line, min(slot + 8.0, length - 0.1))[2] - _pose_on(line, max(slot - 8.0, 0.0))[2]
            if abs((turn + np.pi) % (2 * np.pi) - np.pi) / 16.0 > MAX_CURVATURE:
                continue
            if works and SLOT_M < slot < 5 * SLOT_M:
                rows += _work_zone_slot(x, y, heading, rng, first=slot < 2 * SLOT_M, last=slot > 4 * SLOT_M)
            elif rng.random() < OCCUPIED:
                size = parkable[str(rng.choice(sorted(parkable)))]
                side = rng.normal(0, 0.05) - (strip["width"] / 200 - size.width / 2 - 0.2)
                x, y = x - side * np.sin(heading), y + side * np.cos(heading)
                turn = heading + rng.normal(0, 0.012)
                rows.append((AgentCategory.VEHICLE, [x, y, turn, size.length, size.width, size.height]))
    for outline in town.walkways:
        if rng.random() < 0.1:
            x, y = np.mean(np.array(outline) / 100, axis=0)
            rows.append((AgentCategory.GENERIC_OBJECT, [x, y, rng.uniform(-3, 3), 0.6, 0.6, 1.1]))
    category = np.array([row[0] for row in rows], dtype=np.int64)
    return category, np.array([row[1] for row in rows], dtype=np.float64).reshape(-1, 6)


def _pose_on(line: NDArray[np.float64], station: float) -> tuple[float, float, float]:
    steps = np.diff(line, axis=0)
    lengths = np.hypot(*steps.T)
    ends = np.cumsum(lengths)
    i = min(int(np.searchsorted(ends, station)), len(lengths) - 1)
    t = (station - (ends[i] - lengths[i])) / lengths[i]
    x, y = line[i] + t * steps[i]
    return float(x), float(y), float(np.arctan2(steps[i, 1], steps[i, 0]))


def _work_zone_slot(
    x: float, y: float, heading: float, rng: np.random.Generator, *, first: bool, last: bool
) -> list[tuple[AgentCategory, list[float]]]:
    """Cones along the lane's edge; a barrier across each end, a sign before the first."""

    def at(ahead: float, left: float) -> list[float]:
        return [
            x + ahead * np.cos(heading) - left * np.sin(heading) + rng.normal(0, 0.04),
            y + ahead * np.sin(heading) + left * np.cos(heading) + rng.normal(0, 0.04),
            heading + rng.normal(0, 0.05),
        ]

    rows = [(AgentCategory.TRAFFIC_CONE, [*at(a, 0.7), 0.35, 0.35, 0.75]) for a in (-2.2, 0.0, 2.2)]
    if first or last:
        pose = at(-2.6 if first else 2.6, -0.2)
        rows.append((AgentCategory.BARRIER, [*pose[:2], pose[2] + np.pi / 2, 1.7, 0.4, 1.0]))
    if first:
        rows.append((AgentCategory.CZONE_SIGN, [*at(-3.2, -0.6), 0.3, 0.7, 1.6]))
    return rows
