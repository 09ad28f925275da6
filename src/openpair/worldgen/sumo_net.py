"""Reads SUMO's ``net.xml`` into plain structures: what the map and the traffic need of it, nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class NetLane:
    """A lane of a normal edge.

    Attributes:
        shape: (M, 2) centre line [m], network frame.
        kind: "drive", "kerb" (parking strip or gutter, closed to traffic) or "sidewalk".
    """

    id: str
    shape: NDArray[np.float64]
    width: float
    speed: float
    kind: str


@dataclass(frozen=True)
class NetEdge:
    """A street in one direction; ``lanes`` in SUMO's order, rightmost first."""

    id: str
    from_node: str
    to_node: str
    lanes: tuple[NetLane, ...]

    @property
    def drive_lanes(self) -> tuple[NetLane, ...]:
        """Driving lanes, leftmost first."""
        return tuple(lane for lane in reversed(self.lanes) if lane.kind == "drive")


@dataclass(frozen=True)
class NetConnection:
    """A lane connector: its chained internal lanes as one line."""

    from_lane: str
    to_lane: str
    shape: NDArray[np.float64]
    via: tuple[str, ...]
    speed: float
    tls: str | None
    link_index: int
    direction: str


@dataclass(frozen=True)
class NetJunction:
    """A node with its kind ("traffic_light", "priority", "allway_stop" ...)."""

    id: str
    kind: str
    shape: NDArray[np.float64]


@dataclass(frozen=True)
class Net:
    """A road network."""

    edges: dict[str, NetEdge] = field(default_factory=dict)
    connections: list[NetConnection] = field(default_factory=list)
    junctions: dict[str, NetJunction] = field(default_factory=dict)
    crossings: list[tuple[NDArray[np.float64], float]] = field(default_factory=list)
    walking_areas: list[NDArray[np.float64]] = field(default_factory=list)


def read_net(path: Path) -> Net:
    """Parse a network built by :func:`openpair.worldgen.streets.build_network`."""
    root = ET.parse(path).getroot()
    net = Net()
    internal: dict[str, NetLane] = {}
    for edge in root.iter("edge"):
        function = edge.get("function")
        lanes = tuple(_lane(lane) for lane in edge.iter("lane"))
        if function is None:
            net.edges[edge.get("id", "")] = NetEdge(edge.get("id", ""), edge.get("from", ""), edge.get("to", ""), lanes)
        elif function == "internal":
            internal.update({lane.id: lane for lane in lanes})
        elif function == "crossing":
            net.crossings.append((lanes[0].shape, lanes[0].width))
        elif function == "walkingarea":
            net.walking_areas.append(lanes[0].shape)
    for node in root.iter("junction"):
        if node.get("type") != "internal":
            name = node.get("id", "")
            net.junctions[name] = NetJunction(name, node.get("type", ""), _shape(node.get("shape", "")))
    _read_connections(root, net, internal)
    return net


def _read_connections(root: ET.Element, net: Net, internal: dict[str, NetLane]) -> None:
    onward = {
        (c.get("from", ""), c.get("fromLane", "")): c for c in root.iter("connection") if c.get("from", "")[0] == ":"
    }
    for element in root.iter("connection"):
        start, goal = element.get("from", ""), element.get("to", "")
        if start not in net.edges or goal not in net.edges:
            continue
        from_lane = net.edges[start].lanes[int(element.get("fromLane", "0"))]
        to_lane = net.edges[goal].lanes[int(element.get("toLane", "0"))]
        if from_lane.kind != "drive" or to_lane.kind != "drive":
            continue
        via: list[str] = []
        step = element
        while (lane_id := step.get("via")) is not None:
            via.append(lane_id)
            edge, _, lane = lane_id.rpartition("_")
            step = onward[(edge, lane)]
        points = np.concatenate([from_lane.shape[-1:], *(internal[v].shape for v in via), to_lane.shape[:1]])
        keep = np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 0.02])
        net.connections.append(
            NetConnection(
                from_lane.id,
                to_lane.id,
                points[keep],
                tuple(via),
                internal[via[0]].speed if via else from_lane.speed,
                element.get("tl"),
                int(element.get("linkIndex", "-1")),
                element.get("dir", "s"),
            )
        )


def _lane(element: ET.Element) -> NetLane:
    if element.get("allow") == "pedestrian":
        kind = "sidewalk"
    elif element.get("disallow") == "all":
        kind = "kerb"
    else:
        kind = "drive"
    width, speed = float(element.get("width", "3.2")), float(element.get("speed", "13.89"))
    return NetLane(element.get("id", ""), _shape(element.get("shape", "")), width, speed, kind)


def _shape(text: str) -> NDArray[np.float64]:
    return np.array([[float(v) for v in point.split(",")[:2]] for point in text.split()]).reshape(-1, 2)
