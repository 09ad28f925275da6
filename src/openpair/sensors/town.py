"""What a renderer keeps of a map: ground tiles and scenery, made where the ego goes, forgotten when memory is short."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.road_map import RoadMap
from openpair.sensors.ground import TEXELS_PER_TILE, TILE_M, paint_tile
from openpair.sensors.markings import LaneMarkings
from openpair.sensors.primitives import Primitives, joined
from openpair.sensors.scenery import tile_scenery
from openpair.sensors.signals import Signals
from openpair.sensors.surfaces import map_surfaces

GROUND_RADIUS_M: Final = 110.0
"""Ground further away is painted in one colour."""
SCENERY_RADIUS_M: Final = 130.0
MAX_SCENERY_TILES: Final = 1024


class Town:
    """One map, prepared for rendering. Everything is in the town frame: the global frame, moved, not turned."""

    def __init__(self, road_map: RoadMap) -> None:
        self.road_map = road_map
        self.surfaces = map_surfaces(road_map)
        self.origin = self.surfaces.origin
        self.markings = LaneMarkings(road_map, self.origin)
        self.signals = Signals(road_map, self.origin)
        self._scenery: OrderedDict[tuple[int, int], Primitives] = OrderedDict()

    def scenery(self, center: NDArray[np.float64]) -> Primitives:
        """(P,) buildings and trees within SCENERY_RADIUS_M of ``center`` (2,)."""
        low = np.floor((center - SCENERY_RADIUS_M) / TILE_M).astype(int)
        high = np.floor((center + SCENERY_RADIUS_M) / TILE_M).astype(int)
        parts = []
        for iy in range(low[1], high[1] + 1):
            for ix in range(low[0], high[0] + 1):
                parts.append(self._tile_scenery(ix, iy))
        every = joined(parts)
        away = every["center"][:, :2] - center
        return every[np.hypot(away[:, 0], away[:, 1]) < SCENERY_RADIUS_M]

    def _tile_scenery(self, ix: int, iy: int) -> Primitives:
        key = (ix, iy)
        if key not in self._scenery:
            self._scenery[key] = tile_scenery(self.surfaces, ix, iy)
            if len(self._scenery) > MAX_SCENERY_TILES:
                self._scenery.popitem(last=False)
        self._scenery.move_to_end(key)
        return self._scenery[key]


class TownCache:
    """Towns and ground tiles of a process, least recently used first out.

    Args:
        max_towns: maps kept.
        max_tiles: ground tiles kept over all maps, 0.7 MB each.
    """

    def __init__(self, max_towns: int = 8, max_tiles: int = 192) -> None:
        self._max_towns = max_towns
        self._towns: OrderedDict[int, Town] = OrderedDict()
        self._tiles: OrderedDict[tuple[int, int, int], int] = OrderedDict()
        self._free = list(range(max_tiles))[::-1]
        self.texels = np.zeros((max_tiles, TEXELS_PER_TILE), np.uint16)
        """(slots, TEXELS_PER_TILE) pool that the kernels read; pages are taken from the system as they fill."""

    def town(self, road_map: RoadMap) -> Town:
        """The prepared town of a map object (the same object each time, or it is prepared anew)."""
        key = id(road_map)  # the town keeps the map alive, so that its id cannot be given away
        if key not in self._towns:
            self._towns[key] = Town(road_map)
            if len(self._towns) > self._max_towns:
                old, _town = self._towns.popitem(last=False)
                for tile in [tile for tile in self._tiles if tile[0] == old]:
                    self._free.append(self._tiles.pop(tile))
        self._towns.move_to_end(key)
        return self._towns[key]

    def ground_window(
        self, town: Town, center: NDArray[np.float64], heading: float
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Tiles in sight around ``center`` (2,), town frame, for cameras that look ahead and to the sides.

        Returns:
            grid: (rows, columns) int32 slot of each tile in ``texels``, -1 where none is needed.
            corner: (2,) lower left corner of the grid [m], town frame.
        """
        low = np.floor((center - GROUND_RADIUS_M) / TILE_M).astype(int)
        high = np.floor((center + GROUND_RADIUS_M) / TILE_M).astype(int)
        grid = np.full((high[1] - low[1] + 1, high[0] - low[0] + 1), -1, np.int32)
        ahead = np.array([np.cos(heading), np.sin(heading)])
        wanted = []
        for iy in range(low[1], high[1] + 1):
            for ix in range(low[0], high[0] + 1):
                offset = (np.array([ix, iy]) + 0.5) * TILE_M - center
                nearest = np.maximum(np.abs(offset) - 0.5 * TILE_M, 0.0)
                behind = offset @ ahead < -0.75 * TILE_M
                if not behind and np.hypot(*nearest) < GROUND_RADIUS_M:
                    wanted.append((ix, iy))
        for ix, iy in wanted:
            grid[iy - low[1], ix - low[0]] = self._slot(town, ix, iy)
        return grid, low * TILE_M

    def _slot(self, town: Town, ix: int, iy: int) -> int:
        key = (id(town.road_map), ix, iy)
        if key not in self._tiles:
            slot = self._free.pop() if self._free else self._tiles.popitem(last=False)[1]
            self.texels[slot] = paint_tile(town.surfaces, town.markings, ix, iy)
            self._tiles[key] = slot
        self._tiles.move_to_end(key)
        return self._tiles[key]
