"""Streets of a town: SUMO's ``netgenerate`` draws the pattern, we add bends, lanes, kerbs, parking and lights,
``netconvert`` builds the network.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from openpair.errors import OpenPairError
from openpair.worldgen.recipes import StreetPattern, TownRecipe
from openpair.worldgen.sumo_net import read_net

SIDEWALK_M = 2.2
PARKING_M = 2.5
GUTTER_M = 0.6
"""Paved strip between the outer lane and the kerb where nobody parks [m]."""
MIN_BLOCK_M = 60.0
MIN_BEND_M = 15.0
BEND_ACCELERATION = 2.6
"""Lateral acceleration at the speed limit of a bent street [m/s^2]."""
TURN_ACCELERATION = 3.0
"""Lateral acceleration at which a normal driver takes a turn [m/s^2]."""
_ARTERIAL, _LOCAL = 3, 1


@dataclass
class _Street:
    """One street between two nodes, both directions alike."""

    ends: tuple[str, str]
    shape: NDArray[np.float64]
    lanes: int = 1
    speed_mps: float = 13.89
    parking: bool = False
    priority: int = _LOCAL
    top_speed_mps: float = 99.0


@dataclass
class _Plan:
    """The pattern while it is being edited."""

    nodes: dict[str, NDArray[np.float64]]
    streets: list[_Street] = field(default_factory=list)

    def degree(self, node: str) -> int:
        return sum(node in street.ends for street in self.streets)


def sumo_binary(name: str) -> str:
    """Path of a SUMO program. Raises OpenPairError where SUMO is not installed."""
    spec = importlib.util.find_spec("sumo")
    if spec is None or not spec.submodule_search_locations:
        raise OpenPairError(
            "building a world needs Eclipse SUMO, which is not installed",
            fix="pip install 'openpair[world]'; the worlds that come with the package need no SUMO",
        )
    return str(Path(next(iter(spec.submodule_search_locations))) / "bin" / name)


def run_sumo_tool(name: str, args: list[str], cwd: Path) -> None:
    """Run a SUMO program quietly. Raises OpenPairError with its last words where it fails."""
    binary = sumo_binary(name)
    env = {**os.environ, "SUMO_HOME": str(Path(binary).parent.parent), "LC_ALL": "C"}
    done = subprocess.run([binary, *args], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OpenPairError(f"SUMO's {name} failed: {done.stderr.strip()[-400:]}", where=cwd)


def build_network(recipe: TownRecipe, folder: Path) -> Path:
    """Write the road network of a town into ``folder``; returns the path of ``town.net.xml``."""
    rng = np.random.default_rng([recipe.seed, 1])
    plan = _draw_pattern(recipe, folder)
    _prune(plan, recipe)
    _round_corners(plan)
    _classify(plan, recipe, rng)
    _bend(plan, recipe, rng)
    _write_plain(plan, recipe, rng, folder)
    args = ["-n", "town.nod.xml", "-e", "town.edg.xml", "-o", "town.net.xml"]
    args += ["--crossings.guess", "--crossings.guess.speed-threshold", "17", "--walkingareas"]
    args += ["--no-turnarounds", "--junctions.internal-link-detail", "16", "--junctions.corner-detail", "6"]
    args += ["--default.junctions.radius", f"{recipe.corner_radius_m}", "--junctions.limit-turn-speed", "-1"]
    args += ["--tls.yellow.time", "3", "--tls.allred.time", "1", "--tls.cycle.time", f"{recipe.cycle_s}"]
    args += ["--tls.default-type", "static", "--seed", f"{recipe.seed}"]
    run_sumo_tool("netconvert", args, folder)
    _limit_turn_speeds(folder / "town.net.xml")
    return folder / "town.net.xml"


def _limit_turn_speeds(path: Path) -> None:
    """Give every lane inside a junction the speed at which its sharpest bend feels like TURN_ACCELERATION."""
    tree = ET.parse(path)
    lane_of = {lane.get("id"): lane for edge in tree.getroot().iter("edge") for lane in edge.iter("lane")}
    for link in read_net(path).connections:
        steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(link.shape, axis=0).T))])
        grid = np.arange(0.0, steps[-1], 0.5)
        ahead = link.shape[-1] - link.shape[-2]
        behind = link.shape[0] - link.shape[1]
        line = np.column_stack([np.interp(grid, steps, link.shape[:, i]) for i in range(2)])
        line = np.concatenate([
            line[0] + np.arange(16, 0, -1)[:, None] * 0.5 * behind / np.hypot(*behind),
            line,
            line[-1] + np.arange(1, 17)[:, None] * 0.5 * ahead / np.hypot(*ahead),
        ])  # fmt: skip
        line = gaussian_filter1d(line, 2.6 / 0.5, axis=0, mode="nearest")
        step = np.diff(line, axis=0)
        turn = np.abs(np.diff(np.unwrap(np.arctan2(step[:, 1], step[:, 0]))))[6:-6] / 0.5
        speed = float(np.sqrt(TURN_ACCELERATION / max(1e-3, float(turn.max()))))
        for lane_id in link.via:
            lane = lane_of[lane_id]
            lane.set("speed", f"{min(speed, float(lane.get('speed', '13.89'))):.2f}")
    tree.write(path)


def _draw_pattern(recipe: TownRecipe, folder: Path) -> _Plan:
    a, b = recipe.size
    block = recipe.block_m
    args = ["--seed", f"{recipe.seed}", "--plain-output-prefix", "pattern", "-o", "pattern.net.xml"]
    if recipe.pattern is StreetPattern.GRID:
        args += ["--grid", "--grid.x-number", f"{a}", "--grid.y-number", f"{b}"]
        args += ["--grid.x-length", f"{block}", "--grid.y-length", f"{0.85 * block:.1f}"]
    elif recipe.pattern is StreetPattern.SPIDER:
        args += ["--spider", "--spider.arm-number", f"{a}", "--spider.circle-number", f"{b}"]
        args += ["--spider.space-radius", f"{block}", "--spider.omit-center", "false"]
    else:
        args += ["--rand", "--rand.iterations", f"{a}", "--rand.min-angle", "65", "--rand.num-tries", "80"]
        args += ["--rand.min-distance", f"{0.8 * block:.1f}", "--rand.max-distance", f"{1.5 * block:.1f}"]
    run_sumo_tool("netgenerate", args, folder)
    nodes = {
        node.get("id", ""): np.array([float(node.get("x", "0")), float(node.get("y", "0"))])
        for node in ET.parse(folder / "pattern.nod.xml").getroot().iter("node")
    }
    ends = {
        tuple(sorted((edge.get("from", ""), edge.get("to", ""))))
        for edge in ET.parse(folder / "pattern.edg.xml").getroot().iter("edge")
    }
    plan = _Plan(nodes)
    plan.streets = [_Street((a, b), np.stack([nodes[a], nodes[b]])) for a, b in sorted(ends) if a != b]
    return plan


def _prune(plan: _Plan, recipe: TownRecipe) -> None:
    """Take away dead ends and blocks too short for a queue; pull grid points off their grid."""
    rng = np.random.default_rng([recipe.seed, 2])
    jitter = 0.13 * recipe.block_m if recipe.pattern is not StreetPattern.RANDOM else 0.0
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for name in sorted(plan.nodes):
        plan.nodes[name] = turn @ (plan.nodes[name] + rng.uniform(-jitter, jitter, 2))
    for street in plan.streets:
        street.shape = np.stack([plan.nodes[street.ends[0]], plan.nodes[street.ends[1]]])
    plan.streets = [s for s in plan.streets if np.hypot(*(s.shape[1] - s.shape[0])) >= MIN_BLOCK_M]
    while True:
        dead = {node for node in plan.nodes if plan.degree(node) < 2}
        if not dead:
            break
        plan.streets = [s for s in plan.streets if not dead & set(s.ends)]
        for node in dead:
            del plan.nodes[node]


def _round_corners(plan: _Plan) -> None:
    """Where only two streets meet, make them one street with a bend that a car can take."""
    for name in sorted(plan.nodes):
        here = [street for street in plan.streets if name in street.ends]
        if len(here) != 2:
            continue
        before, after = (s.shape if s.ends[k] == name else s.shape[::-1] for s, k in zip(here, (1, 0), strict=True))
        ends = tuple(s.ends[1] if s.ends[0] == name else s.ends[0] for s in here)
        rounded = _fillet(before, after)
        if rounded is None or ends[0] == ends[1]:
            continue
        shape, radius = rounded
        top_speed = min(float(np.sqrt(BEND_ACCELERATION * radius)), *(s.top_speed_mps for s in here))
        plan.streets = [s for s in plan.streets if s not in here]
        plan.streets.append(_Street((ends[0], ends[1]), shape, top_speed_mps=top_speed))
        del plan.nodes[name]


def _fillet(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[NDArray[np.float64], float] | None:
    """Two lines that meet in a corner, joined by an arc: line and radius of the arc; None where it would be tight."""
    corner = before[-1]
    back, ahead = before[-2] - corner, after[1] - corner
    lengths = np.hypot(*back), np.hypot(*ahead)
    back, ahead = back / lengths[0], ahead / lengths[1]
    turn = np.pi - float(np.arccos(np.clip(back @ ahead, -1, 1)))
    if turn < 0.05:
        return np.concatenate([before, after[1:]]), 1e3
    tangent = 0.45 * min(lengths)
    radius = min(35.0, float(tangent / np.tan(turn / 2)))
    if radius < MIN_BEND_M:
        return None
    tangent = radius * np.tan(turn / 2)
    middle = (back + ahead) / np.hypot(*(back + ahead))
    center = corner + middle * radius / np.cos(turn / 2)
    a, b = corner + tangent * back - center, corner + tangent * ahead - center
    t = np.linspace(0, 1, max(4, round(turn * radius / 3)))[:, None]
    arc = center + (np.sin((1 - t) * turn) * a + np.sin(t * turn) * b) / np.sin(turn)
    return np.concatenate([before[:-1], arc, after[1:]]), radius


def _classify(plan: _Plan, recipe: TownRecipe, rng: np.random.Generator) -> None:
    """Lay main roads along shortest paths across the town; the other streets are local ones."""
    for street in plan.streets:
        street.lanes = 2 if rng.random() < recipe.two_lane_share else 1
        street.speed_mps = float(rng.choice(recipe.local_speeds_mps))
        street.parking = bool(rng.random() < recipe.parking_share)
    names = sorted(plan.nodes)
    for _ in range(recipe.arterials):
        angle = rng.uniform(0, 2 * np.pi)
        along = [float(plan.nodes[n] @ np.array([np.cos(angle), np.sin(angle)])) for n in names]
        path = _shortest_path(plan, names[int(np.argmin(along))], names[int(np.argmax(along))])
        for ends in pairwise(path):
            for street in plan.streets:
                if set(street.ends) == set(ends):
                    street.lanes, street.speed_mps = recipe.arterial_lanes, recipe.arterial_speed_mps
                    street.priority, street.parking = _ARTERIAL, False
    for street in plan.streets:
        street.speed_mps = min(street.speed_mps, street.top_speed_mps)


def _shortest_path(plan: _Plan, start: str, goal: str) -> list[str]:
    best: dict[str, tuple[float, list[str]]] = {start: (0.0, [start])}
    todo = {start}
    while todo:
        node = min(todo, key=lambda n: (best[n][0], n))
        todo.remove(node)
        for street in plan.streets:
            if node in street.ends:
                other = street.ends[1] if street.ends[0] == node else street.ends[0]
                cost = best[node][0] + float(np.hypot(*(plan.nodes[other] - plan.nodes[node])))
                if other not in best or cost < best[other][0]:
                    best[other] = (cost, [*best[node][1], other])
                    todo.add(other)
    return best[goal][1] if goal in best else [start]


def _bend(plan: _Plan, recipe: TownRecipe, rng: np.random.Generator) -> None:
    """Bow or S-shape some streets; ends stay in place."""
    for street in plan.streets:
        start, end = street.shape[0], street.shape[-1]
        length = float(np.hypot(*(end - start)))
        bends, bow, kind = rng.random() < recipe.curve_share, rng.uniform(0.03, 0.075), rng.random()
        sign = rng.choice([-1.0, 1.0])
        if not bends or len(street.shape) > 2:
            continue
        t = np.linspace(0, 1, max(8, round(length / 8)))
        wave = np.sin(np.pi * t) if kind < 0.7 else 0.55 * np.sin(2 * np.pi * t)
        normal = np.array([start[1] - end[1], end[0] - start[0]]) / length
        street.shape = start + np.outer(t, end - start) + np.outer(sign * bow * length * wave, normal)


def _write_plain(plan: _Plan, recipe: TownRecipe, rng: np.random.Generator, folder: Path) -> None:
    nodes = ET.Element("nodes")
    for name in sorted(plan.nodes):
        here = [s for s in plan.streets if name in s.ends]
        large = len(here) >= 3 and (max(s.lanes for s in here) > 1 or len(here) >= 4)
        light, stop = rng.random() < recipe.light_share, rng.random() < recipe.all_way_stop_share
        kind = "traffic_light" if large and light else "allway_stop" if stop and len(here) > 2 else "priority"
        x, y = plan.nodes[name]
        ET.SubElement(nodes, "node", id=name, x=f"{x:.2f}", y=f"{y:.2f}", type=kind, keepClear="true")
    edges = ET.Element("edges")
    for number, street in enumerate(plan.streets):
        for tag, ends, shape in (("a", street.ends, street.shape), ("b", street.ends[::-1], street.shape[::-1])):
            widths = [SIDEWALK_M, PARKING_M if street.parking else GUTTER_M] + [recipe.lane_width_m] * street.lanes
            edge = ET.SubElement(edges, "edge", {"id": f"e{number}{tag}", "from": ends[0], "to": ends[1]})
            edge.set("numLanes", f"{len(widths)}")
            edge.set("speed", f"{street.speed_mps:.2f}")
            edge.set("priority", f"{street.priority}")
            edge.set("spreadType", "right")
            edge.set("shape", " ".join(f"{x:.2f},{y:.2f}" for x, y in shape))
            for index, width in enumerate(widths):
                lane = ET.SubElement(edge, "lane", index=f"{index}", width=f"{width:.2f}")
                if index == 0:
                    lane.set("allow", "pedestrian")
                elif index == 1:
                    lane.set("disallow", "all")
                else:
                    lane.set("disallow", "pedestrian")
    ET.ElementTree(nodes).write(folder / "town.nod.xml")
    ET.ElementTree(edges).write(folder / "town.edg.xml")
