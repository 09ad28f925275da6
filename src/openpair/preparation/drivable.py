"""Which map elements a scoring scene holds."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from openpair.datatypes.columns import MapLayer
from openpair.errors import OpenPairError
from openpair.preparation.map_index import MapIndex

MAP_RADIUS_M = 100.0
"""Half the side of the square around the ego centre."""


def elements_around(index: MapIndex, ego_center: NDArray[np.float64], *, where: object = None) -> NDArray[np.int64]:
    """(n,) numbers of the map elements in the axis-aligned square of +-100 m around the ego centre (2+,).

    Roadblocks; the lanes of each selected roadblock, block by block; the lane connectors of each selected roadblock
    connector; intersections; carparks. Lanes come in through their block even when outside the square; generic
    drivable areas are not used.

    Args:
        where: scene named in errors.

    Raises:
        OpenPairError: nothing is drivable there, or an element is degenerate.
    """
    x, y = float(ego_center[0]), float(ego_center[1])
    square = shapely.box(x - MAP_RADIUS_M, y - MAP_RADIUS_M, x + MAP_RADIUS_M, y + MAP_RADIUS_M)
    found = {layer: np.sort(tree.query(square, predicate="intersects")) for layer, tree in index.trees.items()}
    blocks, connectors = found[MapLayer.ROADBLOCK], found[MapLayer.ROADBLOCK_CONNECTOR]
    elements = np.concatenate(
        [
            blocks + index.first_element[MapLayer.ROADBLOCK],
            *(index.lane_elements[index.blocks[b].id] for b in blocks),
            *(index.lane_elements[index.connector_blocks[b].id] for b in connectors),
            found[MapLayer.INTERSECTION] + index.first_element[MapLayer.INTERSECTION],
            found[MapLayer.CARPARK_AREA] + index.first_element[MapLayer.CARPARK_AREA],
        ]
    ).astype(np.int64)
    if not len(elements):
        raise OpenPairError(
            f"the map {index.road_map.name} has nothing drivable within {MAP_RADIUS_M:.0f} m of the ego",
            where=where,
            fix="Check that log and map belong together and share one coordinate system",
        )
    for e in elements:
        if index.element_fault[e]:
            layer = MapLayer(int(index.shapes.layer[e])).name.lower()
            raise OpenPairError(
                f"{layer} {index.shapes.tokens[e]} of map {index.road_map.name} {index.element_fault[e]}",
                where=where,
                fix="Repair the map or leave this scene out",
            )
    return elements
