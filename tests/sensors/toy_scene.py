"""A straight street with two lanes each way, a crossing at its end, and whatever agents a test puts on it."""

from __future__ import annotations

import numpy as np
from shapely.geometry import Polygon, box

from openpair.datatypes.agents import Agents
from openpair.datatypes.ego import EgoState
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap
from openpair.datatypes.scene import Frame, Scene


def _lane(token: str, block: str, y: float, backwards: bool, shift: np.ndarray, x: tuple[float, float]) -> Lane:
    xs = np.linspace(*x, 20)
    if backwards:
        xs = xs[::-1]
    heading = np.full(20, np.pi if backwards else 0.0)
    line = np.stack([xs + shift[0], np.full(20, y) + shift[1], heading], axis=1)
    polygon = box(x[0] + shift[0], y - 1.75 + shift[1], x[1] + shift[0], y + 1.75 + shift[1])
    return Lane(token, False, block, polygon, line)


def street(shift: tuple[float, float] = (0.0, 0.0)) -> RoadMap:
    """Lanes along x from -60 to 60 m at y = -1.75 and -5.25 (forward), 1.75 and 5.25 (oncoming).

    Behind x = 60 lies a crossing with one signalled connector ("go") straight over it.
    """
    s = np.array(shift)
    rows = (("f0", -1.75, False), ("f1", -5.25, False), ("o0", 1.75, True), ("o1", 5.25, True))
    lanes = {t: _lane(t, "F" if not back else "O", y, back, s, (-60.0, 60.0)) for t, y, back in rows}
    xs = np.linspace(60.0, 80.0, 9)
    line = np.stack([xs + s[0], np.full(9, -1.75) + s[1], np.zeros(9)], axis=1)
    crossing = box(60.0 + s[0], -10.0 + s[1], 80.0 + s[0], 10.0 + s[1])
    ribbon = box(60.0 + s[0], -3.5 + s[1], 80.0 + s[0], s[1])
    lanes["go"] = Lane("go", True, "C", ribbon, line, stop_line_ids=("stop",))
    halves = {
        "F": box(-60.0 + s[0], -7.0 + s[1], 60.0 + s[0], s[1]),
        "O": box(-60.0 + s[0], s[1], 60.0 + s[0], 7.0 + s[1]),
    }
    blocks = {
        "F": Roadblock("F", False, halves["F"], ("f0", "f1"), outgoing=("C",)),
        "O": Roadblock("O", False, halves["O"], ("o0", "o1")),
        "C": Roadblock("C", True, None, ("go",), incoming=("F",)),
    }
    zebra: Polygon = box(56.0 + s[0], -7.0 + s[1], 59.0 + s[0], 7.0 + s[1])
    return RoadMap("toy", lanes, blocks, intersections={"x": crossing}, crosswalks={"z": zebra})


def agents_at(rows: list[tuple[int, tuple[float, float, float, float, float, float]]]) -> Agents:
    """Agents standing still: (category, (x, y, heading, length, width, height)), global frame."""
    if not rows:
        return Agents.empty()
    boxes = np.array([r[1] for r in rows], np.float64)
    tokens = tuple(f"agent{i}" for i in range(len(rows)))
    return Agents(tokens, np.array([r[0] for r in rows]), boxes, np.zeros((len(rows), 2)), boxes[:, 5] / 2)


def scene_at(
    pose: tuple[float, float, float],
    agents: Agents,
    road_map: RoadMap,
    lights: tuple[tuple[str, bool], ...] = (),
    speed: float = 5.0,
) -> Scene:
    """A scene of 14 equal surroundings in which the ego drives straight on at ``speed`` [m/s]."""
    frames = []
    for i in range(14):
        ahead = speed * 0.5 * (i - 3)
        at = np.array([pose[0] + ahead * np.cos(pose[2]), pose[1] + ahead * np.sin(pose[2]), pose[2]])
        ego = EgoState(i * 500_000, at, np.array([speed, 0.0]), np.zeros(2))
        frames.append(Frame(f"{i:016x}", ego, agents, lights, ("F", "C"), np.array([0, 1, 0, 0]), {}))
    return Scene("toy", "log", road_map, tuple(frames))
