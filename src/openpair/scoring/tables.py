"""A prepared scene as flat numpy tables, one per kernel struct, with the same field names (see ``arrays``).

Made once per scene; several scenes' tables join into one without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int32]


@dataclass(frozen=True)
class MapTable:
    """See :class:`~openpair.scoring.arrays.MapArrays`."""

    polygon_range: Int
    box: Float
    kind: Int
    slab_start: Int
    slabs_per_m: Float
    slab_edge_start: Int
    edge: Float
    cell_start: Int
    cell_polygon: Int


@dataclass(frozen=True)
class TrackTable:
    """See :class:`~openpair.scoring.arrays.TrackArrays`."""

    track_range: Int
    pose: Float
    half_size: Float
    reach: Float
    is_stopped: Int
    is_agent: Int


@dataclass(frozen=True)
class PathTable:
    """See :class:`~openpair.scoring.arrays.PathArrays`."""

    point_range: Int
    point: Float
    station: Float
    chunk_range: Int
    chunk_box: Float


@dataclass(frozen=True)
class LightTable:
    """See :class:`~openpair.scoring.arrays.LightArrays`."""

    light_range: Int
    box: Float
    edge_range: Int
    edge: Float
    active: NDArray[np.int64]


@dataclass(frozen=True)
class EgoTable:
    """See :class:`~openpair.scoring.arrays.EgoArrays`."""

    state: Float
    knot_index: Int
    knot_weight: Float
    history_range: Int
    history: Float
    reference_gain: Float
    forgiven: Int


@dataclass(frozen=True)
class SceneTables:
    """All tables of one scene, or of several joined.

    Attributes:
        area, tracks, path, lights, ego: the tables.
        max_tracks: most tracks of any one scene.
        max_history: most past samples of any one scene.
    """

    area: MapTable
    tracks: TrackTable
    path: PathTable
    lights: LightTable
    ego: EgoTable
    max_tracks: int
    max_history: int

    @property
    def num_scenes(self) -> int:
        return len(self.ego.state)

    @cached_property
    def num_bytes(self) -> int:
        """Memory of all tables."""
        tables = (self.area, self.tracks, self.path, self.lights, self.ego)
        return sum(getattr(table, field.name).nbytes for table in tables for field in fields(table))


CUMULATIVE = {
    "polygon_range",
    "slab_start",
    "slab_edge_start",
    "cell_start",
    "track_range",
    "point_range",
    "chunk_range",
    "light_range",
    "edge_range",
    "history_range",
}
"""Fields of n + 1 offsets, where joining shifts each scene's by the totals before it."""

Table = TypeVar("Table", MapTable, TrackTable, PathTable, LightTable, EgoTable)


def join_offsets(parts: Sequence[Int]) -> Int:
    """Offsets of several scenes behind one another."""
    totals = np.cumsum([0, *(part[-1] for part in parts)])
    shifted = [part[:-1] + total for part, total in zip(parts, totals[:-1], strict=True)]
    return np.concatenate([*shifted, totals[-1:]]).astype(np.int32)


def join_tables(tables: Sequence[Table]) -> Table:
    """One table of several scenes' tables."""
    first = tables[0]
    joined: dict[str, Any] = {}
    for field in fields(first):
        parts = [getattr(table, field.name) for table in tables]
        if field.name in CUMULATIVE:
            joined[field.name] = join_offsets(parts)
        elif field.name == "cell_polygon":
            polygons = np.cumsum([0, *(len(table.box) for table in tables)])[:-1]
            joined[field.name] = np.concatenate([p + n for p, n in zip(parts, polygons, strict=True)]).astype(np.int32)
        elif field.name == "pose":
            samples = max(part.shape[1] for part in parts)
            joined[field.name] = np.concatenate([pad_samples(part, samples) for part in parts])
        else:
            joined[field.name] = np.concatenate(parts)
    return type(first)(**joined)


def pad_samples(pose: Float, samples: int) -> Float:
    """Track poses (K, F, 4) lengthened to ``samples`` samples in which the tracks are absent."""
    missing = samples - pose.shape[1]
    return np.pad(pose, ((0, 0), (0, missing), (0, 0)), constant_values=np.nan) if missing else pose


def join_scenes(scenes: Sequence[SceneTables]) -> SceneTables:
    """The tables of several scenes of one protocol behind one another."""
    if len(scenes) == 1:
        return scenes[0]
    return SceneTables(
        area=join_tables([scene.area for scene in scenes]),
        tracks=join_tables([scene.tracks for scene in scenes]),
        path=join_tables([scene.path for scene in scenes]),
        lights=join_tables([scene.lights for scene in scenes]),
        ego=join_tables([scene.ego for scene in scenes]),
        max_tracks=max(scene.max_tracks for scene in scenes),
        max_history=max(scene.max_history for scene in scenes),
    )
