"""The map: lanes, roadblocks, areas and the graph between them.

Ids are strings everywhere. All dictionaries keep file order: the original evaluator breaks ties by it.
Geometry is shapely, in the global metric frame of the logs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

DEFAULT_SPEED_LIMIT_MPS = 15.0
"""What the original assumes where the map gives no limit."""


@dataclass(frozen=True)
class Lane:
    """A lane, or a lane connector inside an intersection.

    Attributes:
        id: map id.
        is_connector: True for a lane connector.
        roadblock_id: the roadblock (connector) that holds it.
        polygon: its surface.
        baseline: (M, 3) float64 x [m], y [m], heading [rad]: the line's own vertices, heading to the next vertex,
            the last repeated.
        incoming: ids of lanes that lead into it, file order.
        outgoing: ids of lanes it leads to, file order.
        speed_limit_mps: None where the map has none.
        index: position across the road, 0 = leftmost (lanes only).
        stop_line_ids: stop lines that guard a connector; an entry means that it may carry a traffic light.
    """

    id: str
    is_connector: bool
    roadblock_id: str
    polygon: Polygon
    baseline: NDArray[np.float64]
    incoming: tuple[str, ...] = ()
    outgoing: tuple[str, ...] = ()
    speed_limit_mps: float | None = None
    index: int = 0
    stop_line_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Roadblock:
    """All lanes of one direction between two intersections; or, as connector, all lane connectors of one movement.

    Attributes:
        id: map id.
        is_connector: True for a roadblock connector.
        polygon: its surface; None for connectors of sources that give none.
        lane_ids: its lanes or lane connectors, file order.
        incoming: ids of blocks that lead into it, file order.
        outgoing: ids of blocks it leads to, file order.
        intersection_id: intersection of a connector, if known.
    """

    id: str
    is_connector: bool
    polygon: Polygon | None
    lane_ids: tuple[str, ...]
    incoming: tuple[str, ...] = ()
    outgoing: tuple[str, ...] = ()
    intersection_id: str | None = None


@dataclass(frozen=True)
class RoadMap:
    """One town.

    Attributes:
        name: location ("us-ma-boston", or the name of a world town or log).
        lanes: lanes first, then lane connectors, each in file order.
        roadblocks: roadblocks first, then roadblock connectors, each in file order.
        intersections, carparks, crosswalks, walkways, drivable_areas: polygons by id, file order.
        stop_lines: polygons by id, file order.
        epsg: coordinate system of the geometry, where one is known.
    """

    name: str
    lanes: dict[str, Lane]
    roadblocks: dict[str, Roadblock]
    intersections: dict[str, Polygon] = field(default_factory=dict)
    carparks: dict[str, Polygon] = field(default_factory=dict)
    crosswalks: dict[str, Polygon] = field(default_factory=dict)
    walkways: dict[str, Polygon] = field(default_factory=dict)
    drivable_areas: dict[str, Polygon] = field(default_factory=dict)
    stop_lines: dict[str, Polygon] = field(default_factory=dict)
    epsg: int | None = None
