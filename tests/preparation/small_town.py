"""Hand-made towns: straight roads, junctions and rings small enough to work out results on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from shapely.geometry import LineString, Polygon

from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.ego import EgoState
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap
from openpair.datatypes.scene import Frame, Scene

LANE_WIDTH = 4.0


def lane(
    lane_id: str,
    block_id: str,
    points: Sequence[tuple[float, float]],
    *,
    is_connector: bool = False,
    incoming: Sequence[str] = (),
    outgoing: Sequence[str] = (),
    speed_limit: float | None = 10.0,
) -> Lane:
    """A lane of 4 m width along some points."""
    xy = np.array(points, float)
    step = np.diff(xy, axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])
    return Lane(
        id=lane_id,
        is_connector=is_connector,
        roadblock_id=block_id,
        polygon=LineString(xy).buffer(LANE_WIDTH / 2, cap_style="flat"),
        baseline=np.column_stack([xy, np.append(heading, heading[-1])]),
        incoming=tuple(incoming),
        outgoing=tuple(outgoing),
        speed_limit_mps=speed_limit,
    )


def block(
    block_id: str,
    lanes: Sequence[Lane],
    *,
    is_connector: bool = False,
    incoming: Sequence[str] = (),
    outgoing: Sequence[str] = (),
) -> Roadblock:
    """The block of some lanes: the convex hull of their surfaces."""
    surface = lanes[0].polygon
    for other in lanes[1:]:
        surface = surface.union(other.polygon)
    return Roadblock(
        block_id,
        is_connector,
        Polygon(surface.convex_hull.exterior),
        tuple(one.id for one in lanes),
        tuple(incoming),
        tuple(outgoing),
    )


def straight_town(*, speed_limit: float | None = 10.0) -> RoadMap:
    """Eastward: roadblock A (x 0..50, two lanes a0 at y = 0, a1 at y = -4), connector block AB (x 50..70),
    roadblock B (x 70..200). North of it a lone block N (y = 30), not linked to the others."""
    a0 = lane("a0", "A", [(0, 0), (25, 0), (50, 0)], outgoing=("ab0",), speed_limit=speed_limit)
    a1 = lane("a1", "A", [(0, -4), (25, -4), (50, -4)], outgoing=("ab1",), speed_limit=speed_limit)
    ab0 = lane("ab0", "AB", [(50, 0), (70, 0)], is_connector=True, incoming=("a0",), outgoing=("b0",))
    ab1 = lane("ab1", "AB", [(50, -4), (70, -4)], is_connector=True, incoming=("a1",), outgoing=("b1",))
    b0 = lane("b0", "B", [(70, 0), (140, 0), (200, 0)], incoming=("ab0",))
    b1 = lane("b1", "B", [(70, -4), (140, -4), (200, -4)], incoming=("ab1",))
    n0 = lane("n0", "N", [(200, 30), (0, 30)])
    lanes = [a0, a1, b0, b1, n0, ab0, ab1]
    return RoadMap(
        name="straight",
        lanes={one.id: one for one in lanes},
        roadblocks={
            "A": block("A", [a0, a1], outgoing=("AB",)),
            "B": block("B", [b0, b1], incoming=("AB",)),
            "N": block("N", [n0]),
            "AB": block("AB", [ab0, ab1], is_connector=True, incoming=("A",), outgoing=("B",)),
        },
        intersections={"I": Polygon([(50, -6), (70, -6), (70, 2), (50, 2)])},
    )


def agents(*rows: tuple[str, float, float, float, float], category: AgentCategory = AgentCategory.VEHICLE) -> Agents:
    """Cars (token, x, y, heading, speed along the heading)."""
    box = np.array([[x, y, heading, 4.0, 2.0, 1.5] for _, x, y, heading, _ in rows]).reshape(-1, 6)
    speed = np.array([row[4] for row in rows])
    velocity = np.column_stack([speed * np.cos(box[:, 2]), speed * np.sin(box[:, 2])]).reshape(-1, 2)
    return Agents(tuple(row[0] for row in rows), np.full(len(rows), int(category)), box, velocity, np.zeros(len(rows)))


def drive(
    road_map: RoadMap,
    *,
    start: tuple[float, float, float] = (10.0, 0.0, 0.0),
    speed: float = 8.0,
    route: Sequence[str] = ("A", "AB", "B"),
    others: Agents | None = None,
    red: Sequence[str] = (),
) -> Scene:
    """Fourteen frames of an ego at constant speed; ``others`` stand where they are. ``start`` is the current pose."""
    frames = []
    for k in range(-3, 11):
        time = 0.5 * k
        pose = np.array(start) + speed * time * np.array([np.cos(start[2]), np.sin(start[2]), 0.0])
        ego = EgoState(1_000_000_000 + 500_000 * k, pose, np.array([speed, 0.0]), np.zeros(2))
        frames.append(
            Frame(
                token=f"{k + 3:016x}",
                ego=ego,
                agents=Agents.empty() if others is None else others,
                traffic_lights=tuple((lane_id, True) for lane_id in red),
                route_roadblock_ids=tuple(route),
                driving_command=np.array([0, 1, 0, 0]),
                cameras={},
            )
        )
    return Scene("toy", "toy_log", road_map, tuple(frames))


@dataclass(frozen=True)
class ToyKey:
    log_name: str
    token: str


class ToyDataset:
    """Ninety-nine scenes on the straight town, ten of them without a route."""

    name = "toy"

    def __init__(self) -> None:
        self._town = straight_town()

    def keys(self) -> list[ToyKey]:
        return [ToyKey("toy_log", f"{number:016x}") for number in range(99)]

    def load_scene(self, token: str) -> Scene:
        number = int(token, 16)
        scene = drive(
            self._town,
            start=(5.0 + 0.1 * number, 0.0, 0.0),
            speed=5.0 + 0.05 * number,
            route=() if number % 10 == 9 else ("A", "AB", "B"),
            others=agents(*[(f"car{i}", 30.0 + 9 * i, -4.0 + 0.02 * number, 0.1 * i, 3.0) for i in range(number % 7)]),
            red=("ab0",) if number % 3 == 0 else (),
        )
        current = replace(scene.current, token=token)
        return replace(scene, frames=(*scene.frames[:3], current, *scene.frames[4:]))


def open_toy_dataset() -> ToyDataset:
    """Factory for worker processes."""
    return ToyDataset()
