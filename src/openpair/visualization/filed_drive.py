"""A drive of the closed loop as it is on file: what its animation and its page are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from openpair.datasets.base import Dataset
from openpair.datatypes.agents import Agents
from openpair.datatypes.columns import BoxIndex, StateIndex
from openpair.datatypes.scene import Scene
from openpair.driving.observation import Observer
from openpair.driving.recording import START_STEP, Recording, joined
from openpair.driving.records import TRAFFIC_STRIDE
from openpair.driving.route_line import RouteLine
from openpair.driving.traffic import ReplayedTraffic, Traffic


@dataclass(frozen=True)
class FiledTraffic:
    """The traffic of a drive, from its file."""

    recording: Recording
    frames: list[dict[str, Any]]
    name: ClassVar[str] = "reactive"
    answers_ego: ClassVar[bool] = True

    def agents(self, step: int) -> Agents:
        """Everyone at the newest step on file."""
        if step < START_STEP:
            return self.recording.agents(step)
        frame = self.frames[min((step - START_STEP) // TRAFFIC_STRIDE, len(self.frames) - 1)]
        box = np.array(frame["box"], np.float64).reshape(-1, BoxIndex.HEIGHT)
        count = len(box)
        height = np.full((count, 1), 1.6)
        moving = Agents(
            tuple(frame["tracks"]),
            np.array(frame["category"], np.int64),
            np.concatenate([box, height], axis=1),
            np.zeros((count, 2)),
            np.full(count, 0.8),
        )
        return joined(moving, self.recording.roadside)

    def advance(self, step: int, ego: NDArray[np.float64]) -> None:
        """It has all happened."""


@dataclass(frozen=True)
class FiledDrive:
    """A drive to be shown.

    Attributes:
        data: content of its file.
        recording: the log it was driven in.
        dataset: gives the camera.
    """

    data: dict[str, Any]
    recording: Recording
    dataset: Dataset

    @cached_property
    def states(self) -> NDArray[np.float64]:
        """(n, 11) as far as the file has them; (0, 11) where nothing was driven."""
        ego = np.array(self.data.get("ego", ()), np.float64).reshape(-1, 6)
        states = np.zeros((len(ego), len(StateIndex)))
        states[:, : StateIndex.HEADING + 1] = ego[:, :3]
        states[:, StateIndex.VELOCITY_X], states[:, StateIndex.ACCELERATION_X] = ego[:, 3], ego[:, 4]
        return states

    @cached_property
    def traffic(self) -> Traffic:
        """The other road users."""
        if "traffic" in self.data:
            return FiledTraffic(self.recording, self.data["traffic"])
        return ReplayedTraffic(self.recording)

    @cached_property
    def observer(self) -> Observer:
        """Makes what the ego saw."""
        line = RouteLine(self.recording.human_poses[START_STEP:, : StateIndex.HEADING])
        return Observer(self.recording, self.traffic, line)

    def scene(self, index: int) -> Scene:
        """What the ego saw at ``states[index]``."""
        return self.observer.scene(START_STEP + index, self.states[: index + 1])
