"""A minimal map for location names that a dataset does not use: the original opens all four."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyproj
from shapely.geometry import Polygon, box

from openpair.datasets.navsim.maps import with_headings
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap

_CENTRES: Final = {
    "sg-one-north": (103.79, 1.30),
    "us-ma-boston": (-71.05, 42.35),
    "us-nv-las-vegas-strip": (-115.17, 36.12),
    "us-pa-pittsburgh-hazelwood": (-79.96, 40.41),
}
"""Longitude and latitude of the real places [deg]."""

_WIDTH_M: Final = 4.0


def stub_map(location: str, epsg: int) -> RoadMap:
    """One lane that leads over an intersection into another, with a crosswalk and a car park beside it."""
    to_metric = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    x0, y0 = (float(round(value)) for value in to_metric.transform(*_CENTRES[location]))

    def road(start: float, end: float) -> tuple[Polygon, np.ndarray]:
        line = with_headings(np.array([[x0 + x, y0] for x in np.linspace(start, end, 5)]))
        return box(x0 + start, y0 - _WIDTH_M / 2, x0 + end, y0 + _WIDTH_M / 2), line

    (before, line_before), (middle, line_middle), (after, line_after) = road(-30, -10), road(-10, 10), road(10, 30)
    lanes = [
        Lane("11", False, "1", before, line_before, outgoing=("21",), speed_limit_mps=10.0),
        Lane("12", False, "2", after, line_after, incoming=("21",), speed_limit_mps=10.0),
        Lane("21", True, "3", middle, line_middle, ("11",), ("12",), speed_limit_mps=10.0, stop_line_ids=("41",)),
    ]
    blocks = [
        Roadblock("1", False, before, ("11",), outgoing=("3",)),
        Roadblock("2", False, after, ("12",), incoming=("3",)),
        Roadblock("3", True, middle, ("21",), ("1",), ("2",), intersection_id="31"),
    ]
    return RoadMap(
        name=location,
        lanes={lane.id: lane for lane in lanes},
        roadblocks={block.id: block for block in blocks},
        intersections={"31": box(x0 - 10, y0 - 10, x0 + 10, y0 + 10)},
        carparks={"51": box(x0 - 30, y0 + 5, x0 - 15, y0 + 15)},
        crosswalks={"61": box(x0 - 10, y0 - 3, x0 - 7, y0 + 3)},
        walkways={"71": box(x0 - 30, y0 - 5, x0 + 30, y0 - 3)},
        stop_lines={"41": box(x0 - 11, y0 - 2, x0 - 10, y0 + 2)},
        epsg=epsg,
    )
