"""A straight road with a car that drives along it: small enough to know every result by heart.

Module-level functions alone, so that worker processes can import them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely.geometry import box

from openpair.datasets.base import SceneKey
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import Protocol
from openpair.datatypes.ego import EgoState
from openpair.datatypes.road_map import Lane, Roadblock, RoadMap
from openpair.datatypes.scene import Frame, Scene, SensorFrame
from openpair.datatypes.scores import PlanScores, metric_names
from openpair.datatypes.scoring_scene import DrivableMap, PolygonSet, ScoringScene, Tracks
from openpair.errors import OpenPairError

SPEED_MPS = 8.0


def toy_map() -> RoadMap:
    baseline = np.stack([np.arange(0.0, 301.0, 10.0), np.zeros(31), np.zeros(31)], axis=1)
    surface = box(0.0, -2.0, 300.0, 2.0)
    lane = Lane("10", False, "1", surface, baseline, speed_limit_mps=13.9)
    return RoadMap("toy", {"10": lane}, {"1": Roadblock("1", False, surface, ("10",))})


def toy_scene(log: str, token: str, index: int) -> Scene:
    frames = []
    for step in range(14):
        x = 20.0 + index + SPEED_MPS * 0.5 * step
        ego = EgoState(500_000 * step, np.array([x, 0.0, 0.0]), np.array([SPEED_MPS, 0.0]), np.zeros(2))
        agents = Agents(
            ("lead",),
            np.zeros(1, np.int64),
            np.array([[x + 20.0, 0.0, 0.0, 4.5, 1.9, 1.6]]),
            np.array([[SPEED_MPS, 0.0]]),
            np.array([0.8]),
        )
        command = np.array([0, 1, 0, 0])
        frames.append(Frame(f"{token}_{step}" if step != 3 else token, ego, agents, (), ("1",), command, {}))
    return Scene("toy", log, toy_map(), tuple(frames))


@dataclass
class ToyDataset:
    """Logs of scenes; a token in ``broken`` cannot be loaded."""

    logs: dict[str, int]
    broken: tuple[str, ...] = ()
    name: str = "toy"

    def keys(self) -> list[SceneKey]:
        return [SceneKey(log, f"{log}-{i:03d}") for log, count in self.logs.items() for i in range(count)]

    def fingerprint(self) -> str:
        return f"{self.logs} {self.broken} {SPEED_MPS}"

    def load_scene(self, token: str) -> Scene:
        if token in self.broken:
            raise OpenPairError("the frames of this scene are not complete", where=token)
        log, index = token.rsplit("-", 1)
        return toy_scene(log, token, int(index))

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        raise OpenPairError("the toy town has no sensors")


@dataclass(frozen=True)
class ToySource:
    """Opens the toy town in any process."""

    logs: tuple[tuple[str, int], ...]
    broken: tuple[str, ...] = ()
    name: str = "toy"
    root: None = None

    @property
    def options(self) -> dict[str, object]:
        return {"broken": self.broken}

    def open(self) -> ToyDataset:
        return ToyDataset(dict(self.logs), self.broken)


def toy_prepare(scene: Scene, protocol: Protocol) -> ScoringScene:
    """A prepared scene whose reference drives at 10 m/s."""
    state = scene.current.ego.state_vector()
    reference = np.tile(state, (51, 1))
    reference[:, 0] += 1.0 * np.arange(51)
    nothing = np.zeros(0, np.int64)
    empty = PolygonSet(np.zeros((0, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64))
    return ScoringScene(
        token=scene.token,
        protocol=protocol,
        time_us=scene.current.ego.timestamp_us,
        ego_state=state,
        drivable_map=DrivableMap(empty, nothing, (), np.zeros(0, bool)),
        centerline=scene.road_map.lanes["10"].baseline,
        tracks=Tracks((), nothing, np.zeros(52, np.int64), nothing, np.zeros((0, 6)), np.zeros((0, 2))),
        reference_time_us=100_000 * np.arange(51),
        reference_states=reference,
    )


def toy_score(prepared: ScoringScene, plans: np.ndarray, *, human_filter: bool = True) -> PlanScores:
    """A rule with known answers: progress after 4 s over 40 m, times 1 unless the plan leaves the lane by 1 m."""
    progress = np.clip(plans[:, -1, 0] / 40.0, 0.0, 1.0)
    inside = (np.abs(plans[:, :, 1]).max(axis=1) < 1.0).astype(float)
    metrics = {name: np.ones(len(plans)) for name in metric_names(prepared.protocol)}
    metrics["ego_progress"], metrics["drivable_area_compliance"] = progress, inside
    return PlanScores(prepared.protocol, progress * inside, metrics)


@dataclass
class Interrupting:
    """Counts the scenes it scores and is interrupted at one of them."""

    stop_at: int
    count: int = 0

    def __call__(self, prepared, plans, **options):
        self.count += 1
        if self.count == self.stop_at:
            raise KeyboardInterrupt
        return toy_score(prepared, plans)
