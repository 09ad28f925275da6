"""The other road users of a drive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.agents import Agents
from openpair.driving.recording import Recording


class Traffic(Protocol):
    """Who is around, step by step.

    Attributes:
        name: "replay" or "reactive".
        answers_ego: False where the future is known before it happens.
    """

    name: ClassVar[str]
    answers_ego: ClassVar[bool]

    def agents(self, step: int) -> Agents:
        """Everyone at a step that has been reached, global frame."""
        ...

    def advance(self, step: int, ego: NDArray[np.float64]) -> None:
        """Go on from ``step`` to the next one. ``ego``: (11,) state at ``step``, StateIndex, global frame."""
        ...


@dataclass(frozen=True)
class ReplayedTraffic:
    """The recording, whatever the ego does."""

    recording: Recording
    name: ClassVar[str] = "replay"
    answers_ego: ClassVar[bool] = False

    def agents(self, step: int) -> Agents:
        """As recorded."""
        return self.recording.agents(step)

    def advance(self, step: int, ego: NDArray[np.float64]) -> None:
        """Nothing to do."""
