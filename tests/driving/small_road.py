"""A straight road with a traffic light, small enough to work out every drive on paper.

Eastbound: lane "1" (x -60 .. 100), connector "3" with a light (x 100 .. 120, inside an intersection), lane "4"
(x 120 .. 400), all 4 m wide around y = 0. Oncoming: lane "2" around y = 4 (x 100 .. -60). The limit is 15 m/s.
The recorded human drives along y = 0; it is at x = 0 when a drive starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import box

from openpair.datasets.base import SceneKey
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.ego import EgoState
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap
from openpair.datatypes.scene import Frame, Scene
from openpair.driving.recording import Recording
from openpair.errors import OpenPairError

FRAMES = 40
SPEED = 10.0
ROUTE = ("b1", "c3", "b4")
DRIVE_STEPS = 180
"""The log leaves 18 s to drive: 180 m for the human."""

Where = Callable[[float], tuple[float, float]]
"""Seconds since the start of the drive -> x [m], speed [m/s]."""


def line(x1: float, x2: float, y: float) -> NDArray[np.float64]:
    x = np.linspace(x1, x2, int(abs(x2 - x1)) + 1)
    return np.stack([x, np.full(len(x), y), np.full(len(x), 0.0 if x2 > x1 else np.pi)], axis=1)


def road_map() -> RoadMap:
    surface = {
        "1": box(-60, -2, 100, 2),
        "2": box(-60, 2, 100, 6),
        "3": box(100, -2, 120, 2),
        "4": box(120, -2, 400, 2),
    }
    lanes = {
        "1": Lane("1", False, "b1", surface["1"], line(-60, 100, 0), (), ("3",), 15.0),
        "2": Lane("2", False, "b2", surface["2"], line(100, -60, 4), (), (), 15.0),
        "4": Lane("4", False, "b4", surface["4"], line(120, 400, 0), ("3",), (), 15.0),
        "3": Lane("3", True, "c3", surface["3"], line(100, 120, 0), ("1",), ("4",), 15.0, stop_line_ids=("s",)),
    }
    blocks = {
        "b1": Roadblock("b1", False, surface["1"], ("1",), (), ("c3",)),
        "b2": Roadblock("b2", False, surface["2"], ("2",)),
        "b4": Roadblock("b4", False, surface["4"], ("4",), ("c3",), ()),
        "c3": Roadblock("c3", True, surface["3"], ("3",), ("b1",), ("b4",), "i"),
    }
    return RoadMap("small road", lanes, blocks, intersections={"i": box(100, -6, 120, 10)})


def steady(seconds: float) -> tuple[float, float]:
    return SPEED * seconds, SPEED


def standing_at_first(seconds: float) -> tuple[float, float]:
    return SPEED * max(seconds, 0.0), SPEED if seconds > 0 else 0.0


@dataclass(frozen=True)
class Other:
    """A road user that moves along x at constant speed; ``x`` is where it is at the start of the drive."""

    token: str
    x: float
    speed: float = 0.0
    y: float = 0.0
    category: AgentCategory = AgentCategory.VEHICLE
    length: float = 4.0
    width: float = 2.0


def recording(
    others: tuple[Other, ...] = (),
    *,
    human: Where = steady,
    red: bool = False,
    heading: float = 0.0,
    frames: int = FRAMES,
) -> Recording:
    """``heading``: of the recorded ego in its first frames."""
    rows = []
    for index in range(frames):
        seconds = 0.5 * (index - 3)
        x, speed = human(seconds)
        pose = np.array([x, 0.0, heading if index <= 4 else 0.0])
        ego = EgoState(500_000 * index, pose, np.array([speed, 0.0]), np.zeros(2))
        boxes = [[o.x + o.speed * seconds, o.y, 0.0, o.length, o.width, 1.5] for o in others]
        agents = Agents(
            tuple(o.token for o in others),
            np.array([o.category for o in others], np.int64),
            np.array(boxes, np.float64).reshape(-1, 6),
            np.array([[o.speed, 0.0] for o in others], np.float64).reshape(-1, 2),
            np.full(len(others), 0.75),
        )
        rows.append(Frame(f"{index}", ego, agents, (("3", red),), ROUTE, np.array([0, 1, 0, 0]), {}))
    return Recording("small", "log", road_map(), tuple(rows))


@dataclass
class SmallLogs:
    """Short logs of the small road as a dataset, each one scene; "broken" cannot be read.

    Attributes:
        logs: name -> the scene's recording; None where it cannot be read.
    """

    logs: dict[str, Recording | None] = field(default_factory=lambda: {"log": recording(frames=24), "broken": None})
    name: str = "small"
    ray_cast: bool = True

    def keys(self) -> list[SceneKey]:
        return [SceneKey(name, name) for name in self.logs]

    def fingerprint(self) -> str:
        return "small"

    def load_scene(self, token: str) -> Scene:
        log = self.logs[token]
        if log is None:
            raise OpenPairError("the log is damaged", where="broken.pkl")
        return Scene("small", token, log.road_map, log.frames, 3)


@dataclass
class Standing:
    """Stands where it is."""

    name: str = "standing"
    uses_truth: bool = False

    def plan(self, scene: Scene) -> NDArray[np.float64]:
        return np.zeros((8, 3))


@dataclass
class FailingAt:
    """Drives straight on, and fails at one of its plans."""

    count: int
    how: str = "raise"
    name: str = "failing"
    uses_truth: bool = False
    planned: int = 0

    def plan(self, scene: Scene) -> NDArray[np.float64]:
        self.planned += 1
        plan = np.zeros((8, 3))
        plan[:, 0] = SPEED * 0.5 * np.arange(1, 9)
        if self.planned == self.count:
            if self.how == "raise":
                raise RuntimeError("out of ideas")
            if self.how == "exit":
                raise SystemExit("good-bye")
            if self.how == "unprintable":
                raise RuntimeError("no file \udcff")
            if self.how == "words":
                return np.full((8, 3), "left")
            plan[3] = np.nan
        return plan
