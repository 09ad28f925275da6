"""Who drives, cycles and walks in a town: driver classes, vehicle sizes, routes by random walk."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from openpair.datatypes import vehicle as ego_size
from openpair.worldgen.recipes import TownRecipe
from openpair.worldgen.sumo_net import Net, NetLane

EPISODE_S = 260
EGO_KIND = "ego"
STRAIGHT_ON = 0.4
"""How often a driver goes straight on without drawing among all ways."""


@dataclass(frozen=True)
class Size:
    """Length, width, height [m] and how often it is drawn."""

    length: float
    width: float
    height: float
    share: float


SIZES = {
    EGO_KIND: Size(ego_size.LENGTH_M, ego_size.WIDTH_M, ego_size.HEIGHT_M, 0.42),
    "compact": Size(4.1, 1.8, 1.5, 0.14),
    "sedan": Size(4.7, 1.88, 1.48, 0.18),
    "suv": Size(4.9, 2.0, 1.75, 0.14),
    "van": Size(5.9, 2.1, 2.4, 0.08),
    "truck": Size(7.6, 2.45, 3.2, 0.04),
}
BICYCLE = Size(1.75, 0.65, 1.75, 1.0)
PEDESTRIAN = Size(0.6, 0.65, 1.75, 1.0)

DRIVERS: dict[str, dict[str, str]] = {
    "normal": {
        "accel": "2.0", "decel": "3.2", "tau": "1.3", "minGap": "2.2", "speedFactor": "normc(0.90,0.08,0.74,1.06)",
        "lcAssertive": "1.0", "lcSpeedGain": "1.0", "impatience": "0.1", "jmTimegapMinor": "1.5", "startupDelay": "0.5",
    },
    "timid": {
        "accel": "1.5", "decel": "2.6", "tau": "1.9", "minGap": "3.0", "speedFactor": "normc(0.76,0.07,0.60,0.92)",
        "lcAssertive": "0.7", "lcSpeedGain": "0.3", "impatience": "0.0", "jmTimegapMinor": "2.2", "startupDelay": "1.0",
    },
    "aggressive": {
        "accel": "2.2", "decel": "3.5", "tau": "0.85", "minGap": "1.5", "speedFactor": "normc(1.05,0.07,0.92,1.2)",
        "lcAssertive": "2.0", "lcSpeedGain": "5.0", "impatience": "0.6", "jmTimegapMinor": "1.0", "startupDelay": "0.2",
    },
}  # fmt: skip
"""SUMO parameters of a driver class. Late reactions come from the action step of each class (``ACTION_STEP_S``)."""

ACTION_STEP_S = {"normal": 0.4, "timid": 0.6, "aggressive": 0.3}


def write_demand(recipe: TownRecipe, net: Net, episode: int, folder: Path) -> Path:
    """Write ``demand.rou.xml`` of one episode into ``folder`` and return its path."""
    rng = np.random.default_rng([recipe.seed, 4, episode])
    root = ET.Element("routes")
    _vehicle_types(root)
    onward = _successors(net)
    straight_on = _straight_on(net)
    starts = sorted(onward)
    trips: list[tuple[float, ET.Element]] = []
    lane_km = sum(_length_km(lane) for edge in net.edges.values() for lane in edge.drive_lanes)
    sidewalk_km = sum(_length_km(lane) for edge in net.edges.values() for lane in edge.lanes if lane.kind == "sidewalk")
    names, shares = list(SIZES), np.array([size.share for size in SIZES.values()])
    for i in range(round(recipe.vehicles_per_km * lane_km)):
        kind = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        draw = rng.random()
        aggressive = draw < recipe.aggressive_share
        timid = draw > 1 - recipe.timid_share
        driver = "aggressive" if aggressive else "timid" if timid else "normal"
        trips.append(
            _vehicle(f"v{i}_{kind}_{driver}", f"{kind}_{driver}", _walk(rng, onward, straight_on, starts), 0.3 * i)
        )
    for i in range(round(recipe.bicycles_per_km * lane_km)):
        trips.append(_vehicle(f"b{i}", "bicycle", _walk(rng, onward, straight_on, starts), 0.5 * i))
    for i in range(round(recipe.pedestrians_per_km * sidewalk_km)):
        trips.append(_pedestrian(f"p{i}", rng, starts, 0.1 * i))
    for _, element in sorted(trips, key=lambda item: item[0]):
        root.append(element)
    path = folder / "demand.rou.xml"
    ET.ElementTree(root).write(path)
    return path


def _vehicle_types(root: ET.Element) -> None:
    for driver, parameters in DRIVERS.items():
        for kind, size in SIZES.items():
            attributes = {
                "id": f"{kind}_{driver}", "vClass": "passenger", "carFollowModel": "Krauss", "sigma": "0.25",
                "laneChangeModel": "SL2015", "latAlignment": "center", "minGapLat": "0.5", "lcSigma": "0.05",
                "jmStoplineGap": "2.2", "maxSpeedLat": "1.0", "lcMaxSpeedLatStanding": "0",
                "lcMaxSpeedLatFactor": "0.2", "actionStepLength": f"{ACTION_STEP_S[driver]}", "emergencyDecel": "7",
                "length": f"{size.length}", "width": f"{size.width}", "height": f"{size.height}",
            }  # fmt: skip
            heavy = {"accel": "1.2", "decel": "2.6"} if kind == "truck" else {}
            ET.SubElement(root, "vType", {**attributes, **parameters, **heavy})
    bicycle = {
        "id": "bicycle", "vClass": "bicycle", "maxSpeed": "5.2", "speedFactor": "normc(0.9,0.15,0.6,1.1)",
        "accel": "1.0", "decel": "2.5", "length": f"{BICYCLE.length}", "width": f"{BICYCLE.width}",
        "laneChangeModel": "SL2015", "latAlignment": "right", "minGap": "1.0", "minGapLat": "0.3",
        "lcMaxSpeedLatStanding": "0", "lcMaxSpeedLatFactor": "0.3",
    }  # fmt: skip
    ET.SubElement(root, "vType", bicycle)
    ET.SubElement(root, "vType", id="walker", vClass="pedestrian", speedFactor="normc(1.0,0.15,0.6,1.4)")


def _length_km(lane: NetLane) -> float:
    return float(np.sum(np.hypot(*np.diff(lane.shape, axis=0).T))) / 1000


def _successors(net: Net) -> dict[str, list[str]]:
    edge_of = {lane.id: edge.id for edge in net.edges.values() for lane in edge.lanes}
    onward: dict[str, set[str]] = {}
    for link in net.connections:
        onward.setdefault(edge_of[link.from_lane], set()).add(edge_of[link.to_lane])
    return {edge: sorted(after) for edge, after in onward.items()}


def _straight_on(net: Net) -> dict[str, str]:
    edge_of = {lane.id: edge.id for edge in net.edges.values() for lane in edge.lanes}
    return {edge_of[link.from_lane]: edge_of[link.to_lane] for link in net.connections if link.direction == "s"}


def _walk(
    rng: np.random.Generator, onward: dict[str, list[str]], straight_on: dict[str, str], starts: list[str]
) -> list[str]:
    """A drive through the town that turns often and does not come back to a street within ten blocks if it can."""
    route = [str(rng.choice(starts))]
    for _ in range(45):
        options = onward.get(route[-1], [])
        fresh = [edge for edge in options if edge not in route[-10:] and edge[:-1] != route[-1][:-1]]
        if not (fresh or options):
            break
        ahead = straight_on.get(route[-1])
        go_on = ahead in fresh and rng.random() < STRAIGHT_ON
        route.append(str(ahead) if go_on else str(rng.choice(fresh or options)))
    return route


def _vehicle(name: str, kind: str, route: list[str], depart_s: float) -> tuple[float, ET.Element]:
    element = ET.Element(
        "vehicle", id=name, type=kind, depart=f"{depart_s:.1f}", departLane="best", departPos="random_free",
        departSpeed="0",
    )  # fmt: skip
    ET.SubElement(element, "route", edges=" ".join(route))
    return depart_s, element


def _pedestrian(name: str, rng: np.random.Generator, edges: list[str], depart_s: float) -> tuple[float, ET.Element]:
    element = ET.Element("person", id=name, type="walker", depart=f"{depart_s:.1f}", departPos="random")
    stops = [str(edge) for edge in rng.choice(edges, 4)]
    for start, goal in pairwise(stops):
        if start != goal:
            ET.SubElement(element, "walk", {"from": start, "to": goal})
    if len(element) == 0:
        ET.SubElement(element, "walk", {"from": edges[0], "to": edges[1]})
    return depart_s, element
