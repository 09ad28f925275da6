"""The other road users and objects of one frame, as a struct of arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from openpair.errors import OpenPairError


@dataclass(frozen=True)
class Agents:
    """A agents of one frame, global frame.

    Attributes:
        track_tokens: (A,) names that stay the same from frame to frame.
        category: (A,) int64, :class:`~openpair.datatypes.columns.AgentCategory`.
        box: (A, 6) float64 centre x [m], y [m], heading [rad], length, width, height [m].
        velocity: (A, 2) float64 [m/s], global axes.
        center_z: (A,) float64 height of the box centre above the ego's rear axle [m]; only sensors and files use it.
    """

    track_tokens: tuple[str, ...]
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    velocity: NDArray[np.float64]
    center_z: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.track_tokens)

    @staticmethod
    def empty() -> Agents:
        """A frame without agents."""
        return Agents((), np.zeros(0, np.int64), np.zeros((0, 6)), np.zeros((0, 2)), np.zeros(0))


class UnknownAgents(Agents):
    """The agents of a frame without annotations, as in private test sets.

    Planning from sensors asks for none. Whoever does ask (scores, targets, pictures) is told, so that an unknown frame
    never counts as an empty one. Raises OpenPairError for every attribute of :class:`Agents`.
    """

    def __init__(self, where: str) -> None:
        object.__setattr__(self, "where", where)

    def __getattribute__(self, name: str) -> object:
        if name in _FIELDS:
            raise OpenPairError(
                "the frame has no annotations, so the other road users are not known",
                where=object.__getattribute__(self, "where"),
                fix="Planning ('openpair submit') needs none; scores, targets and pictures need a log with 'anns'",
            )
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return f"UnknownAgents({self.where!r})"


_FIELDS = frozenset(field.name for field in fields(Agents))
