"""Everything the scorer needs of a scene, and nothing else: arrays without files, maps or graphs.

Made once per scene (from logs and maps by ``openpair.preparation``, or from a golden case), used often.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol


@dataclass(frozen=True)
class PolygonSet:
    """P polygons with holes, flattened, global frame [m].

    Ring r holds vertices [ring_offset[r], ring_offset[r+1]) (closed: the first point repeated); polygon p holds rings
    [polygon_offset[p], polygon_offset[p+1]), its exterior first, then its holes.

    Attributes:
        xy: (V, 2) float64.
        ring_offset: (R+1,) int64.
        polygon_offset: (P+1,) int64.
    """

    xy: NDArray[np.float64]
    ring_offset: NDArray[np.int64]
    polygon_offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.polygon_offset) - 1


@dataclass(frozen=True)
class DrivableMap:
    """Map elements within +-100 m of the ego centre, in the original evaluator's order.

    Attributes:
        polygons: their surfaces.
        layer: (P,) int64, :class:`~openpair.datatypes.columns.MapLayer`.
        tokens: (P,) map ids.
        on_route: (P,) bool, True for lanes and lane connectors of the corrected route.
    """

    polygons: PolygonSet
    layer: NDArray[np.int64]
    tokens: tuple[str, ...]
    on_route: NDArray[np.bool_]


@dataclass(frozen=True)
class Tracks:
    """Agents replayed at 10 Hz, global frame. Rows of sample f are [frame_offset[f], frame_offset[f+1]).

    Attributes:
        tokens: (K,) track tokens.
        category: (K,) int64, :class:`~openpair.datatypes.columns.AgentCategory`, as first seen.
        frame_offset: (F+1,) int64; F = 51 samples in v1.1 (0 .. 5 s), 41 in v2.2 (0 .. 4 s).
        track: (rows,) int64 index into ``tokens``.
        box: (rows, 6) float64 centre x, y [m], heading [rad], length, width, height [m].
        velocity: (rows, 2) float64 [m/s], global axes; 0 for static objects.
    """

    tokens: tuple[str, ...]
    category: NDArray[np.int64]
    frame_offset: NDArray[np.int64]
    track: NDArray[np.int64]
    box: NDArray[np.float64]
    velocity: NDArray[np.float64]


@dataclass(frozen=True)
class RedLights:
    """Lane connectors of the given route that show red (v2.2).

    Attributes:
        tokens: (n,) lane connector ids.
        polygons: their surfaces.
        active: (41, n) bool, True where the connector is red at that 0.1 s step.
    """

    tokens: tuple[str, ...]
    polygons: PolygonSet
    active: NDArray[np.bool_]


@dataclass(frozen=True)
class ScoringScene:
    """One prepared scene of one protocol.

    Attributes:
        token: scene token.
        protocol: which score it was prepared for.
        time_us: time stamp of the current frame [us].
        ego_state: (11,) float64, :class:`~openpair.datatypes.columns.StateIndex`.
        drivable_map: the map around the ego.
        centerline: (M, 3) float64 x [m], y [m], heading [rad], global frame.
        tracks: agents at 10 Hz.
        reference_time_us: (51,) int64 of the PDM-Closed trajectory.
        reference_states: (51, 11) float64 PDM-Closed trajectory, 0 .. 5 s.
        red_lights: v2.2 only.
        human_trajectory: (8, 3) float64 ego rear-axle frame; v2.2 only (human filter).
        past_time_us: (4,) int64 of the recorded past; v2.2 only (history comfort).
        past_states: (4, 11) float64; v2.2 only.
        is_synthetic: second-stage scene of navhard: never filtered by the human.
    """

    token: str
    protocol: Protocol
    time_us: int
    ego_state: NDArray[np.float64]
    drivable_map: DrivableMap
    centerline: NDArray[np.float64]
    tracks: Tracks
    reference_time_us: NDArray[np.int64]
    reference_states: NDArray[np.float64]
    red_lights: RedLights | None = None
    human_trajectory: NDArray[np.float64] | None = None
    past_time_us: NDArray[np.int64] | None = None
    past_states: NDArray[np.float64] | None = None
    is_synthetic: bool = False
