"""The truth as vectors, which networks of the known track read instead of sensors: sizes and names.

Padded arrays of fixed size, ego rear-axle frame of the current frame:

- ``known_agents`` (A, 4, 5): x, y [m], heading [rad], velocity x, y [m/s] at -1.5 s, -1.0 s, -0.5 s and now;
- ``known_agent_seen`` (A, 4) bool: frames in which an agent is there; no row of it for padding;
- ``known_agent_kinds`` (A, 3): length, width [m], :class:`~openpair.datatypes.columns.AgentCategory`;
- ``known_lanes`` (L, P, 2): pieces of centrelines, x, y [m], in driving direction;
- ``known_lane_kinds`` (L, 4): is connector, lies in an intersection, light (:data:`NO_LIGHT` ...), limit [m/s] or 0;
- ``known_lane_there`` (L,) bool: False for padding;
- ``known_edges`` (E, P, 2): pieces of the border of what is drivable, drivable on their left;
- ``known_edge_there`` (E,) bool.

The route is not among them: the driving command of the status feature is all that says where to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from openpair.datatypes.columns import NUM_HISTORY_FRAMES, NUM_POSES

NO_LIGHT, GREEN, RED = 0.0, 1.0, 2.0
"""States of the light of a lane; one that is not known to have a light has none."""

AGENT_NUMBERS, AGENT_KINDS, LANE_KINDS = 5, 3, 4
"""Columns of ``known_agents``, ``known_agent_kinds`` and ``known_lane_kinds``."""


@dataclass(frozen=True)
class KnownConfig:
    """How much of the truth is shown.

    Attributes:
        agents: rows of agents and objects, those near the ego first.
        lanes, edges: pieces of centrelines and of edges, those near the centre first.
        points: of a piece.
        piece_m: longest length of a piece [m].
        ahead_m: how far ahead of the ego the centre lies [m].
        radius_m: what is farther from the centre is not shown [m].
    """

    agents: int = 32
    lanes: int = 80
    edges: int = 40
    points: int = 7
    piece_m: float = 12.0
    ahead_m: float = 20.0
    radius_m: float = 52.0

    def stored(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape (of one scene) and type of every input as stored, by name."""
        real, flag, centimetres = np.dtype(np.float32), np.dtype(bool), np.dtype(np.int16)
        frames = NUM_HISTORY_FRAMES
        return {
            "known_agents": ((self.agents, frames, AGENT_NUMBERS), real),
            "known_agent_seen": ((self.agents, frames), flag),
            "known_agent_kinds": ((self.agents, AGENT_KINDS), real),
            "known_lanes": ((self.lanes, self.points, 2), centimetres),
            "known_lane_kinds": ((self.lanes, LANE_KINDS), real),
            "known_lane_there": ((self.lanes,), flag),
            "known_edges": ((self.edges, self.points, 2), centimetres),
            "known_edge_there": ((self.edges,), flag),
        }

    def stored_targets(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """The same for the targets."""
        return {
            "agent_future": ((self.agents, NUM_POSES, 3), np.dtype(np.float32)),
            "agent_future_seen": ((self.agents, NUM_POSES), np.dtype(bool)),
        }


KNOWN_FEATURES: Final = tuple(KnownConfig().stored())
"""Names of the inputs."""
