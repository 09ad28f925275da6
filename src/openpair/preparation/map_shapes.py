"""The shapes of a town that its scoring scenes are cut from: flat arrays, shared by all scenes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.scoring_scene import DrivableMap, PolygonSet
from openpair.preparation.polygons import take_polygons


@dataclass(frozen=True)
class MapShapes:
    """E map elements, layer by layer as the original evaluator lists them.

    Roadblocks, lanes, lane connectors, intersections, carparks; file order within a layer.

    Attributes:
        layer: (E,) int64 :class:`~openpair.datatypes.columns.MapLayer`.
        tokens: (E,) map ids.
        polygons: their surfaces.
        baseline_offset: (E+1,) int64 into ``baselines``; only lanes and lane connectors have rows there.
        baselines: (V, 3) float64 x [m], y [m], heading [rad], global frame.
    """

    layer: NDArray[np.int64]
    tokens: tuple[str, ...]
    polygons: PolygonSet
    baseline_offset: NDArray[np.int64]
    baselines: NDArray[np.float64]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the content: the same shapes have the same fingerprint."""
        digest = hashlib.sha256("\0".join(self.tokens).encode())
        for array in (
            self.layer,
            self.polygons.xy,
            self.polygons.ring_offset,
            self.polygons.polygon_offset,
            self.baseline_offset,
            self.baselines,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def drivable_map(self, elements: NDArray[np.int64], on_route: NDArray[np.bool_]) -> DrivableMap:
        """The drivable map of a scene.

        Args:
            elements: (n,) numbers of its elements, in order.
            on_route: (n,) True for lanes and lane connectors of the corrected route.
        """
        tokens = tuple([self.tokens[e] for e in elements.tolist()])
        return DrivableMap(take_polygons(self.polygons, elements), self.layer[elements], tokens, on_route)

    def centerline(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        """(M, 3) baselines of lane elements one after another; the vertex at each joint stays doubled."""
        begin, end = self.baseline_offset[lanes].tolist(), self.baseline_offset[lanes + 1].tolist()
        return np.concatenate([self.baselines[a:b] for a, b in zip(begin, end, strict=True)])
